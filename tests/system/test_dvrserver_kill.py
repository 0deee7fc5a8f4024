"""kill -9 of a DVRServer in the middle of a motion, with SMServer and the broker away: what was journalled arrives."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx

from broker.connect import connect
from broker.model import messages as m
from broker.model.resources import MotionDetection
from broker.process import BrokerSettings, Health
from broker.topology import TRIGGERS, queues_of
from broker.trust.tls import client_context
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import QUICK, Site, watching
from vigil.free_ports import free_port

START_S = 30.0
NOBODY = "amqp://vigil:vigil@127.0.0.1:9/"
"""No broker listens there."""

WITH_A_JOURNAL = "from servers.dvrserver.__main__ import main; main()"
WITHOUT_A_JOURNAL = """
import tempfile, pathlib
from servers.dvrserver import server
kept = server.Journal.open
forgotten = pathlib.Path(tempfile.mkdtemp()) / "journal.db"
server.Journal.open = lambda path, node_id: kept(forgotten, node_id)
from servers.dvrserver.__main__ import main
main()
"""
"""The journal of each start is forgotten with the process."""


class Process:
    """A DVRServer as a process of its own, started again at the same ports and on the same disk."""

    def __init__(self, site, program):
        self.site = site
        self.program = program
        self.control, self.stream, self.operations = (free_port() for _ in range(3))
        self.control_url = f"http://127.0.0.1:{self.control}/api/v1"
        self.stream_url = f"rtsp://127.0.0.1:{self.stream}"

    @asynccontextmanager
    async def running(self, broker_url):
        settings = {
            **{f"VIGIL_DVRSERVER__{name.upper()}": str(value) for name, value in QUICK.items()},
            "VIGIL_DVRSERVER__CONTROL_PORT": str(self.control),
            "VIGIL_DVRSERVER__STREAM_PORT": str(self.stream),
            "VIGIL_DVRSERVER__OPERATIONS_PORT": str(self.operations),
            "VIGIL_DATA_DIR": str(self.site.data_dir),
            "VIGIL_SMSERVER_URL": "http://127.0.0.1:9",
            "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
            "VIGIL_BROKER__URL": broker_url,
        }
        log_path = self.site.data_dir / "dvrserver.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 - returns when the process runs
                [sys.executable, "-c", self.program], env={**os.environ, **settings}, stdout=log, stderr=log
            )
        try:
            yield process
        except BaseException:
            sys.stdout.write(log_path.read_text(errors="replace"))
            raise
        finally:
            process.kill()
            process.wait()

    async def eventually(self, look):
        """The first true answer of `look(client)`, which may fail as long as the process is starting."""
        headers = {"Authorization": f"Bearer {self.site.token()}"}
        async with (
            httpx.AsyncClient(verify=client_context(), headers=headers, trust_env=False) as client,
            asyncio.timeout(START_S),
        ):
            while True:
                try:
                    if found := await look(client):
                        return found
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def camera_runs(self, client):
        state = (await client.get(f"{self.control_url}/state")).json()
        cameras = {camera["camera_id"]: camera for camera in state["cameras"]}
        return state if cameras["door"]["condition"] == "running" and cameras["door"]["recording"] else None

    async def has_journalled(self, client):
        text = (await client.get(f"http://127.0.0.1:{self.operations}/metrics")).text
        return 'vigil_triggers_total{node_id="node-1"} 1.0' in text

    async def spans(self, client):
        everything = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
        return (await client.get(f"{self.control_url}/cameras/door/timeline", params=everything)).json()["spans"]


@asynccontextmanager
async def engine(broker_url):
    """Reads triggers as the engine would; `triggers` grows."""
    settings = BrokerSettings(url=broker_url)
    broker = connect(settings, name="test", health=Health("test"))
    await broker.start()
    seen = []

    async def read(queue):
        async for batch in broker.subscriber(queue).batches(100):
            for delivery in batch:
                seen.append(delivery.envelope)
                delivery.done()

    queues = queues_of("engine", node="test", partitions=settings.partitions)
    tasks = [asyncio.create_task(read(queue)) for queue in queues if queue.row.exchange == TRIGGERS]
    try:
        yield SimpleNamespace(triggers=seen)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await broker.close()


async def activations_after_a_kill(tmp_path, rabbitmq_url, program):
    """Kill a node in mid-motion and start it again; the boot that was killed and the activations that arrive."""
    site = Site(tmp_path)
    async with CameraStand() as main, CameraStand(size=(352, 288)) as sub:
        motion = MotionDetection(hold_s=0.5)
        camera = site.camera("door", main_url=main.url, sub_url=sub.url, motion=motion)
        site.before_start(m.CameraConfigured, camera=camera)
        node = Process(site, program)
        async with node.running(NOBODY) as process:
            killed = await node.eventually(node.camera_runs)
            async with watching(node) as viewer:
                sub.moving = True
                await node.eventually(node.has_journalled)
                assert viewer.units, "the node serves with SMServer and broker away"
            before = await node.eventually(node.spans)
            process.send_signal(signal.SIGKILL)
            process.wait()
        async with node.running(rabbitmq_url), engine(rabbitmq_url) as reader:
            again = await node.eventually(node.camera_runs)
            assert again["boot"] > killed["boot"]

            async def recorded_more(client):
                spans = await node.spans(client)
                return spans[-1]["end"] > before[-1]["end"] and spans

            after = await node.eventually(recorded_more)
            assert after[0]["start"] == before[0]["start"], "footage from before the kill is still there"
            found = []
            async with asyncio.timeout(START_S):
                while not any(one.message.boot == again["boot"] for one in found):
                    await asyncio.sleep(0.1)
                    found = [one for one in reader.triggers if isinstance(one.message, m.TriggerActivated)]
            return killed["boot"], found


async def test_a_trigger_that_was_journalled_survives_a_kill_and_recording_goes_on(tmp_path, rabbitmq_url):
    boot, found = await activations_after_a_kill(tmp_path, rabbitmq_url, WITH_A_JOURNAL)
    assert [one.message.source_id for one in found if one.message.boot == boot] == ["door"]
    assert len({one.id for one in found}) == len(found)


async def test_without_a_journal_the_same_kill_loses_the_trigger(tmp_path, rabbitmq_url):
    boot, found = await activations_after_a_kill(tmp_path, rabbitmq_url, WITHOUT_A_JOURNAL)
    assert [one for one in found if one.message.boot == boot] == []
