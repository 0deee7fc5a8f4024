"""How long an alarm takes: journal append on a node to the call at a web receiver.

50 beginnings of motion a second, each an alarm with a call, and as many ends; RabbitMQ and PostgreSQL. Beside that,
only shown, half as many, since the whole load fills two cores.

SMServer, an engine worker, an action worker and beat run as processes of their own. Beside it stands what the same
broker takes for a bare message: published with a confirm and consumed, at the same rate, before the engine is started.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Thread

from benchmarks.rows import Row, at_most, machine, percentile, shown, write
from benchmarks.trigger_node import trigger_node
from broker.codec import envelope
from broker.connect import connect
from broker.model.actions import HttpRequestSettings
from broker.model.base import Priority
from broker.model.messages import TriggerActivated, TriggerKind
from broker.model.resources import Alarm, Camera, MotionDetection, MotionTrigger
from broker.process import Health, ProcessSettings
from broker.topology import partition_of, queues_of
from clients.sdk.aio import AsyncClient
from vigil.children import Children, wait_for_health
from vigil.free_ports import free_ports
from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ
from vigil.smoke import first_password

RATE, SOURCES, WARM_UP_S, MEASURE_S = 50, 100, 10, 60
"""RATE: alarms a second; each has an event at its end, too."""
P50_MS, P99_MS = 30, 150


class Calls:
    """When the receiver was called, by the time that the trigger carries."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, datetime], list[float]] = {}

    def wait_for(self, count: int, timeout_s: float) -> None:
        """Return when that many events were called, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while len(self.seen) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    @contextmanager
    def listening(self) -> Iterator[str]:
        """The address to call while the block runs. Answered on a thread's event loop, to cost little."""
        loop = asyncio.new_event_loop()
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._answer, "127.0.0.1", 0), loop).result(10)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alarm"
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of an action worker: as little HTTP as its client needs."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                now = time.monotonic()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                key = body["source_id"], datetime.fromisoformat(body["occurred_at"])
                self.seen.setdefault(key, []).append(now)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()


async def configure(url: str, password: str, receiver: str) -> None:
    """A camera and an alarm for each source."""
    async with AsyncClient(url) as client:
        await client.sign_in("admin", password)
        for number in range(SOURCES):
            await client.cameras.add(
                Camera(
                    id=f"camera-{number}",
                    name=f"Camera {number}",
                    node_id="node-1",
                    main_url="rtsp://127.0.0.1:9/none",
                    motion=MotionDetection(enabled=False),
                )
            )
            await client.alarms.add(
                Alarm(
                    id=f"alarm-{number}",
                    name=f"Alarm {number}",
                    priority=Priority.HIGH,
                    trigger=MotionTrigger(camera_id=f"camera-{number}"),
                    actions=(HttpRequestSettings(url=receiver),),
                )
            )


