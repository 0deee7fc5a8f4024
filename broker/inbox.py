"""The ids of messages that a database has taken in, so that a second delivery changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from broker.database import UtcDateTime
from broker.prepared import Prepared


def inbox_table(metadata: MetaData) -> Table:
    """The table `inbox` of a schema."""
    return Table(
        "inbox",
        metadata,
        Column("id", String(255), primary_key=True),
        Column("received_at", UtcDateTime, nullable=False, index=True),
    )


def accept(connection: Connection, table: Table, ids: Sequence[str]) -> frozenset[str]:
    """Store the ids and return those that were new. Call it in the transaction that does the work."""
    received_at = datetime.now(UTC)
    unique = sorted(set(ids))  # in one order, so that two transactions never wait for each other in a circle
    if not unique:
        return frozenset()
    if len(unique) == 1:
        rows = _accept_one(table).rows(connection, {"id": unique[0], "received_at": received_at})
        return frozenset(row.id for row in rows)
    # Rows as parameters: SQLAlchemy keeps the compiled statement, which costs more than the insert.
    statement = _insert_new(table, connection.dialect.name)
    return frozenset(connection.scalars(statement, [{"id": id_, "received_at": received_at} for id_ in unique]))


def _insert_new(table: Table, dialect: str) -> Any:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)


@cache
def _accept_one(table: Table) -> Prepared:
    """When little happens batches are of one message, and then every millisecond counts."""
    return Prepared(partial(_insert_new, table), keys=("id", "received_at"))


def forget(connection: Connection, table: Table, before: datetime) -> int:
    """Delete ids received before a time at which nothing can be redelivered any more; returns how many."""
    return connection.execute(delete(table).where(table.c.received_at < before)).rowcount
