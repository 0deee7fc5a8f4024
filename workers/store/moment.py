"""The database's clock as a part of a statement, which saves the round trip of asking for it first."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, func

from broker.database import is_postgresql


def moment(connection: Connection) -> Any:
    """The present: an expression on PostgreSQL, a value on SQLite, whose clock is this machine's."""
    return func.clock_timestamp(type_=DateTime(timezone=True)) if is_postgresql(connection) else datetime.now(UTC)
