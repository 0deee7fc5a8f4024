"""Footage for a browser's MediaSource: whole fragments of one file, found by time. No I/O."""

from typing import NamedTuple

from servers.dvrserver.archive import table
from servers.dvrserver.archive.values import GAP_US, SegmentFile


class Cut(NamedTuple):
    """Consecutive fragments of one segment, the first of which decoding can begin with."""

    offset: int
    """Where the first one's first byte is in the file."""
    size: int
    """Bytes of all of them: they lie one behind the other."""
    start_us: int
    """When the first picture was taken."""
    end_us: int
    """Where the last picture ends, µs since 1970; asking from there on gives what follows."""


class Stretch(NamedTuple):
    """A cut and the file that it is in."""

    file: SegmentFile
    init_size: int
    """Bytes of the initialisation segment, at the file's beginning."""
    cut: Cut


def cut(packed: bytes, time_us: int, length_us: int) -> Cut | None:
    """From the key frame at or before a moment until a key frame at or after `length_us` later, or a gap.

    Where nothing was recorded at that moment, it begins with what was within `length_us` after it; none when there
    is nothing.
    """
    count = len(packed) // table.ROW_SIZE
    number = table.number_at(packed, time_us)
    if number < 0 or time_us >= _end(table.entry(packed, number)):
        number += 1
    if number >= count or table.entry(packed, number).time_us >= time_us + length_us:
        return None
    # What cannot be decoded alone is sent with what it depends on, also behind the end of an answer before.
    while number > 0 and not table.entry(packed, number).key:
        number -= 1
    first = table.entry(packed, number)
    last = first
    for following in range(number + 1, count):
        entry = table.entry(packed, following)
        if (entry.key and entry.time_us >= time_us + length_us) or entry.time_us - _end(last) > GAP_US:
            break
        last = entry
    return Cut(first.offset, last.offset + last.size - first.offset, first.time_us, _end(last))


def _end(entry: table.Entry) -> int:
    return entry.time_us + entry.duration_us
