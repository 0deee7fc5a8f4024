"""kill -9 of each process of a running site while alarms flow: none is lost or doubled, SMServer's copy included.

Everything is real: RabbitMQ, PostgreSQL, SMServer, an engine worker, an action worker and beat. Only the camera is
missing: a node that enrols, journals and relays says that there was motion.
"""

import asyncio
import os
from contextlib import ExitStack

import pytest

from benchmarks.trigger_node import trigger_node
from broker.codec import envelope
from broker.connect import connect
from broker.errors import PublishError
from broker.model.actions import HttpRequestSettings
from broker.model.base import Priority
from broker.model.messages import TriggerActivated
from broker.model.resources import Alarm, Camera, MotionDetection, MotionTrigger
from broker.process import Health, ProcessSettings
from clients.cli.smoke import Receiver
from clients.sdk.aio import AsyncClient
from vigil.children import Children, wait_for_health
from vigil.free_ports import free_ports
from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ
from vigil.smoke import first_password

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(240)]

EVENTS = 60 if os.environ.get("VIGIL_TEST_LONG") else 12
PAUSE_S = 0.05
PATIENCE_S = 90
CELERY = ("-m", "celery", "-A", "workers.app")
COMMANDS = {
    "smserver": ["-m", "vigil", "smserver"],
    "engine": [*CELERY, "worker", "-Q", "engine", "-n", "engine@kills", "-P", "threads", "-c", "2"],
    "actions": [
        *CELERY,
        *(
            "worker",
            "-Q",
            "actions.high,actions.average,actions.low",
            "-n",
            "actions@kills",
            "-P",
            "threads",
            "-c",
            "4",
        ),
    ],
    "beat": [*CELERY, "beat"],
}


class Site:
    """A site of processes, and the client of its administrator."""

    def __init__(self, stack, folder):
        self.rabbitmq = stack.enter_context(LocalRabbitMQ(folder / "rabbitmq"))
        postgresql = stack.enter_context(LocalPostgreSQL(folder / "postgresql"))
        self.folder = folder
        self.receiver = stack.enter_context(Receiver().listening())
        self.environment = {
            **free_ports(),
            "VIGIL_DATA_DIR": str(folder),
            "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
            "VIGIL_BROKER__URL": self.rabbitmq.url,
            "VIGIL_DATABASE__URL": postgresql.url,
            "VIGIL_ENGINE__LEASE_S": "2",
            "VIGIL_ENGINE__WAKE_S": "1",
        }
        self.url = f"http://127.0.0.1:{self.environment['VIGIL_SMSERVER__PORT']}"
        self.environment["VIGIL_SMSERVER_URL"] = self.url
        self.settings = ProcessSettings(data_dir=folder, smserver_url=self.url, broker={"url": self.rabbitmq.url})
        self.children = stack.enter_context(Children(folder / "logs", self.environment))
        assert self.children.start("migrate", ["-m", "vigil", "migrate"]).wait(60) == 0
        self.password = first_password(self.children, "smserver", self.children.start("smserver", COMMANDS["smserver"]))
        for name in ("engine", "actions", "beat"):
            self.children.start(name, COMMANDS[name])
        wait_for_health(f"http://127.0.0.1:{self.environment['VIGIL_ENGINE__OPERATIONS_PORT']}")

    async def configure(self, name):
        """A camera and an alarm for each event of one test."""
        async with AsyncClient(self.url) as client:
            await client.sign_in("admin", self.password)
            for number in range(EVENTS):
                camera = f"{name}-{number}"
                await client.cameras.add(
                    Camera(
                        id=camera,
                        name=camera,
                        node_id="node-1",
                        main_url="rtsp://127.0.0.1:9/none",
                        motion=MotionDetection(enabled=False),
                    )
                )
                await client.alarms.add(
                    Alarm(
                        id=camera,
                        name=camera,
                        priority=Priority.HIGH,
                        trigger=MotionTrigger(camera_id=camera),
                        actions=(HttpRequestSettings(url=self.receiver.url),),
                    )
                )

    async def listed(self, name):
        """SMServer's copy: the alarm events of one test whose action has succeeded, by camera."""
        async with AsyncClient(self.url) as client:
            await client.sign_in("admin", self.password)
            listed = await client.alarm_events(limit=500)
        events = [event for event in listed if event.source_id.rpartition("-")[0] == name]
        return {
            event.source_id: event for event in events if any(run.outcome == "succeeded" for run in event.actions)
        }, events

    def seen(self, name):
        """Idempotency keys that the receiver has seen, per camera of one test."""
        keys = {}
        for body in list(self.receiver.bodies):
            if body["source_id"].rpartition("-")[0] == name:
                keys.setdefault(body["source_id"], set()).add(body["action_id"])
        return keys

    def crash(self, name):
        """End a process as a power cut would, and start it as its supervisor does."""
        if name == "rabbitmq":
            self.rabbitmq.kill()
            self.rabbitmq.start()
        else:
            self.children.kill(name)
            self.children.start(name, COMMANDS[name])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for service in (LocalRabbitMQ, LocalPostgreSQL):
        if missing := service.missing():
            if os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)
    with ExitStack() as stack:
        found = Site(stack, tmp_path_factory.mktemp("kills"))
        asyncio.run(_join(found))
        yield found


