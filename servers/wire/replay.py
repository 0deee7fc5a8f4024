"""Recorded pictures in the order, at the pace and with the time stamps with which a viewer is sent them.

Pieces of footage go in, in the order in which they are read: forwards fragment by fragment, backwards GOP by GOP. What
comes out says when each picture is due, counted from the moment at which PLAY takes effect, and where it stands on
the RTP time line, which always runs forwards at the speed of watching (RFC 2326, appendix B).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from servers.wire.rtp.replay import BREAK, CLEAN

MAX_SCALE = 64.0
MAX_PICTURES_S = 130
"""Pictures a second that a viewer is sent; where the scale would make more of them, key frames are sent alone."""
KEY_FRAMES_S = 30
"""Key frames a second, when they are sent alone."""


class Recorded(NamedTuple):
    """A picture or an audio frame out of the archive."""

    track: int
    """Index into the tracks that were described to the viewer."""
    time_us: int
    duration_us: int
    key: bool
    data: bytes


class Piece(NamedTuple):
    """Footage without a gap inside."""

    units: Sequence[Recorded]
    """In order of time, a key frame first when a GOP begins with it."""
    gap_us: int = 0
    """Time without footage between this piece and the one before it in the order of playing."""


class Due(NamedTuple):
    """Something to send."""

    due_us: int
    """After the beginning of PLAY; zero and less: at once."""
    media_us: int
    """On the RTP time line, from the first unit on."""
    unit: Recorded
    flags: int
    """As `servers.wire.rtp.replay` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What PLAY asks for."""

    start_us: int
    end_us: int | None = None
    """Where to stop; backwards it lies before the start."""
    scale: float = 1.0
    paced: bool = True
    key_frames: bool = False
    interval_us: int = 0
    """Between two key frames that are sent alone, at least."""

    @property
    def backwards(self) -> bool:
        """Whether time runs backwards."""
        return self.scale < 0

    @property
    def sound(self) -> bool:
        """Whether sound is sent: only where it sounds as it did."""
        return self.scale == 1 and not self.key_frames


def needs_key_frames(pictures: int, duration_us: int, scale: float) -> bool:
    """Whether so many pictures in so much time are too many at this scale."""
    return pictures * abs(scale) * 1_000_000 > MAX_PICTURES_S * max(duration_us, 1)


class Replay:
    """One PLAY. `video` is the index of the video track."""

    def __init__(self, wanted: Wanted, video: int = 0) -> None:
        self.wanted = wanted
        self.finished = False
        """The end of the range has been reached: what is fed from now on is ignored."""
        self._video = video
        self._rate = abs(wanted.scale)
        self._origin: int | None = None
        """Time of the first unit; backwards with whole GOPs, where the first GOP ends."""
        self._skipped = 0
        self._lead = 0.0
        """How far on the RTP time line the start lies behind the first unit, µs."""
        self._last_key: int | None = None
        self._step = wanted.interval_us
        if wanted.key_frames and wanted.paced:
            self._step = max(self._step, int(self._rate * 1_000_000 / KEY_FRAMES_S))

    def feed(self, piece: Piece) -> list[Due]:
        """What of a piece is sent."""
        if self.finished or not piece.units:
            return []
        if self._origin is not None:
            self._skipped += piece.gap_us
        if not self.wanted.backwards:
            return self._forwards(piece)
        return self._one_back(piece) if self.wanted.key_frames else self._gop_back(piece)

    def passes(self, time_us: int) -> bool:
        """Whether the key frame of this time is too near the last one to be sent, so that it need not be read."""
        return self._last_key is not None and abs(time_us - self._last_key) < self._step

    # --- forwards -----------------------------------------------------------------------------------------------------

    def _forwards(self, piece: Piece) -> list[Due]:
        wanted, found = self.wanted, list[Due]()
        broken = bool(piece.gap_us)
        for unit in piece.units:
            is_video = unit.track == self._video
            if wanted.end_us is not None and unit.time_us >= wanted.end_us:
                self.finished = self.finished or is_video
                continue
            if not is_video and (not wanted.sound or self._origin is None or unit.time_us < wanted.start_us):
                continue
            if is_video and wanted.key_frames and not self._takes(unit):
                continue
            if self._origin is None:
                self._origin = unit.time_us
                self._lead = max(0, wanted.start_us - unit.time_us) / self._rate
            media = max(0, unit.time_us - self._origin - self._skipped) / self._rate
            flags = (CLEAN if unit.key and is_video else 0) | (BREAK if broken and is_video else 0)
            broken = broken and not is_video
            found.append(self._due(media, media - self._lead, unit, flags))
        return found

    def _takes(self, unit: Recorded) -> bool:
        """Whether a picture is among the key frames that are sent alone."""
        if not unit.key:
            return False
        if self.passes(unit.time_us):
            return False
        self._last_key = unit.time_us
        return True

    # --- backwards ----------------------------------------------------------------------------------------------------

    def _one_back(self, piece: Piece) -> list[Due]:
        """The key frame of a GOP. The one at which it begins is shown at once, those before it in their time."""
        wanted = self.wanted
        key = next((unit for unit in piece.units if unit.track == self._video and unit.key), None)
        if key is None or not self._takes(key):
            return []
        if wanted.end_us is not None and key.time_us < wanted.end_us:
            self.finished = True
            return []
        if self._origin is None:
            self._origin = key.time_us
            self._lead = min(0, key.time_us - wanted.start_us) / self._rate
            return [self._due(0, 0, key, CLEAN | BREAK)]
        media = max(0, self._origin - key.time_us - self._skipped) / self._rate
        return [self._due(media, media - self._lead, key, CLEAN | BREAK)]

    def _gop_back(self, piece: Piece) -> list[Due]:
        """A GOP in the order of decoding, all at once when its time comes: who shows it turns it round."""
        wanted = self.wanted
        units = [unit for unit in piece.units if unit.track == self._video]
        if self._origin is None:
            units = [unit for unit in units if unit.time_us <= wanted.start_us] or units[:1]
            self._origin = units[-1].time_us + units[-1].duration_us if units else None
        if not units or self._origin is None:
            return []
        begin, end = units[0].time_us, units[-1].time_us + units[-1].duration_us
        if wanted.end_us is not None and end <= wanted.end_us:
            self.finished = True
            return []
        base = max(0, self._origin - end - self._skipped) / self._rate
        found = []
        for unit in units:
            flags = (CLEAN if unit.key else 0) | (BREAK if unit is units[0] else 0)
            found.append(self._due(base + (unit.time_us - begin) / self._rate, base, unit, flags))
        return found

    def _due(self, media: float, due: float, unit: Recorded, flags: int) -> Due:
        return Due(int(due) if self.wanted.paced else 0, int(media), unit, flags)
