"""`vigil sm cameras clip`: footage as one file."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.session import console, signed_in


def parse_moment(text: str) -> datetime:
    """A time as people write it; without a zone it is local."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; an example is 2026-01-31T12:00:00+01:00") from None


def clip(
    camera_id: Annotated[str, typer.Argument(help="The camera's id.")],
    begin: Annotated[
        datetime, typer.Option("--from", parser=parse_moment, help="E.g. 2026-01-31T12:00:00; local time.")
    ],
    end: Annotated[
        datetime | None, typer.Option("--to", parser=parse_moment, help="The end, at most an hour later.")
    ] = None,
    *,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="How long, where --to is not given.")] = 60,
    out: Annotated[Path | None, typer.Option(help="The file; <camera>-<time>.mp4 if not given.")] = None,
) -> None:
    """Write footage to an MP4 file, pictures and sound as they were recorded."""
    until = end or begin + timedelta(seconds=seconds)
    target = out or Path(f"{camera_id}-{begin:%Y%m%dT%H%M%S}.mp4")
    with signed_in() as client:
        camera = client.cameras.get(camera_id)
        node = client.node(client.servers.get(camera.node_id))
        length = node.clip(camera_id, begin, until, target)
    console.print(f"{target}: {length:,} bytes.", highlight=False)