async def _join(site):
    async with trigger_node(site.settings, site.folder / "node"):
        pass


async def complete(site, name):
    """Wait until every event is in SMServer's list with a succeeded action."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < deadline:
        try:
            done, events = await site.listed(name)
        except Exception:  # noqa: BLE001 - SMServer may be the one that was killed
            done, events = {}, []
        if len(done) == EVENTS:
            return events
        await asyncio.sleep(0.3)
    pytest.fail(f"{EVENTS - len(done)} of {EVENTS} alarms are not in SMServer's list with a succeeded action")


@pytest.mark.parametrize("victim", ["engine", "actions", "rabbitmq", "smserver"])
async def test_a_killed_process_loses_no_alarm_and_doubles_none(site, victim):
    await site.configure(victim)
    async with trigger_node(site.settings, site.folder / "node") as node:
        crash = None
        for number in range(EVENTS):
            await node.activate(f"{victim}-{number}")
            await asyncio.sleep(PAUSE_S)
            if number == EVENTS // 3:
                crash = asyncio.create_task(asyncio.to_thread(site.crash, victim))
        await crash
        events = await complete(site, victim)
    assert len(events) == EVENTS, "an alarm was raised twice"
    keys = site.seen(victim)
    assert len(keys) == EVENTS
    assert {camera: found for camera, found in keys.items() if len(found) != 1} == {}


async def test_without_the_journal_a_killed_broker_loses_alarms(site):
    """The negative control: the same node says each thing once and keeps nothing."""
    name = "forgotten"
    await site.configure(name)
    broker = connect(site.settings.broker, name="forgetful", health=Health("forgetful"))
    await broker.start()
    publisher = broker.publisher("forgetful")

    async with trigger_node(site.settings, site.folder / "node") as node:

        async def say_once(number):
            message = node.fact(TriggerActivated, f"{name}-{number}", boot=1_000, sequence=number)
            try:
                await publisher.publish(envelope(message, source="dvrserver/node-1", lane=Priority.HIGH))
            except PublishError:
                return False
            return True

        assert await say_once(0)
        await asyncio.to_thread(site.rabbitmq.kill)
        said = [await say_once(number) for number in range(1, 4)]
        await asyncio.to_thread(site.rabbitmq.start)
        await node.activate(
            f"{name}-{EVENTS - 1}"
        )  # it is behind the others: when it is there, they are or never will be
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        done = {}
        while f"{name}-{EVENTS - 1}" not in done and asyncio.get_running_loop().time() < deadline:
            done, _ = await site.listed(name)
            await asyncio.sleep(0.3)
    await broker.close()
    assert not all(said)
    assert f"{name}-{EVENTS - 1}" in done
    assert len(done) < 5, "nothing was lost although nothing was kept"
