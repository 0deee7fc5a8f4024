"""Parts of a file over HTTP (RFC 9110, section 14): one range, as players and download resumers ask."""

import re
from typing import NamedTuple

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$", re.ASCII)


class ByteRange(NamedTuple):
    """Bytes from `start` to `end`, the last one included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start + 1


class UnsatisfiableError(Exception):
    """The range begins behind the end of the file."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """The range that a header asks for; none for the whole file, also where the header is not understood.

    Raises:
        UnsatisfiableError: nothing of it exists.
    """
    found = _RANGE.match(header.replace(" ", "")) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise UnsatisfiableError
        return ByteRange(size - length, size - 1)
    start = int(first)
    if start >= size:
        raise UnsatisfiableError
    end = min(int(last), size - 1) if last else size - 1
    return ByteRange(start, end) if end >= start else None
