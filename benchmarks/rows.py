"""Rows of a bench, and the file they are written to."""

import json
import platform
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One figure. `goal` and `ok` are None in rows that are only shown."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    ok: bool | None = None
    machine: str = ""


def at_most(name: str, value: float, unit: str, limit: float, **peer: object) -> Row:
    """A row that is met when its value is no more than the limit."""
    return Row(name, round(value, 3), unit, goal=f"<= {limit:g}", ok=value <= limit, machine=machine(), **peer)


def shown(name: str, value: float, unit: str) -> Row:
    """A row without a goal."""
    return Row(name, round(value, 3), unit, machine=machine())


def machine() -> str:
    """What it was measured on."""
    cores = sum(1 for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor"))
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{cores} cores, {round(memory_kb / 2**20)} GiB, Python {platform.python_version()}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of all lie, 0.5 being the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """The middle one of several runs."""
    return statistics.median(values)


def write(bench: str, rows: list[Row]) -> None:
    """Print the rows, write them to results/<bench>.json, and end with status 1 if a goal was missed."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{bench}.json").write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    for row in rows:
        verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
        peer = f"  {row.peer}: {row.peer_value:g}, ratio {row.ratio:.2f}" if row.peer_value is not None else ""
        print(f"{row.name:<28} {row.value:>10g} {row.unit:<10} {row.goal or '':<10} {verdict}{peer}")
    sys.exit(any(row.ok is False for row in rows))
