"""Cuts long files where their content says so, so that an insertion moves no later cut.

The cut follows a gear hash over the last 32 bytes (Xia et al., FastCDC, USENIX ATC 2016): a byte's number from a
fixed table, shifted once per byte, summed. A place where the low bits are zero ends a block.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

WHOLE_BELOW = 1 << 20
"""Bytes; shorter files are one piece."""
SHORTEST, LONGEST = 8 << 10, 128 << 10
"""Bytes of a block; only the last may be shorter."""
CUT_BITS = 15
"""On average 32 KiB behind the shortest length."""
WINDOW = 32
"""Bytes: as many as the hash has bits."""
SLAB = 8 << 20

_TABLE = np.frombuffer(b"".join(hashlib.sha256(bytes([byte])).digest()[:4] for byte in range(256)), dtype="<u4")
_MASK = np.uint32((1 << CUT_BITS) - 1)


def cuts(data: bytes) -> list[int]:
    """Where the blocks of these bytes end, the last at their length."""
    ends: list[int] = []
    start = 0
    for place in _candidates(data):
        while place - start > LONGEST:
            start += LONGEST
            ends.append(start)
        if place - start >= SHORTEST:
            start = place
            ends.append(start)
    while len(data) - start > LONGEST:
        start += LONGEST
        ends.append(start)
    if start < len(data):
        ends.append(len(data))
    return ends


def blocks_of(path: Path) -> tuple[tuple[int, str], ...]:
    """Length and SHA-256 of each block of a file; empty when the file is short enough to be one piece."""
    if path.stat().st_size < WHOLE_BELOW:
        return ()
    data = path.read_bytes()
    view, start, found = memoryview(data), 0, []
    for end in cuts(data):
        found.append((end - start, hashlib.sha256(view[start:end]).hexdigest()))
        start = end
    return tuple(found)


def _candidates(data: bytes) -> Iterator[int]:
    for begin in range(0, len(data), SLAB):
        before = min(begin, WINDOW - 1)
        slab = np.frombuffer(data, dtype=np.uint8, count=min(SLAB, len(data) - begin) + before, offset=begin - before)
        places = np.flatnonzero((_gear(_TABLE[slab]) & _MASK) == 0)
        yield from (int(place) - before + begin + 1 for place in places if place >= before)


def _gear(hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The hash at each place, by doubling: of 1 byte, of the last 2, 4, 8, 16 and 32."""
    width = 1
    while width < WINDOW:
        longer = hashes.copy()
        longer[width:] += hashes[:-width] << np.uint32(width)
        hashes, width = longer, width * 2
    return hashes
