"""When a picture was taken: RTP time stamps and sender reports made into one time that never goes backwards.

The rule, per stream:

1. Until the first sender report a track is anchored once: its first unit was taken when it arrived. Where arrival and
   stream drift apart later, it follows the earliest arrivals.
2. With sender reports the camera's clock decides, as long as it is within `sane_us` of this machine's.
3. A camera that believes to live in 1970, or whose clock jumped out of that range, keeps the time it had: the distance
   between its clock and the given time is fixed once, shared by its tracks. Its own time stays in the access unit.
4. A correction forwards of more than `STEP_US` is a step at a key frame: there was a gap. All others are slewed, at
   most 1/`SLEW` faster or slower than real time; so time never stands still and never goes backwards.
5. A time stamp that goes back, or leads more than `sane_us` + `LOST_US` away from arrival, is a restarted counter: the
   track is anchored anew.
"""

from collections.abc import Sequence

from servers.wire.media import AccessUnit, Format

SANE_US = 10_000_000
STEP_US = 500_000
SLEW = 20
LOST_US = 10_000_000
"""Beyond `sane_us`: what a stalled connection delivers late may be old, but not that old."""
BACK_US = 1_000_000
"""Time stamps that go back by less are packets out of order."""
DRIFT_US = 200_000
"""Without sender reports, how far arrival may wander off before it is followed."""
STILL_US = 500
"""Corrections below this are the camera's rounding."""
REVIEW_US = 1_000_000
"""Sound has no key frames: its anchor is looked at this often."""


class _Track:
    __slots__ = ("arrival", "last_us", "offset", "rate", "reviewed_us", "stamp_us", "target", "video")

    def __init__(self, format_: Format, last_us: int) -> None:
        self.rate = format_.clock_rate
        self.video = format_.media == "video"
        self.offset: int | None = None
        """From the time stamp to the time given, µs."""
        self.target = 0
        """Where the offset is slewed to."""
        self.stamp_us = 0
        self.last_us = last_us
        self.reviewed_us = 0
        self.arrival: int | None = None
        """The earliest arrival since the last review, as an offset."""


class CaptureClock:
    """One stream's clock, shared by its video and sound; it lives on when the camera reconnects."""

    def __init__(self, *, sane_us: int = SANE_US) -> None:
        self._sane_us = sane_us
        self._tracks: list[_Track] = []
        self._base_us: int | None = None
        """What is taken off the camera's clock; 0 while it is sane, none before the first report."""
        self._last_us = -1

    def described(self, formats: Sequence[Format]) -> None:
        """A connection begins, with these tracks; what it gives is later than all before."""
        self._last_us = max((track.last_us for track in self._tracks), default=self._last_us)
        self._tracks = [_Track(format_, self._last_us) for format_ in formats]
        self._base_us = None

    def stamp(self, units: Sequence[AccessUnit]) -> list[int]:
        """When each unit was taken, µs since 1970; strictly later than the unit before on the same track."""
        return [self._time(self._tracks[unit.track], unit) for unit in units]

    def _time(self, track: _Track, unit: AccessUnit) -> int:
        stamp_us = unit.timestamp * 1_000_000 // track.rate
        passed = stamp_us - track.stamp_us
        track.stamp_us = stamp_us
        arrival = unit.received_us - stamp_us
        if track.offset is None or passed < -BACK_US or abs(track.offset - arrival) > self._sane_us + LOST_US:
            self._anchor(track, unit, arrival)
        if track.arrival is None or arrival < track.arrival:
            track.arrival = arrival
        assert track.offset is not None
        if unit.key if track.video else stamp_us - track.reviewed_us >= REVIEW_US:
            self._review(track, unit, stamp_us)
        if track.offset != track.target:
            most = max(passed // SLEW, 0)
            track.offset += min(max(track.target - track.offset, -most), most)
        time_us = max(stamp_us + track.offset, track.last_us + 1)
        track.last_us = time_us
        return time_us

    def _anchor(self, track: _Track, unit: AccessUnit, arrival: int) -> None:
        camera = self._camera_offset(unit, arrival, None)
        track.offset = track.target = arrival if camera is None else camera
        track.arrival = None
        track.reviewed_us = track.stamp_us

    def _review(self, track: _Track, unit: AccessUnit, stamp_us: int) -> None:
        assert track.offset is not None
        target = self._camera_offset(unit, unit.received_us - stamp_us, track.offset)
        if target is None:
            target = track.arrival if track.arrival is not None else track.offset
            if abs(target - track.offset) <= DRIFT_US:
                target = track.offset
        if target - track.offset > STEP_US:
            track.offset = target
        elif abs(target - track.offset) < STILL_US:
            target = track.offset
        track.target = target
        track.arrival = None
        track.reviewed_us = stamp_us

    def _camera_offset(self, unit: AccessUnit, arrival: int, current: int | None) -> int | None:
        """The offset by the camera's clock; none before its first report."""
        if unit.camera_time_us is None:
            return None
        camera_us = unit.camera_time_us
        stamp_us = unit.received_us - arrival
        if abs(camera_us - unit.received_us) <= self._sane_us:
            self._base_us = 0
        elif not self._base_us or abs(camera_us - self._base_us - unit.received_us) > self._sane_us:
            self._base_us = camera_us - (unit.received_us if current is None else stamp_us + current)
        return camera_us - self._base_us - stamp_us
