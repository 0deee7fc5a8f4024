"""What the simulated cameras look at: a still yard, noise as of a sensor, and people who walk through on demand.

Everything is drawn in places and sizes relative to the picture, so that the main and the sub stream show the same.
Pictures are YUV 4:2:0 as one array of 1.5 x height rows, as PyAV takes them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

NOISE_SIGMA = 2.5
"""Levels of luma. A detector that measures the noise must not mind it, one that does not would."""

MARGIN = 64
"""Pixels by which the noise is larger than the picture: each picture gets it shifted at random."""


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody who crosses the picture once a loop. Sizes are shares of the picture's."""

    phase: float
    """Where in the loop they enter, 0 to 1."""
    leftwards: bool
    top: float
    height: float
    width: float
    luma: int
    chroma: tuple[int, int]


WALKERS = (
    Walker(0.00, leftwards=False, top=0.44, height=0.32, width=0.08, luma=62, chroma=(122, 134)),
    Walker(0.38, leftwards=False, top=0.55, height=0.36, width=0.09, luma=192, chroma=(108, 150)),
    Walker(0.70, leftwards=True, top=0.50, height=0.34, width=0.085, luma=66, chroma=(150, 112)),
)
"""Their contrast is that of people in daylight: seen at once, and gone from a running average soon after."""


class Yard(NamedTuple):
    """What makes one yard look different from another. Colours are blue and red differences."""

    house: tuple[int, int]
    house_luma: int
    paving: tuple[int, int]
    paving_luma: int
    floors: int
    mirrored: bool


YARDS = (
    Yard((118, 140), 105, (126, 130), 128, 2, mirrored=False),
    Yard((134, 120), 118, (122, 133), 138, 3, mirrored=True),
    Yard((122, 124), 140, (124, 124), 116, 2, mirrored=True),
    Yard((112, 150), 112, (130, 127), 132, 3, mirrored=False),
)


class Scene:
    """Draws the pictures of one loop in one size. `variant` chooses the yard; the same seed gives the same noise."""

    def __init__(self, width: int, height: int, *, variant: int = 0, seed: int = 1) -> None:
        self.width, self.height = width, height
        self._shift = variant * 0.13
        self._background = _yard(width, height, YARDS[variant % len(YARDS)])
        self._random = np.random.default_rng(seed)
        noise = self._random.normal(0, NOISE_SIGMA, (height + MARGIN, width + MARGIN))
        # Kept as unsigned: adding wraps around to the right value, since no luma here is near 0 or 255.
        self._noise = np.clip(np.rint(noise), -14, 14).astype(np.int8).view(np.uint8)

    def draw(self, moment: float, *, walkers: bool) -> Picture:
        """The picture at a moment of the loop, 0 to 1; the scene at 1 is the scene at 0."""
        picture = self._background.copy()
        if walkers:
            for walker in WALKERS:
                self._draw_walker(picture, walker, moment)
        down, across = self._random.integers(0, MARGIN, 2)
        luma = picture[: self.height]
        np.add(luma, self._noise[down : down + self.height, across : across + self.width], out=luma)
        return picture

    def _draw_walker(self, picture: Picture, walker: Walker, moment: float) -> None:
        width, height = walker.width * self.width, walker.height * self.height
        way = ((moment + walker.phase + self._shift) % 1.0) * (self.width + width) - width
        left = self.width - width - way if walker.leftwards else way
        top = walker.top * self.height
        swing = math.sin(moment * 2 * math.pi * 12 + walker.phase * 9) * 0.16  # twelve steps a loop
        parts = (
            (0.30, 0.00, 0.70, 0.20),  # head
            (0.12, 0.21, 0.88, 0.62),  # body
            (0.18 + swing, 0.62, 0.46 + swing, 1.0),  # legs
            (0.54 - swing, 0.62, 0.82 - swing, 1.0),
        )
        for x0, y0, x1, y1 in parts:
            box = (left + x0 * width, top + y0 * height, left + x1 * width, top + y1 * height)
            self._fill(picture, box, walker.luma, walker.chroma)

    def _fill(
        self, picture: Picture, box: tuple[float, float, float, float], luma: int, chroma: tuple[int, int]
    ) -> None:
        x0, y0, x1, y1 = (max(0, 2 * round(edge / 2)) for edge in box)  # even, for the colours
        x1, y1 = min(x1, self.width), min(y1, self.height)
        if x0 >= x1 or y0 >= y1:
            return
        picture[y0:y1, x0:x1] = luma
        for plane, value in zip(_chroma(picture, self.width, self.height), chroma, strict=True):
            plane[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = value


def _chroma(picture: Picture, width: int, height: int) -> tuple[Picture, Picture]:
    """The two colour planes, as views."""
    quarter = width * height // 4
    flat = picture.reshape(-1)
    planes = flat[width * height :]
    shape = (height // 2, width // 2)
    return planes[:quarter].reshape(shape), planes[quarter : 2 * quarter].reshape(shape)


def _yard(width: int, height: int, yard: Yard) -> Picture:
    """A house, a gate and paving under an even sky."""
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    luma = picture[:height]
    luma[:] = np.linspace(150, 120, height, dtype=np.uint8)[:, None]
    blue, red = _chroma(picture, width, height)
    blue[: height // 4], red[: height // 4] = 138, 122

    def box(  # noqa: PLR0917 - two corners, as drawing libraries have it
        x0: float, y0: float, x1: float, y1: float, level: int, colour: tuple[int, int] | None = None
    ) -> None:
        if yard.mirrored:
            x0, x1 = 1 - x1, 1 - x0
        rows = slice(round(y0 * height), round(y1 * height))
        columns = slice(round(x0 * width), round(x1 * width))
        luma[rows, columns] = level
        if colour:
            rows, columns = (slice(part.start // 2, part.stop // 2) for part in (rows, columns))
            blue[rows, columns], red[rows, columns] = colour

    box(0.05, 0.10, 0.62, 0.45, yard.house_luma, yard.house)
    storey = 0.32 / yard.floors
    for column in range(5):
        for floor in range(yard.floors):
            left, top = 0.09 + column * 0.105, 0.13 + floor * storey
            box(left, top, left + 0.065, top + 0.6 * storey, 165, (136, 120))
    box(0.52, 0.30, 0.59, 0.45, 80, (124, 136))
    box(0.70, 0.25, 0.98, 0.45, 135, (116, 132))
    box(0.74, 0.30, 0.80, 0.36, 92)
    box(0.0, 0.45, 1.0, 0.47, 90)
    box(0.0, 0.47, 1.0, 1.0, yard.paving_luma, yard.paving)
    for line in range(1, 7):
        at = 0.47 + 0.53 * (line / 7) ** 1.6
        box(0.0, at, 1.0, at + 0.006, yard.paving_luma - 16)
    return picture
