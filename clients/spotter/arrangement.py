"""How many rows and columns a page of cells has, and what happens to cameras when the number changes. Pure."""

from collections.abc import Sequence
from math import ceil, sqrt

MOST_CELLS = 16
CHOICES = (1, 2, 4, 6, 9, 12, 16)
"""Offered in the menu; any number up to the most can be stored."""


def shape(cells: int) -> tuple[int, int]:
    """Rows and columns for a number of cells: as square as it goes, wider rather than higher."""
    columns = ceil(sqrt(cells))
    return ceil(cells / columns), columns


def regrouped(cameras: Sequence[str | None], cells: int) -> tuple[str | None, ...]:
    """The cameras for another number of cells: those that there are stay, in their places where that is possible."""
    kept = list(cameras)
    if len(kept) > cells:
        # Empty cells go first, so that making a page smaller loses as few cameras as possible.
        surplus = len(kept) - cells
        for index in reversed(range(len(kept))):
            if surplus and kept[index] is None:
                del kept[index]
                surplus -= 1
        kept = kept[:cells]
    return (*kept, *(None,) * (cells - len(kept)))


def placed(cameras: Sequence[str | None], camera_id: str, at: int) -> tuple[str | None, ...]:
    """The cameras with one put into a cell."""
    changed = list(cameras)
    changed[at] = camera_id
    return tuple(changed)


def exchanged(cameras: Sequence[str | None], one: int, other: int) -> tuple[str | None, ...]:
    """The cameras with two cells exchanged."""
    changed = list(cameras)
    changed[one], changed[other] = changed[other], changed[one]
    return tuple(changed)


def first_free(cameras: Sequence[str | None], preferred: int) -> int:
    """The cell for a camera that comes without a place: the preferred one if empty, else the first empty one."""
    if 0 <= preferred < len(cameras) and cameras[preferred] is None:
        return preferred
    return next((index for index, camera in enumerate(cameras) if camera is None), max(preferred, 0))
