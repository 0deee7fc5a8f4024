"""`vigil alarms`: what went off, and taking notice of it."""

from typing import Annotated

import typer

from broker.model.messages import AlarmState
from clients.cli.session import console, signed_in
from clients.cli.tables import moment, show

app = typer.Typer(no_args_is_help=True, help="List and acknowledge alarms.", add_completion=False)


@app.command("list")
def list_alarms(
    state: Annotated[AlarmState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many, newest first.")] = 30,
) -> None:
    """Show the alarm log, newest first."""
    with signed_in() as client:
        events = client.alarm_events(state=state, limit=limit)
    show(
        ("id", "alarm", "priority", "state", "source", "since", "acknowledged by"),
        (
            (
                event.id,
                event.alarm_name,
                event.priority,
                event.state.replace("_", " "),
                event.source_id,
                moment(event.occurred_at),
                event.acknowledged.user_name if event.acknowledged else "",
            )
            for event in events
        ),
        nothing="No alarms.",
    )


@app.command()
def acknowledge(
    event_ids: Annotated[list[str], typer.Argument(help="Ids of alarm events, as `list` shows them.")],
) -> None:
    """Take notice of alarm events."""
    with signed_in() as client:
        for event_id in event_ids:
            client.acknowledge(event_id)
            console.print(f"{event_id} will be acknowledged.", highlight=False)
