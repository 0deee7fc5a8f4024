"""Bring both schemas up to date, under an advisory lock; safe to run from several places at once."""

from broker.database import migrate as migrate_schema
from broker.process import ProcessSettings, configure_logs, load_settings


def migrate_all(settings: ProcessSettings) -> None:
    """Apply the missing Alembic revisions of SMServer and of the engine."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    migrate_schema(settings.database_url("smserver"), "smserver", "servers.smserver:migrations")
    migrate_schema(settings.database_url("engine"), "engine", "workers:migrations")


def migrate() -> None:
    """Bring both database schemas up to date, and exit."""
    settings = load_settings(ProcessSettings)
    configure_logs(settings.log)
    migrate_all(settings)
