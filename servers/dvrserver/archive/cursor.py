"""A reader's place in the footage of one stream: goes to a moment, then on or back, fragment by fragment.

All methods touch the disk for about a millisecond: call them on threads, one at a time.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from broker.process import logger
from servers.dvrserver.archive import table
from servers.dvrserver.archive.index import Row
from servers.dvrserver.archive.values import GAP_US
from servers.wire.media import Format
from servers.wire.mp4 import LaidRun, Mp4Error, fragment_layout, leading_sample, parse_fragment, parse_init

if TYPE_CHECKING:
    from servers.dvrserver.archive.archive import Archive

log = logger(__name__)

MAX_GOP = 32 << 20
"""Bytes that are read of one GOP; of a longer one, its key frame alone."""
HEAD = 16 << 10
"""Bytes in front of a fragment in which its sample table and, often, no picture fit."""
SECOND_US = 1_000_000


class Shot(NamedTuple):
    """A picture or an audio frame of a segment."""

    track: int
    """Index into the segment's formats."""
    time_us: int
    duration_us: int
    key: bool
    data: bytes


class Taken(NamedTuple):
    """What was read at one place."""

    formats: tuple[Format, ...]
    shots: Sequence[Shot]
    """In order of time."""


class Cursor:
    """A place among the fragments of one stream. Files that are deleted meanwhile are still read to their end."""

    def __init__(self, archive: "Archive", camera_id: str, stream: str) -> None:
        self._archive = archive
        self._camera_id = camera_id
        self._stream = stream
        self._row: Row | None = None
        self._number = 0
        self._opened = ""
        """Id of the segment whose file is open."""
        self._fd = -1
        self._formats: tuple[Format, ...] = ()

    def close(self) -> None:
        """Close the file. The place is kept."""
        fd, self._fd, self._opened = self._fd, -1, ""
        if fd >= 0:
            os.close(fd)

    @property
    def entry(self) -> table.Entry:
        """The fragment at this place."""
        assert self._row is not None, "seek first"
        return table.entry(self._row.table, self._number)

    @property
    def formats(self) -> tuple[Format, ...]:
        """The tracks of the footage at this place.

        Raises:
            OSError, Mp4Error: The file is gone or damaged.
        """
        self._open()
        return self._formats

    # --- finding a place ----------------------------------------------------------------------------------------------

    def seek(self, time_us: int) -> bool:
        """Go to where decoding must begin to show a moment, or, in a gap, to the footage after it.

        False: there is no footage of the moment and none after it.
        """
        row = self._archive.before(self._camera_id, self._stream, time_us)
        if row is None:
            return self._enter(self._archive.after(self._camera_id, self._stream, time_us))
        self._row, self._number = row, max(table.number_at(row.table, time_us), 0)
        entry = self.entry
        if time_us >= entry.time_us + entry.duration_us + GAP_US:
            return self._next()
        self._to_key()
        return True

    def seek_back(self, time_us: int) -> bool:
        """Go to the last place at or before a moment where decoding can begin; false when all is later."""
        row = self._archive.before(self._camera_id, self._stream, time_us)
        if row is None:
            return False
        self._row, self._number = row, max(table.number_at(row.table, time_us), 0)
        self._to_key()
        return True

    # --- moving -------------------------------------------------------------------------------------------------------

    def forward(self, *, keys: bool = False) -> int | None:
        """Go to the next fragment, or to the next that begins with a key frame.

        Returns the time without footage that was passed, µs, or none at the end of what is written by now.
        """
        gap = 0
        kept = self._row, self._number
        while True:
            end_us = self.entry.time_us + self.entry.duration_us
            if not self._next():
                self._row, self._number = kept
                return None
            step = self.entry.time_us - end_us
            if step > GAP_US or step < -GAP_US:
                gap += step
            if self.entry.key or not keys:
                return gap

    def back(self) -> int | None:
        """Go from the beginning of a GOP to that of the one before; the time without footage between, or none."""
        row = self._row
        assert row is not None, "seek first"
        begin_us = self.entry.time_us
        if self._number > 0:
            self._number -= 1
        else:
            before = self._archive.before(self._camera_id, self._stream, row.start_us - 1)
            if before is None:
                return None
            self._row, self._number = before, table.count(before.table) - 1
        step = begin_us - self.entry.time_us - self.entry.duration_us
        self._to_key()
        return step if abs(step) > GAP_US else 0

    def _next(self) -> bool:
        row = self._row
        assert row is not None, "seek first"
        if self._number + 1 < table.count(row.table):
            self._number += 1
            return True
        # The later segment is looked for first: once it is there, nothing is added to this one any more.
        later = self._archive.after(self._camera_id, self._stream, row.start_us)
        if not row.closed:
            fresh = self._archive.row(row.id)
            if fresh is not None and len(fresh.table) > len(row.table):
                self._row = fresh
                self._number += 1
                return True
        return self._enter(later)

    def _enter(self, row: Row | None) -> bool:
        if row is None:
            return False
        self._row, self._number = row, 0
        return True

    def _to_key(self) -> None:
        while self._number > 0 and not self.entry.key:
            self._number -= 1

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> Taken:
        """The fragment at this place.

        Raises:
            OSError, Mp4Error: The file is gone or damaged.
        """
        return Taken(self.formats, sorted(self._shots(self._bytes(self.entry)), key=_by_time))

    def read_gop(self) -> Taken:
        """All of the GOP that begins at this place, in one read; its key frame alone when it is very long."""
        row = self._row
        assert row is not None, "seek first"
        entries = [self.entry]
        for number in range(self._number + 1, table.count(row.table)):
            entry = table.entry(row.table, number)
            if entry.key:
                break
            entries.append(entry)
        first = entries[0]
        if sum(entry.size for entry in entries) > MAX_GOP:
            return self.read_key()
        self._open()
        data = self._pread(entries[-1].offset + entries[-1].size - first.offset, first.offset)
        shots = list[Shot]()
        for entry in entries:
            at = entry.offset - first.offset
            shots += self._shots(data[at : at + entry.size])
        return Taken(self._formats, sorted(shots, key=_by_time))

    def read_key(self) -> Taken:
        """The key frame with which the fragment at this place begins."""
        entry = self.entry
        self._open()
        front = self._pread(min(HEAD, entry.size), entry.offset)
        found = leading_sample(front)
        if found is None:
            return self.read()
        track, time, duration, start, size = found
        end = start + size
        data = front[start:end] if end <= len(front) else self._pread(size, entry.offset + start)
        at_us = self._time_us(track, time)
        return Taken(
            self._formats, (Shot(track, at_us, self._time_us(track, time + duration) - at_us, entry.key, data),)
        )

    def layout(self) -> list[LaidRun]:
        """Where the samples of the fragment at this place lie in the file; offsets count from the file's beginning."""
        entry = self.entry
        self._open()
        runs = fragment_layout(self._pread(min(HEAD, entry.size), entry.offset))
        if runs is None:
            runs = fragment_layout(self._pread(entry.size, entry.offset)) or []
        return [run._replace(offset=run.offset + entry.offset) for run in runs]

    @property
    def segment(self) -> tuple[str, Path]:
        """Id and file of the segment at this place."""
        assert self._row is not None, "seek first"
        return self._row.id, self._archive.path / self._row.path

    def time_us(self, track: int, tick: int) -> int:
        """When a tick of a track of the segment at this place was, µs since 1970."""
        return self._time_us(track, tick)

    def _bytes(self, entry: table.Entry) -> bytes:
        self._open()
        return self._pread(entry.size, entry.offset)

    def _pread(self, size: int, offset: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        if len(data) < size:
            raise Mp4Error("the file is shorter than the index says")
        return data

    def _shots(self, data: bytes) -> list[Shot]:
        _, runs = parse_fragment(data)
        shots = []
        for run in runs:
            tick = run.time
            at_us = self._time_us(run.track, tick)
            for sample in run.samples:
                tick += sample.duration
                next_us = self._time_us(run.track, tick)
                shots.append(Shot(run.track, at_us, next_us - at_us, sample.key, sample.data))
                at_us = next_us
        return shots

    def _time_us(self, track: int, tick: int) -> int:
        assert self._row is not None
        if track >= len(self._formats):
            raise Mp4Error("a fragment has a track that the file does not describe")
        return self._row.start_us + tick * SECOND_US // self._formats[track].clock_rate

    def _open(self) -> None:
        row = self._row
        assert row is not None, "seek first"
        if row.id == self._opened:
            return
        self.close()
        self._fd = os.open(self._archive.path / row.path, os.O_RDONLY | os.O_CLOEXEC)
        self._opened = row.id
        self._formats = parse_init(os.pread(self._fd, table.entry(row.table, 0).offset, 0)).formats


def _by_time(shot: Shot) -> int:
    return shot.time_us
