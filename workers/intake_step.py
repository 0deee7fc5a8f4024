"""Intake as a part of a Celery worker, so that Flower and Celery's command line see the process that does it."""

from typing import Any

from celery import bootsteps

from broker.connect import connect
from broker.process import logger
from broker.transport import Broker

log = logger(__name__)

ENGINE_QUEUE = "engine"
"""Workers that consume this queue take in events."""


class IntakeStep(bootsteps.StartStopStep):
    """Starts intake beside the consumer of tasks. It has a connection of its own and outlives the consumer's."""

    def __init__(self, worker: Any, **_: Any) -> None:
        del worker
        self._engine: Any = None

    def include_if(self, worker: Any) -> bool:
        """Only workers of the queue `engine`."""
        return ENGINE_QUEUE in worker.app.amqp.queues.consume_from

    def start(self, worker: Any) -> None:
        """Begin to read."""
        from workers.engine import IntakeEngine  # noqa: PLC0415 - action workers never need it

        runtime = worker.app.vigil.get()
        settings = runtime.settings
        broker: Broker = runtime.broker or connect(
            settings.broker, name="engine", health=runtime.health, ca=settings.tls.ca
        )
        self._engine = IntakeEngine(runtime, broker)
        self._engine.start()
        log.info("intake started", worker=worker.hostname)

    def stop(self, worker: Any) -> None:
        """Stop reading; what is not acknowledged comes again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
            log.info("intake stopped", worker=worker.hostname)

    def terminate(self, worker: Any) -> None:
        """The same, at once."""
        self.stop(worker)
