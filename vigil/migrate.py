"""Bring both schemas up to date, under an advisory lock; safe to run from several places at once."""

import asyncio

from sqlalchemy.exc import OperationalError

from broker.database import migrate as migrate_schema
from broker.process import Health, ProcessSettings, configure_logs, load_settings, logger

RETRY_S = 1.0

log = logger(__name__)


def migrate_all(settings: ProcessSettings) -> None:
    """Apply the missing Alembic revisions of SMServer and of the engine."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    migrate_schema(settings.database_url("smserver"), "smserver", "servers.smserver:migrations")
    migrate_schema(settings.database_url("engine"), "engine", "workers:migrations")


async def migrate_when_possible(settings: ProcessSettings, health: Health) -> None:
    """`migrate_all` as soon as the database answers; until then `/health` says what is waited for."""
    while True:
        try:
            await asyncio.to_thread(migrate_all, settings)
        except OperationalError as error:
            health.set("database", ok=False, detail=f"waiting for the database: {error.orig}")
            log.warning("the database does not answer yet", problem=str(error.orig))
            await asyncio.sleep(RETRY_S)
        else:
            health.set("database", ok=True)
            return


def migrate() -> None:
    """Bring both database schemas up to date, as soon as the database answers, and exit."""
    settings = load_settings(ProcessSettings)
    configure_logs(settings.log)
    asyncio.run(migrate_when_possible(settings, Health("migrate")))
