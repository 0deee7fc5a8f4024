"""Number, picture count and time of a camera as black and white blocks, which survive encoding and scaling.

The picture is divided into 18 x 18 blocks; 16 x 8 of them, below the first row, are the bits of a stamp: camera
(16 bits), picture (32), microseconds since 1970 UTC (56), checksum (24), most significant first, white is 1. Around
them lies a grey frame. Reading needs no more than the picture: whoever shows it scaled shows it well enough.
"""

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DIVISIONS = 18
COLUMNS, ROWS = 16, 8
CAMERA_BITS, PICTURE_BITS, TIME_BITS, CHECK_BITS = 16, 32, 56, 24
BLACK, GREY, WHITE = 24, 128, 232
CONTRAST = 60
"""Levels by which a block must differ from grey's middle, twice; less is no stamp."""


class Stamp(NamedTuple):
    """What a stamp says."""

    camera: int
    picture: int
    time_us: int
    """When it was drawn, microseconds since 1970 UTC."""


def write(luma: NDArray[np.uint8], stamp: Stamp) -> None:
    """Draw a stamp into the brightness plane of a picture, at least 72 x 72 pixels large."""
    height, width = luma.shape
    luma[: _edge(ROWS + 2, height), :] = GREY
    bits = _bits(stamp)
    for row in range(ROWS):
        for column in range(COLUMNS):
            white = bits >> (ROWS * COLUMNS - 1 - row * COLUMNS - column) & 1
            rows = slice(_edge(row + 1, height), _edge(row + 2, height))
            luma[rows, _edge(column + 1, width) : _edge(column + 2, width)] = WHITE if white else BLACK


def read(picture: NDArray[np.uint8]) -> Stamp | None:
    """The stamp in a picture: a brightness plane (height, width) or RGB (height, width, 3); none if there is none."""
    luma = picture.mean(axis=2) if picture.ndim == 3 else picture  # noqa: PLR2004 - height, width, colours
    height, width = luma.shape
    if min(height, width) < 4 * DIVISIONS:
        return None
    bits = 0
    levels = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            level = float(luma[_middle(row + 1, height), _middle(column + 1, width)].mean())
            levels.append(level)
            bits = bits << 1 | (level > GREY)
    if max(levels) - min(levels) < 2 * CONTRAST:
        return None
    body, check = bits >> CHECK_BITS, bits & (1 << CHECK_BITS) - 1
    if _checksum(body) != check:
        return None
    return Stamp(
        body >> PICTURE_BITS + TIME_BITS, body >> TIME_BITS & (1 << PICTURE_BITS) - 1, body & (1 << TIME_BITS) - 1
    )


def _bits(stamp: Stamp) -> int:
    camera = stamp.camera & (1 << CAMERA_BITS) - 1
    picture = stamp.picture & (1 << PICTURE_BITS) - 1
    body = (camera << PICTURE_BITS | picture) << TIME_BITS | stamp.time_us & (1 << TIME_BITS) - 1
    return body << CHECK_BITS | _checksum(body)


def _checksum(body: int) -> int:
    return zlib.crc32(body.to_bytes((CAMERA_BITS + PICTURE_BITS + TIME_BITS) // 8, "big")) & (1 << CHECK_BITS) - 1


def _edge(block: int, size: int) -> int:
    return round(block * size / DIVISIONS)


def _middle(block: int, size: int) -> slice:
    """The middle half of a block, away from ringing at its edges."""
    start, end = _edge(block, size), _edge(block + 1, size)
    quarter = (end - start) // 4
    return slice(start + quarter, end - quarter)
