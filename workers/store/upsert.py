"""`INSERT … ON CONFLICT`, which both databases know and SQLAlchemy spells in each one's own dialect."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker.database import is_postgresql


def insert_for(connection: Connection) -> Callable[..., Any]:
    """The `insert` of this connection's database; both offer the same `on_conflict_…` methods."""
    return postgresql.insert if is_postgresql(connection) else sqlite.insert
