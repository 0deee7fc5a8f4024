"""Alembic's entry point; `broker.database.migrate` has opened the connection."""

from broker.database import run_migrations

run_migrations()
