"""The archive of a node: writers for its cameras, answers about its footage, orders and expiry."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from broker.process import logger
from servers.dvrserver.archive import recovery, table
from servers.dvrserver.archive.cursor import Cursor
from servers.dvrserver.archive.index import NEVER_US, Index, Row
from servers.dvrserver.archive.stretch import Stretch, cut
from servers.dvrserver.archive.values import (
    GAP_US,
    FragmentPlace,
    Order,
    RecordingError,
    Recovery,
    Retention,
    SegmentFile,
    Span,
)
from servers.dvrserver.archive.volume import OnState, Volume
from servers.dvrserver.archive.writer import SegmentWriter
from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.mp4 import Mp4Error, parse_fragment, parse_init
from servers.wire.mp4.reader import MAX_INIT

log = logger(__name__)

EXPIRE_BATCH = 200
"""Segments of one camera that are deleted in one go, so that a writer never waits long for the index."""


def _ignore(camera_id: str, stream: str, error: RecordingError | None) -> None:
    del camera_id, stream, error


class Archive:
    """Footage on one volume.

    All methods but `writer` touch the disk for milliseconds: from an event loop call them by `asyncio.to_thread`.
    Answers include what is written to segments that are still open. Times are µs since 1970 UTC.
    """

    def __init__(
        self,
        path: Path,
        index: Path,
        *,
        segment_s: float = 180.0,
        fragment_s: float = 1.0,
        sync_s: float = 5.0,
        on_state: OnState = _ignore,
    ) -> None:
        self.path = path
        self._index_path = index
        self._segment_us = int(segment_s * 1_000_000)
        self._fragment_us = int(fragment_s * 1_000_000)
        self._sync_s = sync_s
        self._on_state = on_state
        self._index: Index
        self._volume: Volume
        self._opened = False

    def open(self) -> Recovery:
        """Bring index and files together and begin to take footage.

        Raises:
            OSError: The folder cannot be made or read.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._index_path.parent.mkdir(parents=True, exist_ok=True)
        self._index, rebuilt = recovery.open_index(self._index_path)
        found = recovery.recover(self.path, self._index, rebuilt=rebuilt)
        if found.completed or found.missing or found.truncated_bytes:
            log.info(
                "archive recovered",
                completed=len(found.completed),
                missing=len(found.missing),
                truncated_bytes=found.truncated_bytes,
                rebuilt=found.rebuilt,
            )
        self._volume = Volume(self.path, self._index, sync_s=self._sync_s, on_state=self._on_state)
        self._volume.start()
        self._opened = True
        return found

    def close(self) -> None:
        """Write and sync what is pending. Close the writers first. Safe to call twice."""
        if self._opened:
            self._opened = False
            self._volume.close()
            self._index.close()

    def writer(self, camera_id: str, stream: str, formats: Sequence[Format]) -> SegmentWriter:
        """Record a stream; one writer per connection. Its segments begin with its first key frame."""
        return SegmentWriter(
            self._volume, camera_id, stream, formats, segment_us=self._segment_us, fragment_us=self._fragment_us
        )

    # --- answers --------------------------------------------------------------------------------------------------

    def cameras(self) -> frozenset[str]:
        """Cameras with footage."""
        return frozenset(camera_id for camera_id, _ in self._streams())

    def _streams(self) -> set[tuple[str, str]]:
        return {*self._index.streams(), *((row.camera_id, row.stream) for row in self._volume.rows())}

    def _between(self, camera_id: str, stream: str, start_us: int, end_us: int, *, tables: bool) -> list[Row]:
        # Open segments are read first: one that is closed in between is then in both, never in neither.
        opened = {
            row.id: row
            for row in self._volume.rows()
            if row.camera_id == camera_id and row.stream == stream and row.start_us < end_us and row.end_us > start_us
        }
        rows = {row.id: row for row in self._index.between(camera_id, stream, start_us, end_us, tables=tables)}
        return sorted({**rows, **opened}.values(), key=lambda row: row.start_us)

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> tuple[Span, ...]:
        """The stretches of time with footage, oldest first; a gap is more than 1.5 s without a fragment."""
        orders = self._index.orders(camera_id)
        found: list[Span] = []
        for stream in sorted(stream for camera, stream in self._streams() if camera == camera_id):
            spans: list[Span] = []
            # A month has 20,000 segments: one value for each stretch, not for each of them.
            begin = end = -1
            kept = False
            for first_us, last_us, stretches in self._stretches(camera_id, stream, start_us, end_us):
                protected = bool(orders) and any(since < last_us and until > first_us for since, until in orders)
                for from_us, to_us in ((first_us, last_us),) if stretches is None else stretches:
                    if begin >= 0 and protected == kept and 0 <= from_us - end <= GAP_US:
                        end = to_us
                        continue
                    if begin >= 0:
                        spans.append(Span(begin, end, stream, kept))
                    begin, end, kept = from_us, to_us, protected
            if begin >= 0:
                spans.append(Span(begin, end, stream, kept))
            cut_off = (
                span._replace(start_us=max(span.start_us, start_us), end_us=min(span.end_us, end_us))
                for span in _merged(spans)
            )
            found += [span for span in cut_off if span.start_us < span.end_us]
        return tuple(sorted(found, key=lambda span: (span.start_us, span.stream)))

    def _stretches(
        self, camera_id: str, stream: str, start_us: int, end_us: int
    ) -> Iterator[tuple[int, int, list[tuple[int, int]] | None]]:
        """Beginning and end of each segment that touches a time, and where it has footage; none: everywhere."""
        # Open segments are read first, see `_between`; those that have no gap need no table.
        opened = {
            row.start_us: row
            for row in self._volume.rows()
            if row.camera_id == camera_id and row.stream == stream and row.start_us < end_us and row.end_us > start_us
        }
        for first_us, last_us, continuous in self._index.spans(camera_id, stream, start_us, end_us):
            if first_us in opened:
                continue
            if continuous:
                yield first_us, last_us, None
            elif row := self._index.at(camera_id, stream, first_us):
                yield first_us, last_us, table.spans(row.table)
        for row in opened.values():
            yield row.start_us, row.end_us, table.spans(row.table)

    def segments(
        self, camera_id: str, start_us: int, end_us: int, stream: str | None = None
    ) -> tuple[SegmentFile, ...]:
        """The files that touch a stretch of time, oldest first."""
        streams = [s for c, s in sorted(self._streams()) if c == camera_id and stream in (None, s)]
        rows = [row for s in streams for row in self._between(camera_id, s, start_us, end_us, tables=False)]
        return tuple(self._file(row) for row in sorted(rows, key=lambda row: row.start_us))

    def segment(self, segment_id: str) -> SegmentFile | None:
        """A file by its id; none when there is no such footage any more."""
        row = self.row(segment_id)
        return None if row is None else self._file(row)

    def path_of(self, segment_id: str) -> Path | None:
        """Where a segment lies."""
        found = self.segment(segment_id)
        return None if found is None else found.path

    def row(self, segment_id: str) -> Row | None:
        """A segment as it is now; none when it was deleted."""
        return next((row for row in self._volume.rows() if row.id == segment_id), None) or self._index.find(segment_id)

    def _file(self, row: Row) -> SegmentFile:
        return SegmentFile(row.id, row.camera_id, row.stream, row.start_us, row.end_us, row.size, self.path / row.path)

    def read(self, camera_id: str, stream: str, start_us: int, end_us: int) -> Iterator[FragmentPlace]:
        """The fragments that touch a stretch of time, oldest first."""
        for row in self._between(camera_id, stream, start_us, end_us, tables=True):
            file = self._file(row)
            for entry in table.entries(row.table):
                if entry.time_us < end_us and entry.time_us + entry.duration_us > start_us:
                    yield FragmentPlace(file, *entry)

    def fragment_at(self, camera_id: str, stream: str, time_us: int) -> FragmentPlace | None:
        """The fragment that holds a moment; none when there is no footage of it."""
        row = self.before(camera_id, stream, time_us)
        number = -1 if row is None else table.number_at(row.table, time_us)
        return None if row is None or number < 0 else self._place(row, number, time_us)

    def cursor(self, camera_id: str, stream: str) -> Cursor:
        """A reader's place in a stream's footage."""
        return Cursor(self, camera_id, stream)

    def extent(self, camera_id: str, stream: str) -> tuple[int, int] | None:
        """Where a stream's footage begins and ends; none when there is none. It may have gaps."""
        first, last = self.after(camera_id, stream, -1), self.before(camera_id, stream, NEVER_US)
        return None if first is None or last is None else (first.start_us, last.end_us)

    def after(self, camera_id: str, stream: str, time_us: int) -> Row | None:
        """The first segment that begins after a time."""
        # Open segments are read first, see `_between`; what the volume knows of a segment is the newer.
        opened = [
            row
            for row in self._volume.rows()
            if row.camera_id == camera_id and row.stream == stream and row.start_us > time_us
        ]
        stored = self._index.after(camera_id, stream, time_us)
        return min([*opened, *([stored] if stored else [])], key=lambda row: (row.start_us, -row.size), default=None)

    def before(self, camera_id: str, stream: str, time_us: int) -> Row | None:
        """The last segment that begins at or before a time."""
        opened = [
            row
            for row in self._volume.rows()
            if row.camera_id == camera_id and row.stream == stream and row.start_us <= time_us
        ]
        stored = self._index.before(camera_id, stream, time_us)
        return max([*opened, *([stored] if stored else [])], key=lambda row: (row.start_us, row.size), default=None)

    def _place(self, row: Row, number: int, time_us: int) -> FragmentPlace | None:
        entry = table.entry(row.table, number)
        if time_us >= entry.time_us + entry.duration_us + GAP_US:
            return None
        return FragmentPlace(self._file(row), *entry)

    def stretch(self, camera_id: str, stream: str, time_us: int, length_us: int) -> Stretch | None:
        """Whole fragments of one file from the key frame at or before a moment on, for about `length_us`.

        Where there is a gap at that moment, what begins within `length_us` after it; none when nothing does.
        """
        row = self.before(camera_id, stream, time_us)
        later = self._between(camera_id, stream, time_us, time_us + length_us, tables=True)
        for candidate in [*([row] if row else []), *later]:
            found = cut(candidate.table, time_us, length_us)
            if found is not None:
                return Stretch(self._file(candidate), table.entry(candidate.table, 0).offset, found)
        return None

    def key_unit_at(self, camera_id: str, stream: str, time_us: int) -> tuple[H264Format, AccessUnit] | None:
        """The last key frame at or before a moment, for a snapshot; none when there is no footage of the moment.

        Raises:
            Mp4Error, OSError: The file cannot be read.
        """
        row = self.before(camera_id, stream, time_us)
        number = -1 if row is None else table.number_at(row.table, time_us)
        if row is None or number < 0 or self._place(row, number, time_us) is None:
            return None
        while number > 0 and not table.entry(row.table, number).key:
            number -= 1
        entry = table.entry(row.table, number)
        with (self.path / row.path).open("rb") as file:
            init = parse_init(file.read(min(MAX_INIT, entry.offset)) if number == 0 else file.read(MAX_INIT))
            file.seek(entry.offset)
            wall_us, runs = parse_fragment(file.read(entry.size))
        for run in runs:
            video = init.formats[run.track]
            if isinstance(video, H264Format) and run.samples:
                at_us = entry.time_us if wall_us is None else wall_us
                sample = run.samples[0]
                return video, AccessUnit(
                    track=run.track, timestamp=run.time, key=sample.key, data=sample.data, received_us=at_us
                )
        raise Mp4Error("the fragment holds no picture")

    # --- orders and expiry ----------------------------------------------------------------------------------------

    def protect(self, order: Order) -> tuple[Order, bool]:
        """Keep footage beyond the rolling buffer; the order as it stands now, and whether it is new.

        The same order again changes nothing. A later one of the same id may set or move on the end and move the start
        back, never shrink.

        Raises:
            OrderConflictError: The id belongs to another camera's order.
        """
        return self._index.protect(order)

    def order(self, order_id: str) -> Order | None:
        """An order as it stands."""
        return self._index.order(order_id)

    def expire(self, retentions: Mapping[str, Retention], now_us: int) -> int:
        """Delete what is kept for long enough; how many segments went. Cameras not named are left alone."""
        deleted = 0
        for camera_id, retention in retentions.items():
            while True:
                doomed = self._index.take_expired(
                    camera_id,
                    unprotected_before=now_us - retention.unprotected_us,
                    protected_before=now_us - retention.protected_us,
                    limit=EXPIRE_BATCH,
                )
                # The row goes first: a file without row is found again at the next start, a row without file misleads.
                for segment in doomed:
                    self._delete(self.path / segment.path)
                deleted += len(doomed)
                if len(doomed) < EXPIRE_BATCH:
                    break
        return deleted

    @staticmethod
    def _delete(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("segment not deleted", path=str(path), reason=str(error))
        with suppress(OSError):
            os.rmdir(path.parent)  # noqa: PTH106 - fails, as it should, while the day has other segments

    # --- care -----------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Read every file and compare it with the index; a sentence per difference. Takes as long as reading takes."""
        return recovery.check(self.path, self._index)

    @staticmethod
    def rebuild(path: Path, index: Path) -> Recovery:
        """Make the index anew from the files alone, with no archive open on them. Orders that it held are kept."""
        opened, lost = recovery.open_index(index)
        try:
            opened.remove(list(opened.paths()))
            return recovery.recover(path, opened, rebuilt=lost)
        finally:
            opened.close()

    @property
    def dropped(self) -> int:
        """Fragments that could not be written since the start."""
        return self._volume.dropped

    @property
    def written_bytes(self) -> int:
        """Bytes written since the start."""
        return self._volume.written_bytes


def _merged(spans: list[Span]) -> list[Span]:
    """Spans of one stream in order, those that touch and are kept alike made one."""
    merged: list[Span] = []
    for span in sorted(spans):
        last = merged[-1] if merged else None
        if last is not None and span.start_us - last.end_us <= GAP_US and span.protected == last.protected:
            merged[-1] = last._replace(end_us=max(last.end_us, span.end_us))
        else:
            merged.append(span)
    # Where an order's protection begins or ends inside footage, the two spans meet without a gap.
    for number, (before, after) in enumerate(pairwise(merged)):
        if 0 < after.start_us - before.end_us <= GAP_US:
            merged[number] = before._replace(end_us=after.start_us)
    return merged
