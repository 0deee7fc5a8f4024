"""What one worker process holds open, made when it is first needed, and after a fork made anew."""

import os
import threading
from collections.abc import Callable
from functools import partial

import httpx
from celery import Celery
from sqlalchemy import Engine

import workers.actions  # noqa: F401 - registers the action kinds
from broker.database import open_database
from broker.model.resources import ServerRole
from broker.process import Health
from broker.transport import Broker
from broker.trust.egress import EgressPolicy
from broker.trust.http import ServiceSession, blocking_service_client, webhook_client
from broker.trust.identity import Identity
from workers.action import Tools
from workers.dispatch import Dispatcher
from workers.runner import Runner
from workers.settings import EngineSettings
from workers.store.relaxed import open_relaxed
from workers.store.routes import control_url
from workers.store.runs import Runs
from workers.tables import SCHEMA


class Runtime:
    """Database, HTTP clients, dispatcher and runner of one process."""

    def __init__(self, settings: EngineSettings, app: Celery, health: Health) -> None:
        self.settings = settings
        self.health = health
        self.source = f"engine/{settings.engine.node_id}"
        self.database: Engine = open_database(settings.database_url(SCHEMA), SCHEMA)
        self.relaxed = open_relaxed(self.database, SCHEMA)
        self.identity = Identity.load_or_create(
            settings.directory / "identity.json", settings.engine.node_id, ServerRole.ENGINE
        )
        self.session = ServiceSession(
            self.identity, settings.smserver_url, ca=settings.tls.ca, store=settings.directory / "service-token"
        )
        self.dispatcher = Dispatcher(app)
        self.announce: Callable[[], None] = lambda: None
        """Wakes the relay of the outbox, where this process has it."""
        self.broker: Broker | None = None
        """The connection for intake, where somebody has made one; it is started by intake."""
        self.operations_url = ""
        self._servers: httpx.Client = blocking_service_client(auth=self.session, ca=settings.tls.ca)
        self._webhooks: httpx.Client = webhook_client(EgressPolicy(settings.egress.allow))
        self.runner = Runner(
            Runs(self.database, self.source, self.relaxed),
            Tools(
                webhooks=self._webhooks,
                servers=self._servers,
                control_url=partial(control_url, self.database),
                mail=settings.engine,
            ),
            settings.engine,
            on_finished=lambda: self.announce(),  # noqa: PLW0108 - intake replaces it later
        )

    def close(self) -> None:
        """Close everything."""
        self.dispatcher.close()
        self._servers.close()
        self._webhooks.close()
        self.session.close()
        self.relaxed.dispose()
        self.database.dispose()


class RuntimeOfProcess:
    """The one runtime of a process. A forked pool process gets its own: sockets are never shared over a fork."""

    def __init__(self, make: Callable[[], Runtime]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pid = 0
        self._runtime: Runtime | None = None

    def get(self) -> Runtime:
        """The runtime, made at the first call."""
        if self._runtime is None or self._pid != os.getpid():
            with self._lock:
                if self._runtime is None or self._pid != os.getpid():
                    self._runtime, self._pid = self._make(), os.getpid()
        return self._runtime

    def close(self) -> None:
        """Close the runtime of this process, if it has one."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None and self._pid == os.getpid():
            runtime.close()
