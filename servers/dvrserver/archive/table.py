"""The packed fragment table of a segment: one fixed row per fragment, oldest first."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from servers.dvrserver.archive.values import GAP_US
from servers.wire.mp4 import FoundFragment

_ROW = Struct("<qQIIB3x")
ROW_SIZE = _ROW.size


class Entry(NamedTuple):
    """A fragment in its segment."""

    time_us: int
    offset: int
    size: int
    duration_us: int
    key: bool


def pack(time_us: int, offset: int, size: int, duration_us: int, key: bool) -> bytes:  # noqa: FBT001 - a column
    """One row."""
    return _ROW.pack(time_us, offset, size, duration_us, key)


def pack_all(fragments: Iterable[FoundFragment]) -> bytes:
    """The table of what a scan found."""
    return b"".join(map(_pack_found, fragments))


def entries(table: bytes) -> Iterator[Entry]:
    """All rows."""
    return (Entry(time, at, size, long, bool(key)) for time, at, size, long, key in _ROW.iter_unpack(table))


def entry(table: bytes, number: int) -> Entry:
    """One row, counted from 0."""
    time_us, offset, size, duration_us, key = _ROW.unpack_from(table, number * ROW_SIZE)
    return Entry(time_us, offset, size, duration_us, bool(key))


def count(table: bytes) -> int:
    """How many rows there are."""
    return len(table) // ROW_SIZE


def number_at(table: bytes, time_us: int) -> int:
    """The row of the last fragment that begins at or before a time; -1 when all are later."""
    rows = range(len(table) // ROW_SIZE)
    return bisect_right(rows, time_us, key=lambda number: _ROW.unpack_from(table, number * ROW_SIZE)[0]) - 1


def spans(table: bytes) -> list[tuple[int, int]]:
    """The stretches of time that the fragments cover, without the gaps between them."""
    found: list[tuple[int, int]] = []
    for row in entries(table):
        end = row.time_us + row.duration_us
        if found and row.time_us - found[-1][1] <= GAP_US:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((row.time_us, end))
    return found


def _pack_found(found: FoundFragment) -> bytes:
    return pack(found.time_us, found.offset, found.size, found.duration_us, found.key)
