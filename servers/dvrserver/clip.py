"""A stretch of footage as one ordinary MP4: nothing is encoded anew and nothing is written to disk.

The tables of the file are made from those of the fragments; the pictures are then copied from where they lie. So the
length is known before the first byte, a clip of an hour begins after a moment, and who hangs up has cost little.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from broker.process import logger
from servers.dvrserver.archive import Archive, Cursor
from servers.dvrserver.archive.values import GAP_US
from servers.wire.media import Format
from servers.wire.mp4 import LaidRun, MovieTrack, Mp4Error, movie_head

log = logger(__name__)

MAX_CLIP_US = 3_600_000_000
"""One hour."""
CHUNK = 256 * 1024
"""Bytes of one read."""
MAX_OPEN = 64
"""Files of a clip that are held open from the beginning, so that expiry cannot take them away meanwhile."""
SNAP_US = 25_000
"""Sound so close to the end of the sound before it is put right there: rounding makes no clicks."""
SECOND_US = 1_000_000


@dataclass(slots=True)
class Copy:
    """Bytes of a file."""

    segment: str
    path: Path
    offset: int
    size: int


@dataclass(slots=True)
class Plan:
    """A clip that has been laid out."""

    start_us: int
    """When the first picture shown was taken."""
    end_us: int
    """Where the last one ends."""
    gaps: int
    """Times without footage, which the clip passes over."""
    head: bytes
    copies: list[Copy] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.head) + sum(copy.size for copy in self.copies)


def plan(archive: Archive, camera_id: str, stream: str, start_us: int, end_us: int) -> Plan | None:
    """Lay a clip out; none when there is no footage. Blocks: about 0.1 s for an hour.

    Raises:
        OSError, Mp4Error: The footage cannot be read.
    """
    cursor = archive.cursor(camera_id, stream)
    try:
        if not cursor.seek(start_us) or cursor.entry.time_us >= end_us:
            return None
        builder = _Builder(cursor, start_us, end_us)
        gap_us: int | None = 0
        while gap_us is not None and cursor.entry.time_us < end_us:
            try:
                builder.add(gap_us)
            except (OSError, Mp4Error) as error:
                log.warning("footage skipped", camera_id=camera_id, reason=str(error))
                gap_us = cursor.entry.duration_us
                builder.missed(gap_us)
            gap_us = cursor.forward()
        return builder.plan()
    finally:
        cursor.close()


async def content(planned: Plan) -> AsyncIterator[bytes]:
    """The file, piece by piece."""
    files: dict[str, int] = {}
    try:
        for copy in planned.copies:
            if copy.segment not in files and len(files) < MAX_OPEN:
                files[copy.segment] = await asyncio.to_thread(os.open, copy.path, os.O_RDONLY | os.O_CLOEXEC)
        yield planned.head
        for copy in planned.copies:
            if copy.segment not in files:
                os.close(files.pop(next(iter(files))))
                files[copy.segment] = await asyncio.to_thread(os.open, copy.path, os.O_RDONLY | os.O_CLOEXEC)
            done = 0
            while done < copy.size:
                piece = await asyncio.to_thread(
                    os.pread, files[copy.segment], min(CHUNK, copy.size - done), copy.offset + done
                )
                if not piece:
                    raise Mp4Error("a file of the clip is shorter than the index says")
                done += len(piece)
                yield piece
    finally:
        for fd in files.values():
            os.close(fd)


class _Builder:
    """Collects the samples of a clip."""

    def __init__(self, cursor: Cursor, start_us: int, end_us: int) -> None:
        self._cursor = cursor
        self._start_us = start_us
        self._end_us = end_us
        self._tracks: dict[str, MovieTrack] = {}
        self._origin_us: int | None = None
        """When the first picture was taken."""
        self._skipped_us = 0
        self._gaps = 0
        self._pending_us = 0
        self._first_us: int | None = None
        """When the first picture shown was taken."""
        self._last_us = start_us
        self._payload = 0
        self._copies: list[Copy] = []

    def missed(self, gap_us: int) -> None:
        """Footage that cannot be read."""
        self._pending_us += gap_us

    def add(self, gap_us: int) -> None:
        """Take the fragment at the cursor's place."""
        gap_us += self._pending_us
        self._pending_us = 0
        runs = self._cursor.layout()
        formats = self._cursor.formats
        if self._origin_us is not None and gap_us:
            self._skipped_us += gap_us
            self._gaps += abs(gap_us) > GAP_US
        for run in runs:
            if run.samples:
                self._run(run, formats[run.track])

    def _run(self, run: LaidRun, format_: Format) -> None:
        cursor = self._cursor
        track = self._tracks.setdefault(format_.media, MovieTrack())
        if track.formats and track.formats[0].clock_rate != format_.clock_rate:
            return  # Sound of another rate has no place on this track's clock.
        if format_.media != "video" and self._origin_us is None:
            return
        tick, at = run.time, run.offset
        taken: list[int] = []
        begins = at
        for duration, size, key, composition in run.samples:
            if composition:
                raise Mp4Error("footage with reordered pictures cannot be copied")
            time_us = cursor.time_us(run.track, tick)
            end_us = cursor.time_us(run.track, tick + duration)
            tick += duration
            if self._wanted(format_, time_us, end_us) and self._sample(track, format_, time_us, duration, key=key):
                if not taken:
                    begins = at
                taken.append(size)
            elif taken:
                self._chunk(track, format_, begins, taken)
                taken = []
            at += size
        if taken:
            self._chunk(track, format_, begins, taken)

    def _chunk(self, track: MovieTrack, format_: Format, offset: int, sizes: list[int]) -> None:
        """Samples that lie one behind another."""
        if format_ not in track.formats:
            track.formats.append(format_)
        track.chunks.append((self._payload, len(sizes), track.formats.index(format_)))
        track.sizes += sizes
        size = sum(sizes)
        self._copy(offset, size)
        self._payload += size

    def _wanted(self, format_: Format, time_us: int, end_us: int) -> bool:
        if time_us >= self._end_us:
            return False
        if format_.media != "video":
            return end_us > self._start_us
        if self._origin_us is None:
            self._origin_us = time_us
        if self._first_us is None and end_us > self._start_us:
            self._first_us = max(time_us, self._start_us)
        self._last_us = end_us
        return True

    def _sample(self, track: MovieTrack, format_: Format, time_us: int, duration: int, *, key: bool) -> bool:
        """Note when a sample begins; false when there is no room for it on its track."""
        assert self._origin_us is not None
        rate = format_.clock_rate
        start = (time_us - self._origin_us - self._skipped_us) * rate // SECOND_US
        snap = SNAP_US * rate // SECOND_US if format_.media != "video" else rate // 1000
        if track.starts:
            end = track.end
            if abs(start - end) <= snap:
                start = end
            elif start < end and format_.media == "video":
                start = track.starts[-1] + 1  # A clock that was set back; pictures lean on one another and all stay.
            elif start < end:
                return False
        elif start < 0:
            return False
        if not track.formats:
            track.formats.append(format_)
        track.starts.append(start)
        track.keys.append(key)
        track.last_duration = duration
        return True

    def _copy(self, offset: int, size: int) -> None:
        segment, path = self._cursor.segment
        last = self._copies[-1] if self._copies else None
        if last is not None and last.segment == segment and last.offset + last.size == offset:
            last.size += size
        else:
            self._copies.append(Copy(segment, path, offset, size))

    def plan(self) -> Plan | None:
        """What has been collected."""
        tracks = [track for kind in ("video", "audio") if (track := self._tracks.get(kind)) and track.starts]
        if self._origin_us is None or self._first_us is None or not tracks:
            return None
        hidden_us = self._first_us - self._origin_us
        return Plan(
            start_us=self._first_us,
            end_us=min(self._last_us, self._end_us),
            gaps=self._gaps,
            head=movie_head(tracks, self._payload, hidden_us=hidden_us, created_us=self._first_us),
            copies=self._copies,
        )
