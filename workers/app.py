"""The Celery application: `celery -A workers.app worker -Q engine`, `… beat`, `… flower`.

Its settings are read when Celery first asks for them, not when this module is imported.
"""

import sys
from typing import Any

from celery import Celery, signals
from celery.loaders.app import AppLoader

from broker.process import Health, configure_logs, load_settings
from workers.celery_settings import ALLOWED, configuration, quiet_celery
from workers.intake_step import IntakeStep
from workers.operations_step import OperationsStep
from workers.runtime import Runtime, RuntimeOfProcess
from workers.settings import EngineSettings, FlowerSettings
from workers.tasks import register


class SettingsLoader(AppLoader):
    """Reads Vigil's settings when Celery asks for its own, and ends the process with a sentence if they are wrong."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """Celery's settings from VIGIL_… variables."""
        del env
        return configuration(load_settings(EngineSettings))


def make_app(settings: EngineSettings | None = None, health: Health | None = None) -> Celery:
    """A Celery application with its tasks and steps; without settings they are read from the environment later."""
    application = Celery("vigil", loader=SettingsLoader, set_as_current=settings is None)
    if settings is not None:
        application.conf.update(configuration(settings))
    register(
        application,
        RuntimeOfProcess(
            lambda: Runtime(settings or load_settings(EngineSettings), application, health or Health("engine"))
        ),
    )
    application.on_after_finalize.connect(_keep_allowed, weak=False)
    application.steps["worker"].add(IntakeStep)
    return application


def _keep_allowed(sender: Celery, **_: Any) -> None:
    """Of what Celery brings, nothing is left that a message could name."""
    for name in [name for name in sender.tasks if name not in ALLOWED]:
        sender.tasks.unregister(name)


def _configure_logs(**_: Any) -> None:
    configure_logs(load_settings(EngineSettings).log)
    quiet_celery()


def _guard_dashboard(**_: Any) -> None:
    """`celery -A workers.app flower` would otherwise listen everywhere and let everybody in."""
    if "flower" in sys.argv[1:]:
        from workers.dashboard import guard  # noqa: PLC0415 - only the dashboard needs it

        guard(load_settings(FlowerSettings))


app = make_app()
app.steps["worker"].add(OperationsStep)
signals.setup_logging.connect(_configure_logs)
signals.import_modules.connect(_guard_dashboard)
