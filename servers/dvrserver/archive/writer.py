"""Collects a stream's access units into fragments and segments. No I/O here: the volume's thread writes.

The units' bytes are never copied; a fragment costs one pass over its units once a second.
"""

from collections.abc import Sequence

from servers.dvrserver.archive.values import GAP_US, MAX_SEGMENT_US
from servers.dvrserver.archive.volume import OpenSegment, Piece, Volume
from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.mp4 import Label, Run, Sample, fragment, init_segment

SECOND_US = 1_000_000
FIRST_DURATION_US = 40_000
"""How long a picture is taken to last when nothing follows it."""
SNAP_US = 25_000
"""Sound whose time is so close to the end of the sound before it is put right there: rounding makes no clicks."""
AAC_FRAME = 1024
"""Samples in an AAC frame (ISO/IEC 14496-3, section 4.5.1.1)."""
MIN_SPS = 4
"""Bytes; a sequence parameter set begins with profile, constraints and level."""
MAX_PENDING = 2048
"""Units of sound that wait for a picture."""


class SegmentWriter:
    """Writes one stream of one camera. `write` never blocks and never raises for want of disk.

    A segment begins with a key frame and ends with the next one after `segment_us`, or when the picture's format
    changes. A fragment ends with a key frame or after `fragment_us`. Sound goes with the pictures around it.
    """

    def __init__(
        self,
        volume: Volume,
        camera_id: str,
        stream: str,
        formats: Sequence[Format],
        *,
        segment_us: int,
        fragment_us: int,
    ) -> None:
        self.formats = tuple(formats)
        self._volume = volume
        self._label = Label(camera_id=camera_id, stream=stream)
        self._segment_us = segment_us
        self._fragment_us = fragment_us
        self._lead = next((number for number, format_ in enumerate(self.formats) if format_.media == "video"), 0)
        self._segment: OpenSegment | None = None
        self._start_us = 0
        self._sequence = 0
        self._pending: list[list[tuple[int, AccessUnit]]] = [[] for _ in self.formats]
        self._fragment_start_us = 0
        self._duration_us = FIRST_DURATION_US
        self._next_tick = [0] * len(self.formats)

    def write(self, units: Sequence[AccessUnit], times_us: Sequence[int]) -> None:
        """Take units with the times that the capture clock gave them."""
        lead, pending = self._lead, self._pending
        for unit, time_us in zip(units, times_us, strict=True):
            if unit.track == lead:
                if unit.key:
                    self._key(unit, time_us)
                elif self._segment is not None and time_us - self._fragment_start_us >= self._fragment_us:
                    self._emit(time_us)
                if self._segment is None:
                    continue
            elif self._segment is None:
                continue
            waiting = pending[unit.track]
            waiting.append((time_us, unit))
            if len(waiting) > MAX_PENDING:
                del waiting[: MAX_PENDING // 2]

    def flush(self) -> None:
        """Write what is pending as a fragment."""
        if self._segment is not None:
            self._emit(None)

    def close(self) -> None:
        """Write what is pending and end the segment. Another `write` begins a new one."""
        self._end(None)

    def _key(self, unit: AccessUnit, time_us: int) -> None:
        segment = self._segment
        changed = unit.format is not None and unit.format != self.formats[self._lead]
        if segment is not None and not changed and not segment.broken and time_us - self._start_us < self._segment_us:
            self._emit(time_us)
        if (
            changed
            or self._segment is None
            or self._segment.broken
            or not 0 <= time_us - self._start_us < self._segment_us
        ):
            # Sound that belongs beside this picture is in the new segment, not at the old one's end.
            early = [[item for item in waiting if item[0] >= time_us] for waiting in self._pending]
            self._end(time_us)
            if changed and unit.format is not None:
                self.formats = (*self.formats[: self._lead], unit.format, *self.formats[self._lead + 1 :])
            lead = self.formats[self._lead]
            if isinstance(lead, H264Format) and len(lead.sps) < MIN_SPS:
                # No file can begin yet: neither the camera's description nor a picture has said what comes.
                return
            self._segment = OpenSegment(self._label.camera_id, self._label.stream, time_us)
            self._start_us = self._fragment_start_us = time_us
            self._sequence = 0
            self._next_tick = [0] * len(self.formats)
            self._pending[:] = early

    def _end(self, until_us: int | None) -> None:
        if self._segment is not None:
            self._emit(until_us)
        if self._segment is not None:
            self._volume.finish(self._segment)
            self._segment = None
        for waiting in self._pending:
            waiting.clear()

    def _emit(self, until_us: int | None) -> None:
        """Hand a fragment to the volume; `until_us` is when the picture after it was taken."""
        segment, lead = self._segment, self._pending[self._lead]
        if segment is None or not lead:
            return
        if segment.broken or lead[-1][0] - self._start_us > MAX_SEGMENT_US:
            self._volume.finish(segment)
            self._segment = None
            for waiting in self._pending:
                waiting.clear()
            return
        first_us, last_us = lead[0][0], lead[-1][0]
        if until_us is not None and 0 < until_us - last_us <= GAP_US:
            self._duration_us = until_us - last_us
        end_us = last_us + self._duration_us
        runs = [self._video_run(lead, end_us)]
        for track, waiting in enumerate(self._pending):
            if track != self._lead and waiting:
                later = [item for item in waiting if until_us is not None and item[0] >= until_us]
                runs.append(self._audio_run(track, waiting[: len(waiting) - len(later)]))
                self._pending[track] = later
        self._sequence += 1
        buffers = fragment(self._sequence, runs, wall_clock_us=first_us)
        head = 0
        if self._sequence == 1:
            opening = init_segment(self.formats, label=self._label)
            head = len(opening)
            buffers.insert(0, opening)
        size = sum(map(len, buffers))
        key = lead[0][1].key
        # As a scan of the file finds it, so that a rebuilt index equals this one.
        ticks = sum(sample.duration for sample in runs[0].samples)
        duration_us = ticks * SECOND_US // self.formats[self._lead].clock_rate
        self._pending[self._lead] = []
        if until_us is not None:
            self._fragment_start_us = until_us
        if not self._volume.submit(Piece(segment, buffers, size, head, first_us, duration_us, key)):
            self._segment = None
            self._volume.finish(segment)

    def _video_run(self, waiting: list[tuple[int, AccessUnit]], end_us: int) -> Run:
        rate, start = self.formats[self._lead].clock_rate, self._start_us
        ticks = [(time_us - start) * rate // SECOND_US for time_us, _ in waiting]
        time = ticks[0]
        ticks.append((end_us - start) * rate // SECOND_US)
        samples = [
            Sample(unit.data, ticks[number + 1] - ticks[number], unit.key) for number, (_, unit) in enumerate(waiting)
        ]
        return Run(self._lead, time, samples)

    def _audio_run(self, track: int, waiting: list[tuple[int, AccessUnit]]) -> Run:
        rate, start = self.formats[track].clock_rate, self._start_us
        snap, end = rate * SNAP_US // SECOND_US, self._next_tick[track]
        begin, samples = -1, list[Sample]()
        usual = AAC_FRAME
        for time_us, unit in waiting:
            tick = (time_us - start) * rate // SECOND_US
            if tick < 0 or tick < end - snap:
                # The capture clock runs slower to fall back to the camera's; sound that would pile up is left out.
                continue
            if samples and tick - end > snap:
                # Lost packets: the unit before lasts until this one, so that what follows stays in step.
                data, duration, key, _ = samples[-1]
                samples[-1] = Sample(data, duration + tick - end, key)
                end = tick
            elif not samples:
                begin = end if tick - end <= snap else tick
                end = begin
            samples.append(Sample(unit.data, usual, True))
            end += usual
        self._next_tick[track] = end
        return Run(track, max(begin, 0), samples)
