"""The engine's processes as they are run in earnest: `celery -A workers.app …` on RabbitMQ and PostgreSQL."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from broker.connect import connect
from broker.errors import PublishError
from broker.process import Health
from broker.topology import queues_of
from tests.workers.stand_ins import until
from workers.settings import EngineSettings

ROOT = Path(__file__).parents[2]
ACTIONS = "actions.high,actions.average,actions.low"


class Processes:
    """Starts and ends workers; each writes a log into the data directory."""

    def __init__(self, settings: EngineSettings, **environment: str) -> None:
        self.settings = settings
        self._children: list[subprocess.Popen] = []
        self.logs: dict[int, Path] = {}
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VIGIL_DATA_DIR": str(settings.data_dir),
            "VIGIL_SMSERVER_URL": settings.smserver_url,
            "VIGIL_BROKER__URL": settings.broker.url.get_secret_value(),
            "VIGIL_DATABASE__URL": settings.database.url.get_secret_value(),
            "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
            "VIGIL_ENGINE__LEASE_S": str(settings.engine.lease_s),
            "VIGIL_ENGINE__WAKE_S": str(settings.engine.wake_s),
            "VIGIL_ENGINE__SWEEP_S": str(settings.engine.sweep_s),
            **environment,
        }

    def start(self, *arguments: str, app: str = "workers.app", **environment: str) -> subprocess.Popen:
        log = Path(self.settings.data_dir) / f"process-{len(self.logs)}.log"
        with log.open("w") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, *arguments],
                env={**self._environment, **environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        self.logs[child.pid] = log
        return child

    def worker(self, name: str, queues: str, app: str = "workers.app", **environment: str) -> subprocess.Popen:
        return self.start("worker", "-Q", queues, "-n", f"{name}@%h", "--loglevel", "INFO", app=app, **environment)

    def log_of(self, child: subprocess.Popen) -> str:
        return self.logs[child.pid].read_text()

    def kill(self, child: subprocess.Popen) -> None:
        """As `kill -9`, the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)

    def close(self) -> None:
        """Kill what still runs: nobody needs an orderly end any more, which takes seconds."""
        for child in self._children:
            if child.poll() is None:
                self.kill(child)


class Bus:
    """Speaks as a DVRServer and listens as SMServer, on an event loop in a thread of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.facts: list = []
        self._call(self._start())

    def _call(self, coroutine, timeout_s: float = 60.0):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    async def _start(self) -> None:
        self._broker = connect(self._settings.broker, name="test", health=Health("test"))
        await self._broker.start()
        self._publisher = self._broker.publisher("test")
        queues = queues_of("smserver", node="", partitions=self._settings.broker.partitions)
        queue = next(queue for queue in queues if queue.name.startswith("smserver.alarms"))
        self._listener = asyncio.create_task(self._listen(self._broker.subscriber(queue)))

    async def _listen(self, subscriber) -> None:
        async for batch in subscriber.batches(500):
            for delivery in batch:
                self.facts.append(delivery.envelope)
                delivery.done()

    def publish(self, *envelopes) -> None:
        async def publish() -> None:
            for envelope in envelopes:
                while True:
                    try:
                        await self._publisher.publish(envelope)
                        break
                    except PublishError:
                        await asyncio.sleep(0.2)

        self._call(publish())

    def heard(self, kind: str) -> list:
        """The different facts of a kind: who listens has an inbox, so has this."""
        found = {envelope.id: envelope.message for envelope in self.facts}
        return [message for message in found.values() if message.kind() == kind]

    def wait_for(self, kind: str, number: int, timeout_s: float = 40.0) -> list:
        until(lambda: len(self.heard(kind)) >= number, timeout_s)
        return self.heard(kind)

    def close(self) -> None:
        async def stop() -> None:
            self._listener.cancel()
            await self._broker.close()

        self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
