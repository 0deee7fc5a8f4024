"""The tasks: one per action kind, and two for the clock. Each carries an id at most; rows hold the rest."""

from celery import Celery
from sqlalchemy.exc import DBAPIError

from broker.model.actions import ACTION_SETTINGS
from broker.process import logger
from workers.action import KINDS
from workers.runtime import RuntimeOfProcess
from workers.store import sweep

log = logger(__name__)

SWEEP = "engine.sweep"
TIDY = "engine.tidy"


def register(app: Celery, runtime: RuntimeOfProcess) -> None:
    """Give an application its tasks. The runtime is reached through `app.vigil` by the steps of a worker, too."""
    app.vigil = runtime  # type: ignore[attr-defined]
    for settings in ACTION_SETTINGS:
        _register_action(app, runtime, str(settings.model_fields["kind"].default))

    def look() -> str:
        own = runtime.get()
        try:
            swept = sweep.sweep(own.database, source=own.source, wake_s=own.settings.engine.wake_s)
        except DBAPIError as error:
            own.health.set("database", ok=False, detail=f"the sweeper waits for it: {error.orig}")
            return "the database is away"
        own.health.set("database", ok=True)
        if swept is None:
            return "somebody else sweeps"
        own.dispatcher.send(swept.due)
        if swept.expired or swept.ended:
            own.announce()
        return f"due {len(swept.due)}, expired {swept.expired}, ended {swept.ended}"

    def tidy() -> str:
        own = runtime.get()
        days = own.settings.engine
        return f"forgot {sweep.tidy(own.database, inbox_days=days.inbox_days, history_days=days.history_days)} rows"

    app.task(name=SWEEP, shared=False)(look)
    app.task(name=TIDY, shared=False)(tidy)


def _register_action(app: Celery, runtime: RuntimeOfProcess, kind: str) -> None:
    def perform(action_id: str) -> str:
        try:
            return runtime.get().runner.run(action_id, keyed=KINDS[kind].keyed)
        except DBAPIError as error:
            log.warning("database is away; the sweeper will dispatch again", action_id=action_id, error=str(error.orig))
            return "the database is away"

    app.task(name=f"action.{kind}", shared=False)(perform)
