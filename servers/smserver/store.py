"""SMServer's database, opened once: transactions that write, transactions that read, and whether it is there."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from broker.database import READ_ONLY, is_away, open_database
from servers.smserver.errors import NotReadyError, RefusedError
from servers.smserver.tables import counter

SCHEMA = "smserver"
MIGRATIONS = "servers.smserver:migrations"
"""Where `broker.database.migrate` finds the history of these tables."""


class Store:
    """Hands out transactions. All of it blocks: call it in threads only."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url, SCHEMA)
        reader = self.engine.execution_options(**READ_ONLY)
        # PostgreSQL: all statements of one reading transaction see the same moment. SQLite does so anyway.
        self._reader = (
            reader.execution_options(isolation_level="REPEATABLE READ")
            if self.engine.dialect.name == "postgresql"
            else reader
        )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back with an error.

        Raises:
            NotReadyError: the database is away.
            RefusedError: it cannot hold a value.
        """
        with _explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment and changes nothing.

        Raises:
            NotReadyError: the database is away.
        """
        with _explained(), self._reader.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise `NotReadyError` with the reason when the database is away or its schema is not there yet."""
        try:
            with self._reader.connect() as connection:
                connection.execute(sa.select(counter.c.value)).all()
        except (DBAPIError, PoolTimeoutError) as error:
            missing = "no such table" in str(error) or "UndefinedTable" in str(error)
            raise NotReadyError(
                "waiting for `vigil migrate`: the schema is not there yet" if missing else _sentence(error)
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DataError as error:  # PostgreSQL keeps no text with a NUL in it, for example
        raise RefusedError("A value is none that can be kept.", remedy="Leave control characters out.") from error
    except DBAPIError as error:
        if is_away(error):
            raise NotReadyError(_sentence(error)) from error
        raise
    except PoolTimeoutError as error:
        raise NotReadyError("all connections to the database are busy") from error


def _sentence(error: Exception) -> str:
    """What the database says, without its address, which may hold a password."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"waiting for the database: {said[0][:200] if said else type(error).__name__}"
