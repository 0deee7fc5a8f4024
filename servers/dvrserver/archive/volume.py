"""Writes footage of one volume on a thread, and syncs it on another, so that no disk ever stalls capture.

The writing thread makes one system call per fragment. The syncing thread makes a round every few seconds: data of
files, their folders, then rows of the index; a row never promises what is not on disk.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from broker.process import logger
from servers.dvrserver.archive import table
from servers.dvrserver.archive.index import Index, Row
from servers.dvrserver.archive.values import GAP_US, RecordingError

log = logger(__name__)

MAX_WAITING = 64 << 20
"""Bytes that wait for the disk; beyond them footage is dropped and reported rather than memory filled."""
MAX_BUFFERS = 1000
"""Buffers per system call; Linux takes 1024 (IOV_MAX)."""
NAME_TRIES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OnState = Callable[[str, str, RecordingError | None], None]
"""Called with camera, stream and what is wrong when writing begins to fail, and with none when it works again."""


class OpenSegment:
    """A segment that is being written. The writing thread changes it; others look at `row()`."""

    def __init__(self, camera_id: str, stream: str, start_us: int) -> None:
        self.camera_id = camera_id
        self.stream = stream
        self.start_us = start_us
        self.broken = False
        """A write has failed: what follows belongs into a new segment."""
        self.id = ""
        self.path = Path()
        self.fd = -1
        self.size = 0
        self.end_us = start_us
        self.continuous = True
        self.finished = False
        self.table = bytearray()
        self.synced = -1
        """Size at the last sync round."""

    def row(self, root: Path, *, closed: bool = False) -> Row:
        """The segment as its row says it."""
        return Row(
            self.id, self.camera_id, self.stream, self.start_us, self.end_us,
            str(self.path.relative_to(root)), self.size, self.continuous, closed, bytes(self.table),
        )  # fmt: skip


class Piece(NamedTuple):
    """A fragment on its way to the disk."""

    segment: OpenSegment
    buffers: list[bytes]
    size: int
    head: int
    """Bytes in front that belong to the file, not to the fragment."""
    time_us: int
    duration_us: int
    key: bool


def name_of(start_us: int) -> tuple[str, str]:
    """Folder (the day) and name of a segment that begins then."""
    start = _EPOCH + timedelta(microseconds=start_us)
    return f"{start:%Y-%m-%d}", f"{start:%Y%m%dT%H%M%S}.{start.microsecond:06d}Z"


class Volume:
    """The two threads, and the segments that are not closed in the index yet."""

    def __init__(self, root: Path, index: Index, *, sync_s: float, on_state: OnState) -> None:
        self.root = root
        self.dropped = 0
        """Fragments lost since the start."""
        self.written_bytes = 0
        self._index = index
        self._sync_s = sync_s
        self._on_state = on_state
        self._queue: SimpleQueue[Piece | OpenSegment | None] = SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._open: dict[str, OpenSegment] = {}
        self._new_folders: set[Path] = set()
        self._failing: dict[tuple[str, str], str] = {}
        self._stop = threading.Event()
        self._index_failing = False
        self._writing = threading.Thread(target=self._write_all, name="archive-write", daemon=True)
        self._syncing = threading.Thread(target=self._sync_all, name="archive-sync", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._writing.start()
        self._syncing.start()

    def close(self) -> None:
        """Write what waits, sync it, close all segments and end the threads."""
        if self._stop.is_set():
            return
        self._queue.put(None)
        self._writing.join()
        self._stop.set()
        self._syncing.join()
        for segment in self._open.values():
            segment.finished = True
        self._sync()
        for segment in self._open.values():
            # Only after a failed round; the next start completes the rows from the files.
            os.close(segment.fd)
        self._open.clear()

    # --- called by the loop ---------------------------------------------------------------------------------------

    def submit(self, piece: Piece) -> bool:
        """Have a fragment written; false when too much waits already. Never blocks."""
        with self._lock:
            full = self._waiting + piece.size > MAX_WAITING
            if not full:
                self._waiting += piece.size
        if full:
            self._fail(
                piece.segment, "the disk is too slow for what is to be recorded; use a faster one or fewer cameras"
            )
            return False
        self._queue.put(piece)
        return True

    def finish(self, segment: OpenSegment) -> None:
        """Nothing follows in this segment."""
        self._queue.put(segment)

    def rows(self) -> list[Row]:
        """What is on disk of segments that are still open, ahead of the index."""
        with self._lock:
            return [segment.row(self.root) for segment in self._open.values()]

    # --- the writing thread ---------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, OpenSegment):
                item.finished = True
                continue
            with self._lock:
                self._waiting -= item.size
            segment = item.segment
            if segment.broken:
                self.dropped += 1
                continue
            try:
                self._write(item)
            except OSError as error:
                self._fail(segment, f"footage cannot be written to {self.root}: {error.strerror}; {_remedy(error)}")
            except Exception:
                # The thread serves all cameras: whatever is wrong with one segment must not end it.
                log.exception("segment not written", camera_id=segment.camera_id, stream=segment.stream)
                self._fail(segment, "footage cannot be written for a reason nobody thought of; see the log")
            else:
                if self._failing.pop((segment.camera_id, segment.stream), None) is not None:
                    log.info("recording works again", camera_id=segment.camera_id, stream=segment.stream)
                    self._on_state(segment.camera_id, segment.stream, None)

    def _write(self, piece: Piece) -> None:
        segment = piece.segment
        new = segment.fd < 0
        if new:
            self._create(segment)
        try:
            _write_at(segment.fd, piece.buffers, segment.size)
        except OSError:
            self._cut(segment)
            raise
        with self._lock:
            if piece.time_us - segment.end_us > GAP_US:
                segment.continuous = False
            segment.table += table.pack(
                piece.time_us, segment.size + piece.head, piece.size - piece.head, piece.duration_us, piece.key
            )
            segment.size += piece.size
            segment.end_us = piece.time_us + piece.duration_us
            self.written_bytes += piece.size
            if new:
                self._open[segment.id] = segment

    def _create(self, segment: OpenSegment) -> None:
        stem = self.root / segment.camera_id / segment.stream
        for more_us in range(NAME_TRIES):
            # The camera's clock may have been set back and run through the same moment again.
            day, name = name_of(segment.start_us + more_us)
            folder = stem / day
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}.mp4"
            try:
                segment.fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o640)
            except FileExistsError:
                continue
            segment.path, segment.id = path, f"{segment.camera_id}.{segment.stream}.{name}"
            with self._lock:
                self._new_folders |= {folder, stem, stem.parent, self.root}
            return
        raise FileExistsError(17, "there is footage of this moment already")

    def _cut(self, segment: OpenSegment) -> None:
        """Take away what a failed write left behind."""
        try:
            if segment.size:
                os.ftruncate(segment.fd, segment.size)
                return
            os.close(segment.fd)
            segment.fd = -1
            segment.path.unlink()
        except OSError as error:
            log.warning("torn tail not cut off", path=str(segment.path), reason=str(error))

    def _fail(self, segment: OpenSegment, sentence: str) -> None:
        segment.broken = True
        self.dropped += 1
        key = (segment.camera_id, segment.stream)
        if self._failing.get(key) == sentence:
            return
        self._failing[key] = sentence
        log.error("recording fails", camera_id=segment.camera_id, stream=segment.stream, reason=sentence)
        self._on_state(segment.camera_id, segment.stream, RecordingError(sentence))

    # --- the syncing thread ---------------------------------------------------------------------------------------

    def _sync_all(self) -> None:
        while not self._stop.wait(self._sync_s):
            try:
                self._sync()
            except Exception:
                log.exception("sync round failed")

    def _sync(self) -> None:
        with self._lock:
            changed = [
                (segment, segment.finished, segment.row(self.root, closed=segment.finished))
                for segment in self._open.values()
                if segment.finished or segment.size != segment.synced
            ]
            folders, self._new_folders = self._new_folders, set()
        if not changed:
            return
        for segment, _, _ in changed:
            try:
                os.fdatasync(segment.fd)
            except OSError as error:
                self._fail(segment, f"footage did not reach the disk: {error.strerror}; {_remedy(error)}")
        for folder in sorted(folders):
            _sync_folder(folder)
        try:
            self._index.store(row for _, _, row in changed)
        except sqlite3.Error as error:
            if not self._index_failing:
                log.error("index cannot be written", reason=str(error))  # noqa: TRY400 - the reason says it all
            self._index_failing = True
            return
        self._index_failing = False
        closed = [segment for segment, finished, _ in changed if finished]
        with self._lock:
            for segment, _, row in changed:
                segment.synced = row.size
            for segment in closed:
                del self._open[segment.id]
        for segment in closed:
            os.close(segment.fd)


def _write_at(fd: int, buffers: list[bytes], offset: int) -> None:
    """One system call, as a rule; the rest after a short write, which comes before "no space left"."""
    rest: Sequence[bytes | memoryview] = buffers
    while rest:
        done = os.pwritev(fd, rest[:MAX_BUFFERS], offset)
        offset += done
        for number, buffer in enumerate(rest):
            if done < len(buffer):
                rest = [memoryview(buffer)[done:], *rest[number + 1 :]]
                break
            done -= len(buffer)
        else:
            return


def _sync_folder(folder: Path) -> None:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        log.warning("folder not synced", path=str(folder), reason=str(error))


def _remedy(error: OSError) -> str:
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return "free some space or shorten the retention"
    if error.errno == 30:  # noqa: PLR2004 - EROFS
        return "the volume is read-only; check the disk and mount it again"
    return "check the volume"
