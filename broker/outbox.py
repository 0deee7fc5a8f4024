"""Announcements kept in the transaction that they announce, until the broker has confirmed them."""

import json
import threading
from collections.abc import Callable, Sequence
from functools import cache

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    literal,
    select,
    text,
)

from broker.codec import pack
from broker.database import READ_ONLY, lock_number
from broker.model.base import Priority
from broker.prepared import Prepared
from broker.relay import Row, stored_headers
from broker.transport import Envelope

OUTBOX_PAUSE_S = 0.05
"""Between two looks at a busy outbox: nobody sees 50 ms, and a storm is announced in a tenth of the transactions."""

POLL_S = 0.25
"""How often the holder of a PostgreSQL outbox looks for rows that other processes have written."""


HOLDS = Prepared(lambda _: select(literal(1).label("one")))


def outbox_table(metadata: MetaData) -> Table:
    """The table `outbox` of a schema."""
    return Table(
        "outbox",
        metadata,
        Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("id", String(255), nullable=False),
        Column("kind", String(80), nullable=False),
        Column("version", Integer, nullable=False),
        Column("headers", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        sqlite_autoincrement=True,  # a position is never used again
    )


def put(connection: Connection, table: Table, envelopes: Sequence[Envelope]) -> None:
    """Write announcements in the present transaction. Call the relay's `wake` after the commit."""
    if not envelopes:
        return
    rows = []
    for envelope in envelopes:
        headers, body = pack(envelope)
        rows.append(
            {
                "id": envelope.id,
                "kind": envelope.message.kind(),
                "version": envelope.message.version,
                "headers": json.dumps(headers),
                "body": body,
            }
        )
    _insert(table).run(connection, *rows)


@cache
def _insert(table: Table) -> Prepared:
    return Prepared(lambda _: insert(table).inline(), keys=("id", "kind", "version", "headers", "body"))


@cache
def _pending(table: Table) -> Prepared:
    columns = table.c.position, table.c.headers, table.c.body
    after, limit = bindparam("after", type_=BigInteger), bindparam("limit", type_=Integer)
    return Prepared(lambda _: select(*columns).where(columns[0] > after).order_by(columns[0]).limit(limit))


@cache
def _delete(table: Table) -> Prepared:
    return Prepared(lambda _: delete(table).where(table.c.position == bindparam("of_position")))


def _for_reading(engine: Engine) -> Engine:
    """For one statement that only reads: on PostgreSQL without a transaction, on SQLite without its write lock."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(**READ_ONLY)


class OutboxStore:
    """The outbox as its relay sees it. Of several processes on one PostgreSQL only one relays at a time."""

    lanes = (Priority.LOW,)
    """What is announced has no lanes: one order for all."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._reads = _for_reading(engine)
        self._table = table
        self._holder: Connection | None = None
        self._lock = threading.Lock()
        self.poll_s = POLL_S if engine.dialect.name == "postgresql" else 1.0

    @property
    def trouble(self) -> str:
        """None that an exception would not tell."""
        return ""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Rows appear when a transaction of somebody else commits: who commits calls `wake`."""

    def pending(self, lane: Priority, after: int, limit: int) -> list[Row]:
        """The oldest rows behind a position."""
        del lane
        if not self._holds():
            return []
        with self._reads.connect() as connection:
            rows = _pending(self._table).rows(connection, {"after": after, "limit": limit})
        return [Row(row.position, stored_headers(row.headers), bytes(row.body)) for row in rows]

    def confirm(self, positions: Sequence[int]) -> None:
        """Delete rows that the broker has."""
        with self._engine.begin() as connection:
            _delete(self._table).run(connection, *({"of_position": position} for position in positions))

    def set_aside(self, positions: Sequence[int]) -> None:
        """Nothing: there is one lane, and its relay passes by what it cannot read. The rows stay for people."""

    def _holds(self) -> bool:
        if self._engine.dialect.name != "postgresql":
            return True
        with self._lock:
            try:
                if self._holder is None:
                    connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                    number = lock_number(f"outbox {self._schema(connection)}")
                    if not connection.scalar(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}):
                        connection.close()
                        return False
                    self._holder = connection
                else:
                    HOLDS.rows(self._holder, {})
            except BaseException:
                self._release()
                raise
            return True

    @staticmethod
    def _schema(connection: Connection) -> str:
        return str(connection.scalar(text("SELECT current_database() || '.' || current_schema()")))

    def _release(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.invalidate()  # a connection that gives its lock up never goes back to the pool
            holder.close()

    def close(self) -> None:
        """Let another process relay."""
        with self._lock:
            self._release()
