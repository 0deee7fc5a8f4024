"""The engine inside another process: intake, worker, beat and Flower, each on threads of this one."""

import contextlib
import socket
import threading
from typing import Any

from celery import Celery
from celery.app.trace import reset_worker_optimizations, setup_worker_optimizations
from celery.beat import Service
from celery.worker import WorkController, state

from broker.process import Health, logger
from broker.transport import Broker
from workers.app import make_app
from workers.celery_settings import ACTION_QUEUES, quiet_celery
from workers.dashboard import Dashboard, login
from workers.intake_step import ENGINE_QUEUE
from workers.settings import EngineSettings, FlowerSettings
from workers.tasks import SWEEP

log = logger(__name__)

STOP_S = 10.0
READY_S = 3.0


class _Worker(WorkController):
    """Says when it consumes."""

    def __init__(self, **options: Any) -> None:
        self.ready = threading.Event()
        super().__init__(**options)

    def on_consumer_ready(self, consumer: Any) -> None:
        """Celery calls it at each connection."""
        del consumer
        self.ready.set()


class EmbeddedEngine:
    """Everything of the engine in one process. `start` and `close` block for a moment: call them on a thread.

    With memory:// the correctness rests on journal, inbox, rows and sweeper: kombu's memory transport drops what
    is in it when the process ends.
    """

    def __init__(
        self, settings: EngineSettings, broker: Broker, health: Health, *, flower: FlowerSettings | None = None
    ) -> None:
        """`broker` is for intake and not started yet; without `flower` its settings are read from the environment."""
        self._settings = settings
        self._flower_settings = flower or FlowerSettings()
        self._app: Celery = make_app(settings, health)
        self._broker = broker
        self._worker: Any = None
        self._beat: Service | None = None
        self._dashboard: Dashboard | None = None
        self._threads: list[threading.Thread] = []

    @property
    def flower_port(self) -> int:
        """Where Flower listens, as bound."""
        return self._dashboard.port if self._dashboard else 0

    @property
    def flower_login(self) -> str:
        """`user:password` of Flower."""
        return ":".join(login(self._flower_settings))

    def start(self) -> None:
        """Start all parts; returns when Flower listens. The worker waits for its broker by itself.

        Raises:
            OSError: Flower's port is taken.
        """
        runtime = self._app.vigil.get()  # type: ignore[attr-defined]
        runtime.broker = self._broker
        state.should_stop = state.should_terminate = None
        quiet_celery()
        hostname = f"{self._settings.engine.node_id}@{socket.gethostname()}"
        setup_worker_optimizations(self._app, hostname)  # pool threads find their application by it
        self._worker = _Worker(
            app=self._app,
            hostname=hostname,
            pool_cls="threads",
            concurrency=self._settings.engine.concurrency,
            queues=[ENGINE_QUEUE, *ACTION_QUEUES.values()],
            task_events=True,
            without_gossip=True,
            without_mingle=True,
        )
        self._beat = Service(self._app, max_interval=1)
        self._declare()
        self._run("worker", self._worker.start)
        self._run("beat", self._beat.start)
        self._worker.ready.wait(READY_S)  # Flower asks the workers when it starts, and nobody else does later
        self._dashboard = Dashboard(self._app, self._flower_settings)
        try:
            self._dashboard.start()
        except BaseException:
            self.close()
            raise

    def _declare(self) -> None:
        """Make the queues before several threads do at once, which kombu's memory transport is not made for."""
        if self._app.connection_for_write().transport.driver_type == "memory":
            with self._app.connection_for_write() as connection:
                for queue in self._app.conf.task_queues:
                    queue(connection.default_channel).declare()

    def _run(self, name: str, target: Any) -> None:
        def work() -> None:
            try:
                target()
            except Exception:
                log.exception("a part of the engine has ended by a mistake in the program", part=name)

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """End all parts; safe to call twice."""
        if self._beat is not None:
            self._beat.stop(wait=False)
        if self._worker is not None:
            state.should_stop = 0  # type: ignore[assignment]  # an exit status, as Celery sets it
            with contextlib.suppress(Exception):
                for _ in range(2):  # its loop looks at should_stop between messages, and turns once more after that
                    self._app.send_task(SWEEP, queue=ENGINE_QUEUE, expires=1, retry=False)
        for thread in self._threads:
            thread.join(STOP_S)
        self._threads.clear()
        if self._dashboard is not None:
            with contextlib.suppress(Exception):
                self._dashboard.close()
        state.should_stop = None
        reset_worker_optimizations(self._app)
        self._app.vigil.close()  # type: ignore[attr-defined]
        self._worker = self._beat = self._dashboard = None
