"""Repackages a camera's access units as fragmented MP4 for a browser's MediaSource. No I/O."""

from typing import NamedTuple

from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.mp4 import frame_fragment, init_segment, mime_type

FIRST_GUESS = 3600
"""Ticks: 25 pictures a second, until two have been seen."""
LONGEST_STEP = 10 * 90_000
"""Ticks: a step beyond it is a jump of the camera's clock, which a player need not follow."""


class Chunk(NamedTuple):
    """One picture as a fragment."""

    data: bytes
    key: bool


class Beginning(NamedTuple):
    """What a player needs before the first chunk."""

    mime: str
    init: bytes


class Packager:
    """One video track; sound and data are left out."""

    def __init__(self) -> None:
        self.beginning: Beginning | None = None
        self._track = -1
        self._video: H264Format | None = None
        self._sequence = 0
        self._last_timestamp: int | None = None
        self._time = 0
        self._step = FIRST_GUESS

    def described(self, formats: tuple[Format, ...]) -> bool:
        """The stream's tracks; whether there is one that can be shown."""
        track, video = next(
            ((index, track) for index, track in enumerate(formats) if isinstance(track, H264Format)), (-1, None)
        )
        self._track = track
        if isinstance(video, H264Format):
            self._begin(video)
        return track >= 0

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
            self._step = step if 0 < step <= LONGEST_STEP else self._step
            self._time += self._step
        self._last_timestamp = unit.timestamp
        self._sequence += 1
        data = frame_fragment(self._sequence, 0, self._time, self._step, unit.data, key=unit.key)
        return beginning, Chunk(data, unit.key)

    def _knows(self, video: H264Format) -> bool:
        """Whether a player that has begun can go on: what it was told holds the same parameter sets."""
        return self._video is not None and (video.sps, video.pps) == (self._video.sps, self._video.pps)

    def _begin(self, video: H264Format) -> Beginning:
        self._video = video
        self.beginning = Beginning(mime_type((video,)), init_segment((video,)))
        return self.beginning
