"""Repackages a camera's access units as fragmented MP4 for a browser's MediaSource. No I/O."""

from typing import Literal, NamedTuple

from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.mp4 import frame_fragment, init_segment, mime_type

Media = Literal["video", "audio"]
FIRST_GUESS = {"video": 3600, "audio": 1024}
"""Ticks: 25 pictures a second, or one AAC frame, until two have been seen."""
LONGEST_STEP_S = 10
"""A step beyond it is a jump of the camera's clock, which a player need not follow."""


class Chunk(NamedTuple):
    """One picture as a fragment."""

    data: bytes
    key: bool


class Beginning(NamedTuple):
    """What a player needs before the first chunk."""

    mime: str
    init: bytes


class Packager:
    """One track, the picture or the sound: a player of both would stand still when one of them does."""

    def __init__(self, media: Media = "video") -> None:
        self.beginning: Beginning | None = None
        self._media = media
        self._track = -1
        self._format: Format | None = None
        self._sequence = 0
        self._last_timestamp: int | None = None
        self._time = 0
        self._step = FIRST_GUESS[media]

    def described(self, formats: tuple[Format, ...]) -> bool:
        """The stream's tracks; whether there is one that can be shown."""
        self._track, found = next(
            ((index, track) for index, track in enumerate(formats) if track.media == self._media), (-1, None)
        )
        if found is not None:
            self._begin(found)
        return found is not None

    def packed(self, unit: AccessUnit) -> tuple[Beginning | None, Chunk | None]:
        """The chunk of a picture, and before it a new beginning where the format has changed."""
        if unit.track != self._track:
            return None, None
        beginning = None
        if isinstance(unit.format, H264Format) and not self._knows(unit.format):
            beginning = self._begin(unit.format)
        if self._last_timestamp is not None:
            step = unit.timestamp - self._last_timestamp
            # Each fragment says when it begins, so the length of the newest picture may be a guess.
            longest = LONGEST_STEP_S * (self._format.clock_rate if self._format else 0)
            self._step = step if 0 < step <= longest else self._step
            self._time += self._step
        self._last_timestamp = unit.timestamp
        self._sequence += 1
        data = frame_fragment(self._sequence, 0, self._time, self._step, unit.data, key=unit.key)
        return beginning, Chunk(data, unit.key)

    def _knows(self, video: H264Format) -> bool:
        """Whether a player that has begun can go on: what it was told holds the same parameter sets."""
        known = self._format
        return isinstance(known, H264Format) and (video.sps, video.pps) == (known.sps, known.pps)

    def _begin(self, found: Format) -> Beginning:
        self._format = found
        self.beginning = Beginning(mime_type((found,)), init_segment((found,)))
        return self.beginning
