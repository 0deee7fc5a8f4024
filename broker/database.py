"""Databases: SQLite in files or PostgreSQL in schemas, opened the same way by SMServer and the engine."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import sqlalchemy
from sqlalchemy import Connection, Dialect, Engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import DateTime, TypeDecorator

from broker.trust.keyfile import create_private

BUSY_TIMEOUT_S = 30
"""How long a SQLite transaction waits for its turn to write."""

CONNECT_TIMEOUT_S = 5
"""How long PostgreSQL may take to answer a new connection."""

PING_AFTER_S = 1.0
"""Rest after which a pooled connection is tried before its use."""

HIDE_PARAMETERS = True
"""Errors are logged, and the values of a statement may be password hashes or sealed secrets."""

READ_ONLY = {"vigil_read_only": True}
"""Execution options of a SQLite connection that only reads: `engine.execution_options(**READ_ONLY).connect()`.

Others begin with the write lock, so that a transaction which reads and then writes is never refused midway."""


PASSING = frozenset({"25006", "25P03", "3D000", "3F000", "42P01"})
"""PostgreSQL's words for states that end: read-only (a standby, a failover), a transaction that idled too long, and a
database, schema or table that is not there, for it is being restored or not migrated yet."""

_one_at_a_time = threading.Lock()
"""Alembic keeps its context in module globals: threads of one process migrate one after the other."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware point in time on both databases, always given back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: naive times are refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str, schema: str) -> Engine:
    """An engine whose unqualified names mean the tables of `schema`. Nothing is connected yet.

    SQLite: WAL, synchronous=FULL, foreign keys on, transactions that begin with the write lock. PostgreSQL: the
    schema is first in the search path and need not exist before `migrate`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", schema):
        raise ValueError(f"{schema!r} is no name for a schema")
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        if address.database and address.database != ":memory:":
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # SQLite says better what is wrong, and may be waited for
                create_private(Path(address.database))
        engine = sqlalchemy.create_engine(
            address, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=HIDE_PARAMETERS
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = sqlalchemy.create_engine(
        address,
        hide_parameters=HIDE_PARAMETERS,
        connect_args={
            "options": f"-csearch_path={schema} -ctimezone=UTC",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": f"vigil {schema}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    _ping_rested_connections(engine)
    return engine


def _ping_rested_connections(engine: Engine) -> None:
    """Try a pooled connection before its use when it has rested: a restart of the database ends them all.

    One that was in use a moment ago is not asked: the round trip would cost as much as a short transaction, and
    what breaks in that moment is an error like one in the middle of a transaction.
    """

    @event.listens_for(engine, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def wake(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", -PING_AFTER_S) < PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the database has closed this connection") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("vigil_read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def is_away(error: BaseException) -> bool:
    """Whether an error is the database's state and not the statement's fault: later, the same work will succeed."""
    if isinstance(error, PoolTimeoutError):  # all connections wait for it
        return True
    if not isinstance(error, DBAPIError):
        return False
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError)
        or getattr(error.orig, "sqlstate", None) in PASSING
    )


def is_postgresql(connection: Connection) -> bool:
    """Whether the rows are kept by PostgreSQL."""
    return connection.dialect.name == "postgresql"


def now(connection: Connection) -> datetime:
    """The present by the database's clock: leases live by it. SQLite's clock is this machine's."""
    if is_postgresql(connection):
        moment = connection.scalar(text("SELECT clock_timestamp()"))
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def lock_number(name: str) -> int:
    """The number under which PostgreSQL knows a named lock."""
    return crc32(f"vigil {name}".encode())


@contextmanager
def advisory_lock(connection: Connection, name: str) -> Iterator[bool]:
    """Whether this transaction alone holds the named lock. It is given up when the transaction ends.

    SQLite has one process and one writer at a time: there the answer is always yes.
    """
    if is_postgresql(connection):
        yield bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": lock_number(name)}))
    else:
        yield True


def migrate(url: str, schema: str, scripts: str) -> None:
    """Bring a schema up to date with the Alembic revisions in a package, e.g. "workers:migrations".

    Safe to call from several processes at once: one works and the others wait. The folder's env.py is two lines:
    `from broker.database import run_migrations` and `run_migrations()`.
    """
    from alembic import command  # noqa: PLC0415 - only `vigil migrate` and the start of `vigil up` need Alembic
    from alembic.config import Config  # noqa: PLC0415 - the same

    engine = open_database(url, schema)
    config = Config()
    config.set_main_option("script_location", scripts)
    config.set_main_option("path_separator", "os")
    try:
        with _one_at_a_time, engine.begin() as connection:  # SQLite: this takes the write lock
            if is_postgresql(connection):
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": lock_number(f"migrate {schema}")})
                connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            config.attributes["connection"] = connection
            config.attributes["schema"] = schema
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def run_migrations(target_metadata: sqlalchemy.MetaData | None = None) -> None:
    """What an Alembic env.py does: run on the connection that `migrate` has opened, inside its transaction."""
    from alembic import context  # noqa: PLC0415 - see migrate

    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=target_metadata,
        version_table=f"alembic_version_{attributes['schema']}",
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
