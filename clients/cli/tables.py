"""Tables for people; for programs behind a pipe, the same cells with tabs between them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import typer
from rich.markup import escape
from rich.table import Table

from clients.cli.session import console


def show(headings: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """Print a table, or the sentence `nothing` when it has no rows."""
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    if table.row_count:
        console.print(table)
    else:
        console.print(nothing)


def moment(at: datetime | None) -> str:
    """A time in the zone of who reads it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def yes(value: bool) -> str:  # noqa: FBT001 - one value, said in a word
    """A truth in a word."""
    return "yes" if value else "no"
