"""Statements of hot paths, compiled once and run on the driver's own cursor.

SQLAlchemy spends several times what PostgreSQL needs on each execution, also of a statement that it has cached. Here
it writes the statement and owns the transaction; types, errors and lost connections are treated as it treats them.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable as Compilable
from sqlalchemy.sql.compiler import SQLCompiler

from broker.database import HIDE_PARAMETERS

Parameters = Mapping[str, Any]
Convert = Callable[[Any], Any]


class Prepared:
    """One statement for both databases: `write` gives it for a dialect's name.

    `keys` names the columns that an INSERT without values fills. An IN needs a parameter that is one value: an array
    or JSON, since the text never changes.
    """

    def __init__(self, write: Callable[[str], Executable], *, keys: Sequence[str] | None = None) -> None:
        self._write = write
        self._keys = keys
        self._texts: dict[str, _Text] = {}

    def run(self, connection: Connection, *rows: Parameters) -> None:
        """Execute it, once for each row of parameters. In a pipeline an error may show later."""
        text = self._text(connection.dialect)
        cursor = connection.connection.cursor()
        with _errors(connection, text.sql):
            if len(rows) == 1:
                cursor.execute(text.sql, text.given(rows[0]))
            elif rows:
                cursor.executemany(text.sql, [text.given(row) for row in rows])

    def ask(self, connection: Connection, parameters: Parameters) -> Callable[[], list[Any]]:
        """Execute it once; call what is returned, within the transaction, for the rows as named tuples.

        In a pipeline the database is not waited for before that.
        """
        text = self._text(connection.dialect)
        cursor = connection.connection.cursor()
        with _errors(connection, text.sql):
            cursor.execute(text.sql, text.given(parameters))
            if connection.dialect.name == "sqlite":  # it would look at its rows only when they are fetched
                rows = [text.row(found) for found in cursor.fetchall()]
                return lambda: rows

        def answer() -> list[Any]:
            with _errors(connection, text.sql):
                return [text.row(found) for found in cursor.fetchall()]

        return answer

    def rows(self, connection: Connection, parameters: Parameters) -> list[Any]:
        """Execute it once; the rows as named tuples."""
        return self.ask(connection, parameters)()

    def _text(self, dialect: Dialect) -> "_Text":
        text = self._texts.get(dialect.name)
        if text is None:
            text = self._texts[dialect.name] = _Text(self._write(dialect.name), dialect, self._keys)
        return text


class _Text:
    """A statement in one database's words."""

    def __init__(self, statement: Executable, dialect: Dialect, keys: Sequence[str] | None) -> None:
        assert isinstance(statement, Compilable)
        compiled = statement.compile(dialect=dialect, column_keys=None if keys is None else list(keys))  # type: ignore[attr-defined] # every statement compiles
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        assert "POSTCOMPILE" not in self.sql, "an IN over a list has no text of its own"
        self._order = list(compiled.positiontup) if compiled.positional and compiled.positiontup else None
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}
        self._converts: list[tuple[str, Convert | None]] = [
            (name, bind.type.dialect_impl(dialect).bind_processor(dialect))
            for bind, name in compiled.bind_names.items()
        ]
        columns = list(getattr(statement, "exported_columns", ()))
        self._back: list[Convert | None] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]
        self._plain = not any(self._back)
        row = namedtuple("row", [column.key for column in columns])  # type: ignore[misc]  # noqa: PYI024 - known at run time
        self._make: Callable[[Iterable[Any]], Any] = row._make

    def given(self, row: Parameters) -> Any:
        defaults = self._defaults
        values = {}
        for name, convert in self._converts:
            value = row[name] if name in row else defaults[name]
            values[name] = value if convert is None else convert(value)
        return values if self._order is None else [values[name] for name in self._order]

    def row(self, found: Sequence[Any]) -> Any:
        if self._plain:
            return self._make(found)
        return self._make(value if back is None else back(value) for back, value in zip(self._back, found, strict=True))


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """`engine.begin()`, on PostgreSQL in a pipeline: what is not asked for at once goes out with what follows it.

    BEGIN travels with the first statement and COMMIT with the last; errors show at the next answer or at the end.
    Only prepared statements are understood in it: SQLAlchemy's own ask for their rows too early.
    """
    if engine.dialect.name != "postgresql":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with _errors(connection, "the end of a pipeline"), driver.pipeline(), connection.begin():
            yield connection


@contextmanager
def _errors(connection: Connection, sql: str) -> Iterator[None]:
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise _translated(connection, sql, error) from error


def _translated(connection: Connection, sql: str, error: Exception) -> Exception:
    """The error that SQLAlchemy would raise; a lost connection leaves the pool, as it would there."""
    dialect = connection.dialect
    driver: Any = connection.connection.driver_connection if not connection.invalidated else None
    lost = dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type] # what SQLAlchemy itself passes
    if lost and not connection.invalidated:
        connection.invalidate(error)
    return DBAPIError.instance(
        sql,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=HIDE_PARAMETERS,
        connection_invalidated=lost,
        dialect=dialect,
    )
