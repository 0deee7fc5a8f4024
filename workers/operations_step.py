"""The operations port of a worker process and its logs: what `vigil/` does for the servers."""

import sys
from typing import Any

from celery import bootsteps

from broker.process import LOOPBACK, OperationsServer, configure_logs, logger, settle

log = logger(__name__)

SWITCH_S = 0.0005
"""How long a thread may keep the others waiting: Python's 5 ms, a few times over, is all the time an alarm has."""

TRIES = 100
"""Ports tried, from VIGIL_ENGINE__OPERATIONS_PORT up: each worker of a machine takes the first free one."""


class OperationsStep(bootsteps.StartStopStep):
    """Opens `/health` and `/metrics`."""

    def __init__(self, worker: Any, **_: Any) -> None:
        del worker
        self._server: OperationsServer | None = None

    def start(self, worker: Any) -> None:
        """Begin to answer."""
        sys.setswitchinterval(SWITCH_S)
        runtime = worker.app.vigil.get()
        configure_logs(runtime.settings.log)
        self._server = OperationsServer(
            runtime.health, LOOPBACK, runtime.settings.engine.operations_port, tries=TRIES
        ).start()
        runtime.operations_url = f"http://{LOOPBACK}:{self._server.port}"
        settle()
        log.info("worker started", worker=worker.hostname, operations_url=runtime.operations_url)

    def stop(self, worker: Any) -> None:
        """Free the port."""
        del worker
        server, self._server = self._server, None
        if server is not None:
            server.close()