async def bare(settings: ProcessSettings) -> list[float]:
    """Milliseconds from publish to consume of messages that nobody handles."""
    broker = connect(settings.broker, name="bare", health=Health("bare"))
    await broker.start()
    source = "camera-0"
    partition = partition_of(source, settings.broker.partitions)
    queue = next(
        queue
        for queue in queues_of("engine", node="", partitions=settings.broker.partitions)
        if queue.binding == f"trigger.high.{partition}"
    )
    sent: dict[int, float] = {}
    took: list[float] = []
    total = RATE * 20

    async def consume() -> None:
        async for batch in broker.subscriber(queue).batches(100):
            now = time.monotonic()
            for delivery in batch:
                took.append((now - sent[delivery.envelope.message.sequence]) * 1000)
                delivery.done()
            if len(took) >= total:
                return

    reader = asyncio.create_task(consume())
    publisher = broker.publisher("bare")
    began = time.monotonic()
    promises = []
    for sequence in range(total):
        await asyncio.sleep(max(0, began + sequence / RATE - time.monotonic()))
        message = TriggerActivated(
            trigger=TriggerKind.MOTION,
            source_id=source,
            node_id="node-1",
            boot=0,
            sequence=sequence,
            occurred_at=datetime.now().astimezone(),
        )
        sent[sequence] = time.monotonic()
        promises.append(publisher.publish(envelope(message, source="bench", lane=Priority.HIGH)))
    await asyncio.gather(*promises)
    await asyncio.wait_for(reader, 30)
    await broker.close()
    return took[len(took) // 5 :]


async def drive(settings: ProcessSettings, folder: Path, calls: Calls, rate: int) -> list[float]:
    """Milliseconds from append to call, after the warm-up; every event must have been called exactly once."""
    appended: dict[tuple[str, datetime], float] = {}
    async with trigger_node(settings, folder) as node:
        began = time.monotonic()
        total = rate * (WARM_UP_S + MEASURE_S)
        running: set[asyncio.Task[None]] = set()

        async def one(source: str) -> None:
            start = time.monotonic()
            at = await node.activate(source)
            appended[source, at] = start
            await asyncio.sleep(SOURCES / rate / 2)
            await node.end(source)

        for number in range(total):
            await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
            task = asyncio.create_task(one(f"camera-{number % SOURCES}"))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        await asyncio.to_thread(calls.wait_for, total, 30.0)
    missing = [key for key in appended if key not in calls.seen]
    twice = [key for key, times in calls.seen.items() if len(times) > 1]
    if missing or twice:
        raise SystemExit(
            f"{len(missing)} of {total} events missing, {len(twice)} called twice: the figure does not count"
        )
    measured = sorted(appended, key=appended.__getitem__)[rate * WARM_UP_S :]
    return [(calls.seen[key][0] - appended[key]) * 1000 for key in measured]


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        rabbitmq = stack.enter_context(LocalRabbitMQ(folder / "rabbitmq"))
        postgresql = stack.enter_context(LocalPostgreSQL(folder / "postgresql"))
        environment = {
            **free_ports(),
            "VIGIL_DATA_DIR": str(folder),
            "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
            "VIGIL_LOG__LEVEL": "warning",
            "VIGIL_BROKER__URL": rabbitmq.url,
            "VIGIL_DATABASE__URL": postgresql.url,
        }
        environment["VIGIL_SMSERVER_URL"] = f"http://127.0.0.1:{environment['VIGIL_SMSERVER__PORT']}"
        os.environ.update(environment)
        settings = ProcessSettings()
        bare_ms = asyncio.run(bare(settings))
        children = stack.enter_context(Children(folder / "logs", environment))
        calls = Calls()
        receiver = stack.enter_context(calls.listening())
        assert children.start("migrate", ["-m", "vigil", "migrate"]).wait(60) == 0
        password = first_password(children, "smserver", children.start("smserver", ["-m", "vigil", "smserver"]))

        async def join() -> None:
            async with trigger_node(settings, folder / "node"):
                pass

        asyncio.run(join())
        asyncio.run(configure(environment["VIGIL_SMSERVER_URL"], password, receiver))
        celery = ["-m", "celery", "-A", "workers.app"]
        actions = "actions.high,actions.average,actions.low"
        engine = children.start(
            "engine", [*celery, "worker", "-Q", "engine", "-n", "engine@bench", "-P", "threads", "-c", "2"]
        )
        children.start("actions", [*celery, "worker", "-Q", actions, "-n", "actions@bench", "-P", "threads", "-c", "8"])
        children.start("beat", [*celery, "beat"])
        wait_for_health(f"http://127.0.0.1:{environment['VIGIL_ENGINE__OPERATIONS_PORT']}", engine)
        took = asyncio.run(drive(settings, folder / "node", calls, RATE))
        calls.seen.clear()
        halved = asyncio.run(drive(settings, folder / "node", calls, RATE // 2))
    rows = [
        at_most("alarm.latency_p50_ms", percentile(took, 0.5), "ms", P50_MS),
        at_most("alarm.latency_p99_ms", percentile(took, 0.99), "ms", P99_MS),
    ]
    beside = [percentile(bare_ms, 0.5), percentile(bare_ms, 0.99)]
    rows = [
        Row(
            *row[:3],
            "bare publish to consume, ms",
            round(other, 3),
            round(row.value / other, 2),
            row.goal,
            row.ok,
            machine(),
        )
        for row, other in zip(rows, beside, strict=True)
    ]
    more = [
        shown("alarm.events", len(took), "events"),
        shown("alarm.latency_p50_ms.halved", percentile(halved, 0.5), "ms"),
        shown("alarm.latency_p99_ms.halved", percentile(halved, 0.99), "ms"),
    ]
    write("alarm", [*rows, *more])


if __name__ == "__main__":
    main()
