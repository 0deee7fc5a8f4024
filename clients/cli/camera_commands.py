"""`vigil sm cameras probe`, `snapshot` and `mask`: what a camera shows, and where motion does not count."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.model.resources import Camera, Mask, ServerRole
from clients.cli.clips import parse_moment
from clients.cli.session import FAILED, complaints, console, new_password, refuse, signed_in
from clients.cli.tables import yes
from clients.sdk import ProbeFound

CAMERA_PASSWORD = "VIGIL_CAMERA_PASSWORD"  # noqa: S105 - the variable's name
CELLS = re.compile(r"^(\d+)(?:-(\d+))?(?:,(\d+)(?:-(\d+))?)?$")


def probe(
    url: Annotated[str, typer.Argument(help="The address, e.g. rtsp://192.0.2.10:554/stream1.")],
    *,
    node: Annotated[str, typer.Option(help="The DVRServer that dials it; the only one if not given.")] = "",
    username: Annotated[
        str, typer.Option(help=f"Who signs in there; the password comes from {CAMERA_PASSWORD} or is asked for.")
    ] = "",
    camera: Annotated[
        str, typer.Option(help="Use the password kept for this camera; for its own host and port only.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Write the picture to this file, JPEG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Have a DVRServer dial an address and say what it is, before a camera is added. Exit code 1: no pictures."""
    with signed_in() as client:
        servers = [server for server in client.servers.list() if server.role == ServerRole.DVRSERVER]
        chosen = [server for server in servers if server.id == node] if node else servers
        if len(chosen) != 1:
            names = ", ".join(server.id for server in servers) or "none has joined yet"
            raise refuse(f"Name the DVRServer with --node: {names}.", field="node")
        password = new_password(f"{username} at the camera", CAMERA_PASSWORD) if username and not camera else None
        found = client.node(chosen[0]).probe(url, username=username, password=password, camera_id=camera or None)
    if out is not None and found.snapshot:
        out.write_bytes(found.snapshot)
    if as_json:
        typer.echo(found.model_dump_json(indent=2, exclude={"snapshot"}))
    else:
        _say(found, out)
    if found.problem:
        raise typer.Exit(FAILED)


def _say(found: ProbeFound, out: Path | None) -> None:
    if found.problem:
        complaints.print(found.problem, highlight=False, markup=False)
    if found.video is not None:
        rate = f", {found.video.fps:g} pictures/s" if found.video.fps else ""
        typer.echo(f"video  {found.video.codec}, {found.video.width} by {found.video.height} pixels{rate}")
    if found.audio is not None:
        typer.echo(f"sound  {found.audio.codec}, {found.audio.sample_rate} Hz, {found.audio.channels} channels")
    if found.kbps:
        typer.echo(f"rate   {found.kbps:.0f} kbit/s")
    if out is not None and found.snapshot:
        typer.echo(f"{out}: {len(found.snapshot):,} bytes.")


def snapshot(
    camera_id: Annotated[str, typer.Argument(help="The camera's id.")],
    *,
    at: Annotated[
        datetime | None, typer.Option(parser=parse_moment, help="A recorded moment; local time unless it has a zone.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file; <camera>.jpg if not given.")] = None,
) -> None:
    """Write a picture of now, or of a recorded moment, to a JPEG file."""
    target = out or Path(f"{camera_id}.jpg")
    with signed_in() as client:
        camera = client.cameras.get(camera_id)
        picture = client.node(client.servers.get(camera.node_id)).snapshot(camera_id, at)
    target.write_bytes(picture)
    console.print(f"{target}: {len(picture):,} bytes.", highlight=False)


def mask(
    camera_id: Annotated[str, typer.Argument(help="The camera's id.")],
    *,
    hide: Annotated[
        list[str] | None,
        typer.Option(help="Hide cells: COLUMNS,ROWS counted from 0 at the top left, e.g. 0-15,0-2. Several times."),
    ] = None,
    reveal: Annotated[
        list[str] | None, typer.Option("--show", help="Show cells again, written in the same way. Several times.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="First show all cells.")] = False,
    invert: Annotated[bool, typer.Option("--invert", help="Last of all, swap hidden and shown.")] = False,
    columns: Annotated[int | None, typer.Option(min=1, max=64, help="Cells across; clears the mask.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=64, help="Cells down; clears the mask.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show where motion does not count (#), or change it."""
    with signed_in() as client:
        found = client.cameras.fetch(camera_id)
        camera = found.resource
        before = camera.motion.mask
        after = _changed(before, hide=hide, reveal=reveal, clear=clear, columns=columns, rows=rows)
        if invert:
            every = set(range(after.columns * after.rows))
            after = after.model_copy(update={"hidden": tuple(sorted(every - set(after.hidden)))})
        if after != before:
            changed: Camera = camera.model_copy(update={"motion": camera.motion.model_copy(update={"mask": after})})
            client.cameras.replace(changed, revision=found.revision)
    if as_json:
        typer.echo(after.model_dump_json())
        return
    hidden = set(after.hidden)
    for row in range(after.rows):
        cells = range(row * after.columns, (row + 1) * after.columns)
        typer.echo("".join("#" if cell in hidden else "." for cell in cells))
    console.print(f"{len(hidden)} of {after.columns * after.rows} cells hidden; changed: {yes(after != before)}")


def _changed(mask: Mask, *, clear: bool, columns: int | None, rows: int | None, **cells: Any) -> Mask:
    width, height = columns or mask.columns, rows or mask.rows
    resized = (width, height) != (mask.columns, mask.rows)
    hidden = set() if clear or resized else set(mask.hidden)
    hidden |= {cell for text in cells["hide"] or () for cell in _cells(text, width, height)}
    hidden -= {cell for text in cells["reveal"] or () for cell in _cells(text, width, height)}
    return Mask(columns=width, rows=height, hidden=tuple(sorted(hidden)))


def _cells(text: str, width: int, height: int) -> set[int]:
    found = CELLS.match(text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: write COLUMNS,ROWS, e.g. 0-15,0-2 or 3,4")
    left, right, top, bottom = found.groups()
    last_column, first_row = int(right or left), int(top or 0)
    last_row = int(bottom or top) if top is not None else height - 1
    if last_column >= width or last_row >= height:
        raise typer.BadParameter(f"{text!r}: columns go from 0 to {width - 1}, rows from 0 to {height - 1}")
    return {
        row * width + column for row in range(first_row, last_row + 1) for column in range(int(left), last_column + 1)
    }
