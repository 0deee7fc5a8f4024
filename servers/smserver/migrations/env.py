"""Alembic's entry point; everything is done by broker.database."""

from broker.database import run_migrations

run_migrations()
