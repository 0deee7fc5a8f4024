"""Events of one node on its own disk, from the moment they are seen until the broker has confirmed them.

SQLite with WAL and synchronous=FULL: an appended event survives kill -9 and a power cut. When the disk is full
a reserved file makes room, then a bounded ring in memory; what even that must drop is counted and said in health.
"""

import asyncio
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from broker import metrics
from broker.codec import envelope, lane_of, pack
from broker.errors import JournalError
from broker.model.base import LANES, Priority
from broker.model.messages import TriggerFact
from broker.process import logger
from broker.relay import Row, stored_headers
from broker.transport import Envelope

log = logger(__name__)

Build = Callable[[int, int], TriggerFact]
"""Makes the message of an event from the boot and sequence that it gets."""

RESERVE_BYTES = 16 * 1024 * 1024
"""Disk space kept for the day on which there is no other."""

RING = 10_000
"""Events held in memory while the disk takes none; beyond it the oldest go."""

RETRY_S = 1.0
"""How often a disk that refused is asked again, at most."""

RESERVE_RETRY_S = 60.0
"""How often a used reserve is filled again, at most."""

BOOT_EPOCH = 1_735_689_600
"""A boot's number is at least the seconds since 2025-01-01, so that even a lost journal never repeats one."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS boot (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), boot INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
  position INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  lane TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_by_lane ON journal (lane, position);
CREATE INDEX IF NOT EXISTS journal_by_source ON journal (source, position);
"""

ASIDE = "unreadable"
"""The lane and source of rows that cannot be read: nobody sends them, and no other row waits for them."""

PENDING = """
SELECT position, source, headers, body, EXISTS (
  SELECT 1 FROM journal AS older
  WHERE older.source = journal.source AND older.position < journal.position AND older.lane <> journal.lane
) FROM journal WHERE lane = ? AND position > ? ORDER BY position LIMIT ?
"""


@dataclass(slots=True)
class _Event:
    position: int
    lane: str
    source: str
    envelope: Envelope

    def columns(self) -> tuple[object, ...]:
        headers, body = pack(self.envelope)
        message = self.envelope.message
        assert isinstance(message, TriggerFact)
        return (
            self.position,
            message.sequence,
            self.lane,
            self.source,
            self.envelope.id,
            message.kind(),
            message.version,
            json.dumps(headers),
            body,
        )


@dataclass(slots=True)
class _Order:
    build: Build
    lane: Priority
    trace_id: str
    loop: asyncio.AbstractEventLoop
    promise: "asyncio.Future[Envelope]"


