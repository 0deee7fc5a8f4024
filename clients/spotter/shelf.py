"""The decoded pictures of one camera around the player's clock. Pure and bounded; belongs to one thread."""

from collections import deque
from enum import Enum, auto
from typing import Protocol

GAP_US = 1_500_000
"""Longer than this without a picture there is no recording; a shorter pause shows the last picture."""


class Timed(Protocol):
    """A picture with its moment."""

    @property
    def time_us(self) -> int:
        """Capture, µs since 1970 UTC."""


class Outlook(Enum):
    """What a camera has to show at a moment."""

    PICTURE = auto()
    GAP = auto()
    """There is no recording of this moment."""
    WAITING = auto()
    """It is not known yet: pictures are on their way."""


class Shelf:
    """Pictures in the order in which they will be shown: rising times, or falling ones when `backwards`."""

    def __init__(self, *, backwards: bool = False) -> None:
        self.backwards = backwards
        self.ended = False
        """No more will come: the recording ends there."""
        self._coming: deque[Timed] = deque()
        self._current: Timed | None = None

    def __len__(self) -> int:
        return len(self._coming)

    @property
    def current(self) -> Timed | None:
        """What is shown now."""
        return self._current

    def put(self, frame: Timed) -> None:
        """Add the next picture; one out of order is left out."""
        last = self._coming[-1] if self._coming else self._current
        if last is not None and (frame.time_us >= last.time_us if self.backwards else frame.time_us <= last.time_us):
            return
        self._coming.append(frame)

    def show(self, position_us: int) -> tuple[Outlook, Timed | None]:
        """What to show at a moment: the last picture at or before it. Moments only go in the shelf's direction."""
        if self.backwards:
            return self._show_backwards(position_us)
        while self._coming and self._coming[0].time_us <= position_us:
            self._current = self._coming.popleft()
        following = self._coming[0].time_us if self._coming else None
        if self._current is None:
            if following is None:
                return (Outlook.GAP if self.ended else Outlook.WAITING), None
            return (Outlook.GAP if following - position_us > GAP_US else Outlook.PICTURE), None
        if following is None and not self.ended:
            return Outlook.WAITING, self._current
        away = position_us - self._current.time_us
        if away > GAP_US:
            return Outlook.GAP, None
        return Outlook.PICTURE, self._current

    def next_after(self, position_us: int) -> int | None:
        """The moment of the first picture after this one; none when none is here."""
        return next((frame.time_us for frame in self._coming if frame.time_us > position_us), None)

    def _show_backwards(self, position_us: int) -> tuple[Outlook, Timed | None]:
        while self._coming and (self._current is None or self._current.time_us > position_us):
            self._current = self._coming.popleft()
        if self._current is None:
            return (Outlook.GAP if self.ended else Outlook.WAITING), None
        if self._current.time_us > position_us:
            return (Outlook.GAP, None) if self.ended else (Outlook.WAITING, self._current)
        if position_us - self._current.time_us > GAP_US:
            return Outlook.GAP, None
        return Outlook.PICTURE, self._current
