"""Finds motion in luma pictures. Pure numpy: no video library, no clock.

A running average is the background. What differs from it by more than the noise explains, after the median change of
the whole picture is taken off, is counted per cell; a cell is in motion above a share of its pixels, the picture
when that is so twice in a row. When half of all cells, or half of all pixels, change at once, the light did.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.float32]

MIN_THRESHOLD = 8.0
"""Grey levels; compression alone moves a still picture by less."""
SIGMA_OF_MEDIAN = 1.4826
"""Standard deviation over median absolute deviation, of normal noise."""
ALPHA_PER_S = 0.2
"""How much of the present the background takes up in a second."""
MOVING_ALPHA = 0.1
"""Share of that where the picture differs: who walks by leaves no trail behind."""
SETTLED_S = 10.0
"""What differs for so long without a break has come to stay: a parked car, or the place where one was."""
FIRST_PICTURES = 5
"""Are averaged, so that one of them does not stay in the background for long."""
LIGHT_SHARE = 0.5
LIGHT_SHIFT = 20.0
"""Grey levels."""
MAX_WIDTH = 400
"""Pixels a row, before the 2x2 box; larger pictures are thinned out first."""
SAMPLE = 7
"""Every seventh pixel is enough for a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one camera is looked at; see `broker.model.resources.MotionDetection`."""

    area_percent: float = 6.0
    threshold_sigma: float = 4.5
    hold_s: float = 2.0
    columns: int = 16
    rows: int = 12
    hidden: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is so after a picture."""

    active: bool
    at_us: int
    """When it became so: the first of the two pictures that moved, or the last that did."""
    moved_us: int
    """When motion was last seen."""
    cells: tuple[int, ...]
    """Cells in motion in this picture, numbered row by row from the top left."""
    light: bool = False
    """The light changed."""


class Detector:
    """One camera's detector. Give it about five pictures a second."""

    def __init__(self, settings: Settings, *, active: bool = False, moved_us: int = 0) -> None:
        self.settings = settings
        self._background: Picture | None = None
        self._differs_s: Picture
        """For how long each pixel has differed from the background without a break."""
        self._pictures = 0
        self._last_us = 0
        self._moved_before_us: int | None = None
        """When the picture before was taken, if it moved."""
        self._active = active
        self._since_us = self._moved_us = moved_us
        self._visible = np.ones(settings.columns * settings.rows, dtype=bool)
        self._visible[[cell for cell in settings.hidden if 0 <= cell < self._visible.size]] = False
        self._edges: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]] | None = None

    def look(self, luma: Luma, time_us: int) -> Verdict:
        """Take the next picture, whose time is later than the one before."""
        cells, light = self._changed(luma, time_us)
        if light:
            self._moved_before_us = None
        elif cells:
            if self._moved_before_us is not None:
                if not self._active:
                    self._active, self._since_us = True, self._moved_before_us
                self._moved_us = max(time_us, self._moved_us)
            self._moved_before_us = time_us
        else:
            self._moved_before_us = None
        if self._active and time_us - self._moved_us > self.settings.hold_s * 1_000_000:
            self._active, self._since_us = False, self._moved_us
        return Verdict(active=self._active, at_us=self._since_us, moved_us=self._moved_us, cells=cells, light=light)

    def _changed(self, luma: Luma, time_us: int) -> tuple[tuple[int, ...], bool]:
        """Cells in motion, or that the light changed; brings the background up to date."""
        picture = box(luma)
        background = self._background
        if background is None or background.shape != picture.shape:
            self._background, self._pictures, self._last_us, self._edges = picture, 1, time_us, None
            self._differs_s = np.zeros_like(picture)
            return (), False
        difference = picture - background
        shift = float(np.median(difference[:: SAMPLE // 2, ::SAMPLE]))
        difference -= np.float32(shift)
        distance = np.abs(difference)
        noise = SIGMA_OF_MEDIAN * float(np.median(distance[:: SAMPLE // 2, ::SAMPLE]))
        threshold = max(MIN_THRESHOLD, self.settings.threshold_sigma * noise)
        above = distance > threshold
        shares = self._shares(above)
        moving = shares > self.settings.area_percent / 100
        # A shift of the median is a change of half the pixels, too.
        light = int(np.count_nonzero(moving)) >= LIGHT_SHARE * moving.size or abs(shift) > LIGHT_SHIFT
        seconds = max(time_us - self._last_us, 0) / 1_000_000
        self._pictures += 1
        self._last_us = time_us
        if light:
            # What is seen now is the new normal.
            self._background, self._pictures = picture, 1
            self._differs_s[:] = 0
            return (), True
        self._learn(picture, above, seconds)
        return tuple(int(cell) for cell in np.flatnonzero(moving & self._visible)), False

    def _learn(self, picture: Picture, above: npt.NDArray[np.bool_], seconds: float) -> None:
        """Bring the background up to date."""
        assert self._background is not None
        if self._pictures <= FIRST_PICTURES:
            self._background += (picture - self._background) / np.float32(self._pictures)
            return
        step = (picture - self._background) * np.float32(1 - (1 - ALPHA_PER_S) ** seconds)
        step[above] *= np.float32(MOVING_ALPHA)
        self._background += step
        self._differs_s += np.float32(seconds)
        self._differs_s *= above
        settled = self._differs_s > SETTLED_S
        if settled.any():
            self._background[settled] = picture[settled]
            self._differs_s[settled] = 0

    def _shares(self, above: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """The share of pixels above the threshold, per cell."""
        height, width = above.shape
        if self._edges is None:
            rows = np.linspace(0, height, self.settings.rows, endpoint=False).astype(np.intp)
            columns = np.linspace(0, width, self.settings.columns, endpoint=False).astype(np.intp)
            sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width)).astype(np.float32)
            self._edges = rows, columns, np.maximum(sizes, 1)
        rows, columns, sizes = self._edges
        counts = np.add.reduceat(np.add.reduceat(above, rows, axis=0, dtype=np.uint16), columns, axis=1)
        return np.asarray(counts / sizes, dtype=np.float32).ravel()


def box(luma: Luma) -> Picture:
    """Means of 2x2 pixels, of a picture that is thinned out to at most `MAX_WIDTH` columns."""
    step = -(-luma.shape[1] // MAX_WIDTH)
    if step > 1:
        luma = luma[::step, ::step]
    height, width = luma.shape[0] & ~1, luma.shape[1] & ~1
    rows = luma[0:height:2, :width].astype(np.uint16)
    rows += luma[1:height:2, :width]
    return (rows[:, ::2] + rows[:, 1::2]).astype(np.float32) * np.float32(0.25)