class Journal:
    """The journal of one node. All methods are safe from any thread; `append` blocks until the disk has it."""

    lanes = LANES
    poll_s = 1.0

    def __init__(self, path: Path, node_id: str, *, ring: int = RING, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.boot = 0
        self.lost = 0
        self._path = path
        self._node_id = node_id
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._sequence = 0
        self._position = 0
        self._ring: deque[_Event] = deque()
        self._ring_limit = ring
        self._reserve = path.with_name(path.name + ".reserve")
        self._reserve_bytes = reserve_bytes
        self._retry_at = 0.0
        self._boot_stored = False
        self._callbacks: list[Callable[[], None]] = []
        self._orders: list[_Order] = []
        self._orders_lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._undeleted: set[int] = set()
        """Confirmed rows that a full disk would not let go of; they are not sent again by this process."""
        self._reserve_at = 0.0
        self._closed = False

    @classmethod
    def open(cls, path: Path, node_id: str, *, ring: int = RING, reserve_bytes: int = RESERVE_BYTES) -> Self:
        """Open or begin a journal and count its boot. A damaged file is put aside and a new one begun.

        Raises:
            JournalError: the folder cannot be written at all.
        """
        journal = cls(path, node_id, ring=ring, reserve_bytes=reserve_bytes)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                journal._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
                log.exception("journal is damaged and was put aside", path=str(path), aside=str(aside))
                path.rename(aside)
                for suffix in ("-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                journal._connect()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the journal {path} cannot be opened: {error}") from error
        return journal

    def _connect(self) -> None:
        self._writer = self._connection("FULL")
        try:
            self._writer.executescript(SCHEMA)
        except sqlite3.OperationalError:
            self._release_reserve()
            self._writer.executescript(SCHEMA)
        self._confirmer = self._connection("NORMAL")  # a confirm lost in a power cut is only a duplicate
        self._reader = self._connection("NORMAL")
        row = self._writer.execute("SELECT boot FROM boot").fetchone()
        self.boot = max(int(row[0]) + 1 if row else 0, int(time.time()) - BOOT_EPOCH)
        self._position = int(self._writer.execute("SELECT coalesce(max(position), 0) FROM journal").fetchone()[0])
        with suppress(sqlite3.OperationalError):  # then the first append stores it
            self._transaction([])
        self._make_reserve()

    def _connection(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL").close()
        connection.execute(f"PRAGMA synchronous={synchronous}").close()
        return connection

    # --- writing ------------------------------------------------------------------------------------------------

    def append(self, build: Build, *, lane: Priority, trace_id: str = "") -> Envelope:
        """Keep an event. It blocks for one sync of the disk: call it from a thread, or use `append_soon`.

        Raises:
            JournalError: the journal is closed.
        """
        with self._lock:
            event = self._event(build, lane, trace_id)
            self._keep([event])
        self._changed()
        return event.envelope

    async def append_soon(self, build: Build, *, lane: Priority, trace_id: str = "") -> Envelope:
        """Keep an event without blocking the loop; events that come together share one sync of the disk."""
        loop = asyncio.get_running_loop()
        order = _Order(build, lane, trace_id, loop, loop.create_future())
        with self._orders_lock:
            self._orders.append(order)
            first = len(self._orders) == 1
        if first:
            try:
                self._thread.submit(self._write_orders)
            except RuntimeError:
                raise JournalError("the journal is closed") from None
        return await order.promise

    def _write_orders(self) -> None:
        with self._orders_lock:
            orders, self._orders = self._orders, []
        results: list[tuple[_Order, Envelope | Exception]] = []
        with self._lock:
            events: list[_Event] = []
            for order in orders:
                try:
                    event = self._event(order.build, order.lane, order.trace_id)
                except Exception as error:  # noqa: BLE001 - it belongs to who asked
                    results.append((order, error))
                else:
                    events.append(event)
                    results.append((order, event.envelope))
            if events:
                self._keep(events)
        self._changed()
        for order, result in results:
            with suppress(RuntimeError):  # the loop has ended
                order.loop.call_soon_threadsafe(_resolve, order.promise, result)

    def _event(self, build: Build, lane: Priority, trace_id: str) -> _Event:
        if self._closed:
            raise JournalError("the journal is closed")
        message = build(self.boot, self._sequence + 1)
        self._sequence += 1
        self._position += 1
        id_ = f"{self._node_id}.{self.boot}.{self._sequence}"
        sent = envelope(message, source=f"dvrserver/{self._node_id}", trace_id=trace_id, lane=lane, id=id_)
        return _Event(self._position, str(lane_of(sent)), message.source_id, sent)

    def _keep(self, events: list[_Event]) -> None:
        """To disk, else to memory. Called under the lock."""
        if self._ring and time.monotonic() < self._retry_at:
            self._hold(events)
            return
        everything = [*self._ring, *events]
        try:
            self._transaction(everything)
        except (sqlite3.Error, OSError) as error:
            if self._release_reserve():
                log.warning("journal uses its reserved space", path=str(self._path), error=str(error))
                with suppress(sqlite3.Error, OSError):
                    self._transaction(everything)
                    self._ring.clear()
                    metrics.JOURNAL_HELD.set(0)
                    return
            log.warning("journal cannot be written and holds events in memory", path=str(self._path), error=str(error))
            self._retry_at = time.monotonic() + RETRY_S
            self._hold(events)
            return
        if self._ring:
            log.info("journal is written again", path=str(self._path), events=len(self._ring))
            self._ring.clear()
            metrics.JOURNAL_HELD.set(0)

    def _transaction(self, events: Sequence[_Event]) -> None:
        writer = self._writer
        writer.execute("BEGIN IMMEDIATE")
        try:
            if not self._boot_stored:
                writer.execute("INSERT OR REPLACE INTO boot VALUES (1, ?)", (self.boot,))
            writer.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)", [event.columns() for event in events])
            writer.execute("COMMIT")
            self._boot_stored = True
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def _hold(self, events: Sequence[_Event]) -> None:
        self._ring.extend(events)
        while len(self._ring) > self._ring_limit:
            self._ring.popleft()
            self.lost += 1
            metrics.JOURNAL_LOST.inc()
        metrics.JOURNAL_HELD.set(len(self._ring))

    def _make_reserve(self) -> None:
        """Fill the reserved file with real bytes: a sparse one would keep nothing."""
        if self._reserve_bytes and not self._reserve.exists():
            try:
                self._reserve.write_bytes(b"\0" * self._reserve_bytes)
            except OSError:
                self._reserve.unlink(missing_ok=True)

    def _release_reserve(self) -> bool:
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    # --- what the relay asks ------------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after each append, on the thread that appended."""
        self._callbacks.append(callback)

    def _changed(self) -> None:
        for callback in self._callbacks:
            callback()

    def pending(self, lane: Priority, after: int, limit: int) -> list[Row]:
        """The oldest rows of a lane behind a position; what is only in memory comes last."""
        gone = self._undeleted.copy()
        rows: list[Row] = []
        with self._read_lock:
            found = self._reader.execute(PENDING, (str(lane), after, limit + len(gone)))
            for position, source, headers, body, held in found.fetchall():
                if position not in gone:
                    waits = bool(held) and (not gone or self._waits(position, source, lane, gone))
                    rows.append(Row(position, stored_headers(headers), body, waits, source))
        if self._ring and len(rows) < limit:
            with self._lock:
                rows.extend(self._pending_in_memory(lane, after, limit - len(rows)))
        return rows[:limit]

    def _waits(self, position: int, source: str, lane: Priority, gone: set[int]) -> bool:
        query = "SELECT position FROM journal WHERE source = ? AND position < ? AND lane <> ?"
        return any(row[0] not in gone for row in self._reader.execute(query, (source, position, str(lane))))

    def _pending_in_memory(self, lane: Priority, after: int, limit: int) -> list[Row]:
        rows: list[Row] = []
        other_lane: dict[str, bool] = {}
        for event in self._ring:
            if event.lane != str(lane):
                other_lane[event.source] = True
                continue
            if event.position <= after:
                continue
            if len(rows) >= limit:
                break
            held = other_lane.get(event.source)
            if held is None:
                query = "SELECT 1 FROM journal WHERE source = ? AND lane <> ? LIMIT 1"
                held = self._writer.execute(query, (event.source, event.lane)).fetchone() is not None
                other_lane[event.source] = held
            headers, body = pack(event.envelope)
            rows.append(Row(event.position, headers, body, held, event.source))
        return rows

    def confirm(self, positions: Sequence[int]) -> None:
        """Forget rows that the broker has."""
        with self._lock:
            if self._ring:
                gone = set(positions)
                self._ring = deque(event for event in self._ring if event.position not in gone)
                metrics.JOURNAL_HELD.set(len(self._ring))
            self._undeleted.update(positions)
            try:
                self._delete(self._undeleted)
            except (sqlite3.Error, OSError) as error:
                log.warning("confirmed events stay in the journal for now", path=str(self._path), error=str(error))
                self._release_reserve()
                return
            self._undeleted = set()
            if not self._ring and time.monotonic() >= self._reserve_at:
                self._reserve_at = time.monotonic() + RESERVE_RETRY_S
                self._make_reserve()

    def set_aside(self, positions: Sequence[int]) -> None:
        """Keep rows that cannot be read, for people, where no other row of their source waits for them."""
        with self._lock:
            statement = "UPDATE journal SET lane = ?, source = ? WHERE position = ?"
            self._confirmer.executemany(statement, [(ASIDE, ASIDE, position) for position in positions])

    def _delete(self, positions: Collection[int]) -> None:
        confirmer = self._confirmer
        confirmer.execute("BEGIN IMMEDIATE")
        try:
            confirmer.executemany("DELETE FROM journal WHERE position = ?", [(position,) for position in positions])
            confirmer.execute("COMMIT")
        except BaseException:
            if confirmer.in_transaction:
                confirmer.execute("ROLLBACK")
            raise

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, in a sentence; empty when nothing is."""
        held, lost = len(self._ring), self.lost
        if not held and not self._undeleted:
            return ""
        return f"the disk of {self._path} takes no events: {held} are held in memory, {lost} were lost; make room on it"

    @property
    def backlog(self) -> int:
        """Events that the broker has not confirmed yet."""
        with self._read_lock:
            rows = int(self._reader.execute("SELECT count(*) FROM journal WHERE lane <> ?", (ASIDE,)).fetchone()[0])
        return rows + len(self._ring)

    @property
    def held_in_memory(self) -> int:
        """Events that the disk could not take; they are lost if the process ends."""
        return len(self._ring)

    def close(self) -> None:
        """Write what is still to be written and close the files. Safe to call twice."""
        self._thread.shutdown(wait=True)
        with self._lock, self._read_lock:
            if self._closed:
                return
            self._closed = True
            if self._ring:
                with suppress(sqlite3.Error, OSError):
                    self._transaction(list(self._ring))
                    self._ring.clear()
            for connection in (self._reader, self._confirmer, self._writer):
                connection.close()


def _resolve(promise: "asyncio.Future[Envelope]", result: Envelope | Exception) -> None:
    if promise.done():
        return
    if isinstance(result, Exception):
        promise.set_exception(result)
    else:
        promise.set_result(result)
