"""CPU time and memory of a process and all that it has started, from /proc."""

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for candidate in found:
        found += [child for child, parent in parents.items() if parent == candidate]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, ended children included."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / TICKS


def pss_mb(pid: int) -> float:
    """Proportional set size of the tree, in MB."""
    total = 0
    for member in tree(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000


def cpu_percent(pids: list[int], *, warm_up_s: float, measure_s: float) -> float:
    """Percent of one core that the trees use together, over `measure_s` after `warm_up_s`."""
    time.sleep(warm_up_s)
    began, before = time.monotonic(), sum(map(cpu_seconds, pids))
    time.sleep(measure_s)
    return 100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - began)
