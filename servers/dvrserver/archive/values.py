"""What the archive speaks of. All times are µs since 1970 UTC; a stretch of time ends before its end."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from broker.model.resources import Camera, RecordingMode

GAP_US = 1_500_000
"""Fragments farther apart than this have a gap between them."""
MAX_SEGMENT_US = 7_200_000_000
"""No segment is longer, so a search by time need not look farther back."""
HOUR_US = 3_600_000_000


class RecordingError(Exception):
    """Footage could not be written. The sentence says what happened and what to do."""


class OrderConflictError(Exception):
    """An order of this id exists for another camera."""


class Span(NamedTuple):
    """A stretch of recorded time."""

    start_us: int
    end_us: int
    stream: str
    protected: bool
    """Whether an order keeps it beyond the rolling buffer."""


class SegmentFile(NamedTuple):
    """One file of the archive."""

    id: str
    camera_id: str
    stream: str
    start_us: int
    end_us: int
    size: int
    """Bytes written so far; the newest file still grows."""
    path: Path


class FragmentPlace(NamedTuple):
    """Where a fragment lies."""

    segment: SegmentFile
    time_us: int
    """When its first picture was taken."""
    offset: int
    size: int
    duration_us: int
    key: bool
    """Whether decoding can begin with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Keep a camera's footage from the rolling buffer's expiry."""

    id: str
    camera_id: str
    start_us: int
    end_us: int | None
    """None: until now, as long as no end is set."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a camera's footage is kept."""

    buffer_us: int | None
    """Age at which footage without an order goes; none: it stays as long as `kept_us` says."""
    kept_us: int
    protected_us: int

    @classmethod
    def of(cls, camera: Camera) -> "Retention":
        """As the camera is configured."""
        return cls(
            buffer_us=camera.buffer_s * 1_000_000 if camera.recording is RecordingMode.ON_ALARM else None,
            kept_us=max(camera.retention_h * HOUR_US, camera.buffer_s * 1_000_000),
            protected_us=max(camera.alarm_retention_h, camera.retention_h) * HOUR_US,
        )

    @property
    def unprotected_us(self) -> int:
        """Age at which footage without an order goes."""
        return self.kept_us if self.buffer_us is None else min(self.buffer_us, self.kept_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What opening the archive found."""

    rebuilt: bool = False
    """The index was damaged or lost and was made anew from the files; every order is replaced by one over all."""
    completed: tuple[str, ...] = ()
    """Segments whose rows were completed from their files."""
    truncated_bytes: int = 0
    """Torn tails that were cut off."""
    missing: tuple[str, ...] = ()
    """Segments that the index knew and the disk does not have."""
    unreadable: tuple[str, ...] = ()
    """Files that are no footage of ours; they are left alone."""
