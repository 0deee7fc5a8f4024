"""`vigil sm audit`, `states` and `health`: what happened, and how the processes are."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import BaseModel

from clients.cli.session import signed_in
from clients.cli.tables import moment, show

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="At most so many, newest first.")]


def _print(items: Sequence[BaseModel]) -> None:
    typer.echo(json.dumps([item.model_dump(mode="json") for item in items], indent=2, ensure_ascii=False))


def audit(
    *,
    user: Annotated[str, typer.Option(help="Only what this user did.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind: server, camera, alarm, profile, user, session.")] = "",
    object_id: Annotated[str, typer.Option("--object", help="Only this object's id.")] = "",
    before_id: Annotated[int | None, typer.Option(min=1, help="The page after the record of this id.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who changed what; --json holds the values before and after."""
    with signed_in() as client:
        records = client.audit(
            user_id=user or None, kind=kind or None, object_id=object_id or None, before_id=before_id, limit=limit
        )
    if as_json:
        _print(records)
        return
    show(
        ("id", "when", "who", "what", "kind", "object", "from", "program"),
        (
            (
                str(record.id),
                moment(record.at),
                record.user_id,
                record.action,
                record.kind,
                record.object_id,
                record.address,
                record.program,
            )
            for record in records
        ),
        nothing="No records.",
    )


def states(*, as_json: AsJson = False) -> None:
    """Show what each process last said of itself, and its cameras."""
    with signed_in() as client:
        found = client.node_states()
    if as_json:
        _print(found)
        return
    rows = []
    for state in found:
        rows.append((state.node_id, str(state.role), str(state.revision), moment(state.at), "", "", ""))
        rows += [
            (
                state.node_id,
                "",
                "",
                "",
                camera.camera_id,
                camera.condition.replace("_", " "),
                camera.problem,
            )
            for camera in state.cameras
        ]
    show(
        ("process", "role", "revision", "last report", "camera", "condition", "problem"),
        rows,
        nothing="Nobody has reported yet.",
    )


def health(*, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Show what the system said about its own condition."""
    with signed_in() as client:
        records = client.health_events(limit=limit)
    if as_json:
        _print(records)
        return
    show(
        ("when", "process", "event", "about", "detail"),
        ((moment(each.at), each.node_id, each.event.replace("_", " "), each.subject, each.detail) for each in records),
        nothing="No health events.",
    )
