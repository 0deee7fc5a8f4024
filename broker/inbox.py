"""The ids of messages that a database has taken in, so that a second delivery changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Column, Connection, MetaData, String, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from broker.database import UtcDateTime, is_postgresql


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
    insert = postgresql.insert if is_postgresql(connection) else sqlite.insert
    received_at = datetime.now(UTC)
    unique = sorted(set(ids))  # in one order, so that two transactions never wait for each other in a circle
    if not unique:
        return frozenset()
    # Rows as parameters: SQLAlchemy keeps the compiled statement, which costs more than the insert.
    statement = insert(table).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
    return frozenset(connection.scalars(statement, [{"id": id_, "received_at": received_at} for id_ in unique]))


def forget(connection: Connection, table: Table, before: datetime) -> int:
    """Delete ids received before a time at which nothing can be redelivered any more; returns how many."""
    return connection.execute(delete(table).where(table.c.received_at < before)).rowcount
