"""The index: which footage is in which file, and which orders protect it. SQLite, one row per segment."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from servers.dvrserver.archive.values import MAX_SEGMENT_US, Order, OrderConflictError

SCHEMA = """
create table if not exists segments (
  id text primary key,                 -- camera, stream and beginning, as in the file's path
  camera_id text not null,
  stream text not null,
  start_us integer not null,           -- µs since 1970, of the first fragment
  end_us integer not null,             -- where the last fragment ends
  path text not null,                  -- from the archive's folder on
  size integer not null,               -- bytes that are on disk for certain
  continuous integer not null,         -- 1: no gap between its fragments
  closed integer not null,             -- 0: it was being written at the last sync round
  fragments blob not null              -- see table.py
);
create index if not exists segments_spans on segments (camera_id, stream, start_us, end_us, continuous);
drop index if exists segments_by_time;
create index if not exists segments_open on segments (id) where closed = 0;
create table if not exists orders (
  id text primary key,
  camera_id text not null,
  start_us integer not null,
  end_us integer,                      -- null: open, protects until now
  reason text not null
);
create index if not exists orders_by_camera on orders (camera_id, start_us);
"""
VERSION = 1
NEVER_US = (1 << 63) - 1
_COLUMNS = "id, camera_id, stream, start_us, end_us, path, size, continuous, closed"
_PROTECTED = """exists (select 1 from orders where orders.camera_id = segments.camera_id
  and orders.start_us < segments.end_us and coalesce(orders.end_us, 9223372036854775807) > segments.start_us)"""


class Row(NamedTuple):
    """A segment in the index."""

    id: str
    camera_id: str
    stream: str
    start_us: int
    end_us: int
    path: str
    size: int
    continuous: bool
    closed: bool
    table: bytes
    """Left empty by reads that do not need it."""
    protected: bool = False


class Doomed(NamedTuple):
    """A segment whose row is gone and whose file is to go."""

    id: str
    path: str


class Index:
    """One connection to write and one to read, so that a reader never waits for a sync round. Safe across threads.

    Raises:
        sqlite3.DatabaseError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._write = self._connect(path)
        self._write.executescript(SCHEMA)
        self._write.execute(f"pragma user_version = {VERSION}")
        self._read = self._connect(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        return connection

    def close(self) -> None:
        """Close the file."""
        with self._write_lock, self._read_lock:
            self._read.close()
            self._write.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            self._write.execute("begin immediate")
            try:
                yield self._write
            except BaseException:
                self._write.execute("rollback")
                raise
            self._write.execute("commit")

    def _all(self, query: str, values: Iterable[object] = ()) -> list[tuple[object, ...]]:
        with self._read_lock:
            return self._read.execute(query, tuple(values)).fetchall()

    # --- segments -------------------------------------------------------------------------------------------------

    def store(self, rows: Iterable[Row]) -> None:
        """Add or replace rows, in one transaction that is on disk when this returns."""
        with self._transaction() as connection:
            connection.executemany(
                f"insert or replace into segments ({_COLUMNS}, fragments) values (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - constants
                [row[:10] for row in rows],
            )

    def remove(self, ids: Iterable[str]) -> None:
        """Forget segments whose files are gone."""
        with self._transaction() as connection:
            connection.executemany("delete from segments where id = ?", [(id_,) for id_ in ids])

    def paths(self) -> dict[str, str]:
        """Path by id, of all segments."""
        return {str(id_): str(path) for id_, path in self._all("select id, path from segments")}

    def unfinished(self) -> list[Row]:
        """Segments that were being written at the last sync round."""
        return self._rows("closed = 0", ())

    def find(self, segment_id: str) -> Row | None:
        """One segment, with its table."""
        return next(iter(self._rows("id = ?", (segment_id,))), None)

    def between(self, camera_id: str, stream: str, start_us: int, end_us: int, *, tables: bool) -> list[Row]:
        """Segments that touch a stretch of time, oldest first. Without `tables` only those with gaps have theirs."""
        return self._rows(
            "camera_id = ? and stream = ? and start_us < ? and start_us > ? and end_us > ?",
            (camera_id, stream, end_us, start_us - MAX_SEGMENT_US, start_us),
            tables=tables,
        )

    def spans(self, camera_id: str, stream: str, start_us: int, end_us: int) -> list[tuple[int, int, int]]:
        """Beginning and end of the segments that touch a stretch of time, and whether each is continuous, in order.

        Answered from an index alone: a month of one camera is some 20,000 of them.
        """
        return self._all(  # type: ignore[return-value] # three integers
            "select start_us, end_us, continuous from segments where camera_id = ? and stream = ? "
            "and start_us < ? and start_us > ? and end_us > ? order by start_us",
            (camera_id, stream, end_us, start_us - MAX_SEGMENT_US, start_us),
        )

    def at(self, camera_id: str, stream: str, start_us: int) -> Row | None:
        """The segment that begins at a time, with its table."""
        where = "camera_id = ? and stream = ? and start_us = ?"
        return next(iter(self._rows(where, (camera_id, stream, start_us))), None)

    def before(self, camera_id: str, stream: str, time_us: int) -> Row | None:
        """The last segment that begins at or before a time, with its table."""
        return next(
            iter(
                self._rows(
                    "camera_id = ? and stream = ? and start_us <= ?",
                    (camera_id, stream, time_us),
                    order="start_us desc limit 1",
                )
            ),
            None,
        )

    def after(self, camera_id: str, stream: str, time_us: int) -> Row | None:
        """The first segment that begins after a time, with its table."""
        where = "camera_id = ? and stream = ? and start_us > ?"
        return next(iter(self._rows(where, (camera_id, stream, time_us), order="start_us limit 1")), None)

    def _rows(
        self, where: str, values: tuple[object, ...], *, tables: bool = True, order: str = "start_us"
    ) -> list[Row]:
        fragments = "fragments" if tables else "case when continuous then x'' else fragments end"
        found = self._all(
            f"select {_COLUMNS}, {fragments}, {_PROTECTED} from segments where {where} order by {order}",  # noqa: S608 - constants
            values,
        )
        return [Row(*row[:7], bool(row[7]), bool(row[8]), row[9], bool(row[10])) for row in found]  # type: ignore[arg-type, call-arg]

    def streams(self) -> list[tuple[str, str]]:
        """Cameras and streams with footage."""
        # One step into the index per stream, not a walk over all rows.
        found, at = [], ("", "")
        while row := self._all(
            "select camera_id, stream from segments where (camera_id, stream) > (?, ?) "
            "order by camera_id, stream limit 1",
            at,
        ):
            at = (str(row[0][0]), str(row[0][1]))
            found.append(at)
        return found

    # --- orders and expiry ----------------------------------------------------------------------------------------

    def protect(self, order: Order) -> tuple[Order, bool]:
        """Store an order, or widen the one of the same id; what it is now, and whether it is new.

        The start only moves back. An end, once set, only moves on.

        Raises:
            OrderConflictError: The id belongs to an order of another camera.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "select camera_id, start_us, end_us, reason from orders where id = ?", (order.id,)
            ).fetchone()
            if row is None:
                connection.execute(
                    "insert into orders (id, camera_id, start_us, end_us, reason) values (?,?,?,?,?)",
                    (order.id, order.camera_id, order.start_us, order.end_us, order.reason),
                )
                return order, True
            if row[0] != order.camera_id:
                raise OrderConflictError(f"order {order.id} exists for camera {row[0]}; give a new id")
            end_us = max((end for end in (row[2], order.end_us) if end is not None), default=None)
            now = Order(
                id=order.id,
                camera_id=order.camera_id,
                start_us=min(row[1], order.start_us),
                end_us=end_us,
                reason=row[3] or order.reason,
            )
            connection.execute(
                "update orders set start_us = ?, end_us = ?, reason = ? where id = ?",
                (now.start_us, now.end_us, now.reason, now.id),
            )
            return now, False

    def order(self, order_id: str) -> Order | None:
        """An order as it stands."""
        rows = self._all("select id, camera_id, start_us, end_us, reason from orders where id = ?", (order_id,))
        if not rows:
            return None
        id_, camera_id, start_us, end_us, reason = rows[0]
        return Order(id=id_, camera_id=camera_id, start_us=start_us, end_us=end_us, reason=reason)  # type: ignore[arg-type]

    def orders(self, camera_id: str) -> list[tuple[int, int]]:
        """The stretches of time that orders of a camera protect."""
        rows = self._all("select start_us, end_us from orders where camera_id = ?", (camera_id,))
        return [(start, NEVER_US if end is None else end) for start, end in rows]  # type: ignore[misc]

    def take_expired(
        self, camera_id: str, *, unprotected_before: int, protected_before: int, limit: int
    ) -> list[Doomed]:
        """Remove and return rows that end before the times given, oldest first. Open segments are never among them."""
        with self._transaction() as connection:
            rows = connection.execute(
                f"select id, path from segments where camera_id = ? and closed = 1 "  # noqa: S608 - constants
                f"and (end_us < ? or (end_us < ? and not {_PROTECTED})) order by start_us limit ?",
                (camera_id, protected_before, unprotected_before, limit),
            ).fetchall()
            connection.executemany("delete from segments where id = ?", [(row[0],) for row in rows])
            if len(rows) < limit:
                connection.execute(
                    "delete from orders where camera_id = ? and end_us < ?", (camera_id, protected_before)
                )
        return [Doomed(*row) for row in rows]
