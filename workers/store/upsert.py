"""`INSERT … ON CONFLICT`, which both databases know and SQLAlchemy spells in each one's own dialect."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite


def insert_for(dialect: str) -> Callable[..., Any]:
    """The `insert` of a database by its dialect's name; both offer the same `on_conflict_…` methods."""
    return postgresql.insert if dialect == "postgresql" else sqlite.insert
