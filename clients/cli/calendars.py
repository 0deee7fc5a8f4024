"""An alarm's calendar on the command line: `--hours mon-fri=8-18 --hours sat=off --day 2026-12-24=off`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from broker.model.resources import ALWAYS, DAYS

HOURS = 24
SHORT = tuple(day[:3] for day in DAYS)

TimeZone = Annotated[
    str | None, typer.Option("--time-zone", help="Whose hours these are, e.g. Europe/Helsinki.", show_default=False)
]
Hours = Annotated[
    list[str] | None,
    typer.Option(
        "--hours",
        help="When it may start: DAYS=HOURS, e.g. mon-fri=8-18, sat=off, sun=on, mon=0-6+22-24. Days not named stay as"
        " they are. Give it once for each.",
        show_default=False,
    ),
]
Day = Annotated[
    list[str] | None,
    typer.Option(
        "--day",
        help="A date that differs: DATE=HOURS, e.g. 2026-12-24=off; DATE= makes it like others again. Once for each.",
        show_default=False,
    ),
]


def changed_calendar(calendar: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The calendar with what was given."""
    week = list(calendar.get("week") or [ALWAYS] * len(DAYS))
    exceptions = dict(calendar.get("exceptions") or {})
    for text in given.get("hours") or ():
        days, _, hours = text.partition("=")
        for at in _days(days):
            week[at] = plan_of(hours)
    for text in given.get("day") or ():
        date, _, hours = text.partition("=")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
            raise typer.BadParameter(f"{date!r} is no date; an example is 2026-12-24=off")
        exceptions.pop(date, None)
        if hours:
            exceptions[date] = plan_of(hours)
    return {
        "time_zone": given.get("time_zone") or calendar.get("time_zone") or "UTC",
        "week": week,
        "exceptions": exceptions,
    }


def plan_of(hours: str) -> str:
    """24 digits of `on`, `off` or spans such as `8-18` and `0-6+22-24`."""
    if hours in ("on", "off"):
        return ("1" if hours == "on" else "0") * HOURS
    plan = ["0"] * HOURS
    for span in hours.split("+"):
        found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", span)
        first, last = (int(found[1]), int(found[2])) if found else (0, 0)
        if not found or not first < last <= HOURS:
            raise typer.BadParameter(f"{hours!r} are no hours; write on, off, 8-18 or 0-6+22-24")
        plan[first:last] = "1" * (last - first)
    return "".join(plan)


def _days(text: str) -> list[int]:
    first, _, last = text.lower().partition("-")
    if first[:3] not in SHORT or (last and last[:3] not in SHORT):
        raise typer.BadParameter(f"{text!r} are no days; write mon, mon-fri or sat-sun")
    begin = SHORT.index(first[:3])
    end = SHORT.index(last[:3]) if last else begin
    return [at % len(DAYS) for at in range(begin, (end if end >= begin else end + len(DAYS)) + 1)]


def written(plan: str) -> str:
    """A day plan as it is written on the command line."""
    if plan in ("0" * HOURS, "1" * HOURS):
        return "on" if plan[0] == "1" else "off"
    return "+".join(f"{found.start()}-{found.end()}" for found in re.finditer("1+", plan))
