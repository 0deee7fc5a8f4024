"""One camera's stream, given to all who watch it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from servers.wire.media import AccessUnit, Format
from servers.wire.rtsp.headers import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayOptions:
    """What a viewer asked for with PLAY."""

    tracks: frozenset[int] | None = None
    """Indices that it set up; none for all."""
    range: Range | None = None
    scale: float | None = None
    speed: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the request, by lower-case name (Rate-Control, Require…)."""


class Viewer(Protocol):
    """Who takes interleaved frames."""

    def send(self, data: bytes) -> None:
        """Take the `$` frames of one or more access units, never a part of one."""

    def backlog(self) -> int:
        """Bytes taken that the network has not taken yet."""

    def ended(self, reason: str) -> None:
        """No more will come."""


class Source(Protocol):
    """What RtspServer plays from: a LiveStream, later a recording."""

    def join(self, viewer: Viewer, options: PlayOptions | None = None) -> Mapping[str, str]:
        """Begin to send; returns headers for the answer to PLAY, which reaches the viewer before any frame does."""

    def leave(self, viewer: Viewer) -> None:
        """Send no more; harmless for one who is not there."""


class LiveStream:
    """One camera's stream: access units go in, every viewer gets the same interleaved frames."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self._formats = tuple(formats)

    @property
    def formats(self) -> tuple[Format, ...]:
        """The tracks as they are now."""
        return self._formats

    @property
    def viewers(self) -> int:
        """How many watch."""
        return 0

    @property
    def skipped(self) -> int:
        """Access units that slow viewers missed."""
        return 0

    def describe(self, formats: Sequence[Format]) -> None:
        """The camera was connected (again). Viewers stay when the tracks are of the same kind, else they are ended."""

    def push(self, units: Sequence[AccessUnit]) -> None:
        """Hand on what the camera sent."""

    def join(self, viewer: Viewer, options: PlayOptions | None = None) -> Mapping[str, str]:
        """Send the current group of pictures at once, then all that follows."""
        raise NotImplementedError

    def leave(self, viewer: Viewer) -> None:
        """Send no more to this viewer."""

    def close(self, reason: str) -> None:
        """End all viewers."""
