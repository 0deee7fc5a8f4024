"""The SDK against a real DVRServer that records a simulated camera."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import av
import pytest
from typer.testing import CliRunner

from broker.model.messages import CameraCondition
from broker.model.resources import Camera, MotionDetection
from broker.process import EgressSettings, Health
from clients.cli import sm
from clients.sdk import Client, InvalidError, NotFoundError, NotSignedInError
from clients.simulator.server import Simulator
from clients.simulator.settings import SimulatorGroup, SimulatorSettings
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerGroup, DVRServerSettings


@pytest.fixture
async def recorder(site, admin, tmp_path):
    """The server resource of a node that records camera `gate`."""
    async with AsyncExitStack() as stack:
        small = SimulatorGroup(
            cameras=1, rtsp_port=0, control_port=0, width=320, height=240, fps=10, kbps=200, loop_s=2, audio=False
        )
        simulator = Simulator(SimulatorSettings(data_dir=tmp_path, simulator=small))
        stack.push_async_callback(simulator.close)
        await simulator.start()
        dvrserver = DVRServer(
            DVRServerSettings(
                data_dir=tmp_path,
                smserver_url=site.url,
                egress=EgressSettings(allow="127.0.0.0/8"),
                dvrserver=DVRServerGroup(control_port=0, stream_port=0, sync_s=0.2),
            ),
            site.broker,
            Health("dvrserver"),
        )
        stack.push_async_callback(dvrserver.close)
        await dvrserver.start()
        server = await eventually(lambda: _joined(admin))
        camera = Camera(
            id="gate",
            name="Gate",
            node_id=server.id,
            main_url=f"{simulator.rtsp_url}/camera/1/main",
            motion=MotionDetection(enabled=False),
        )
        await admin.cameras.add(camera)
        yield server


async def _joined(admin):
    return next((server for server in await admin.servers.list() if server.id == "node-1"), None)


async def eventually(ask, seconds=30):
    async with asyncio.timeout(seconds):
        while True:
            if found := await ask():
                return found
            await asyncio.sleep(0.05)


async def test_footage_is_found_listed_and_downloaded(site, admin, recorder, tmp_path, monkeypatch):
    node = admin.node(recorder)
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=5), now + timedelta(minutes=5)

    async def running():
        try:
            cameras = (await node.state()).cameras
        except NotSignedInError:  # the node has not heard of the user yet
            return False
        return [state.condition for state in cameras] == [CameraCondition.RUNNING]

    await eventually(running)
    spans = await eventually(lambda: node.timeline("gate", start, end))
    assert spans[0].end > spans[0].start >= start
    assert spans[0].stream == "main"
    segments = await eventually(lambda: node.segments("gate", start, end))
    target = tmp_path / "footage.mp4"
    length = await node.download("gate", segments[0].id, target)
    assert length == target.stat().st_size > 1000
    assert target.read_bytes()[4:8] == b"ftyp"
    assert (await eventually(lambda: _picture(node))).startswith(b"\xff\xd8")
    begins, clip = spans[0].start, tmp_path / "clip.mp4"
    length = await node.clip("gate", begins, begins + timedelta(seconds=1), clip)
    assert length == clip.stat().st_size
    with av.open(clip) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 10
    with pytest.raises(NotFoundError, match="there is footage of gate from"):
        await node.clip("gate", start, start + timedelta(seconds=1), tmp_path / "nothing.mp4")
    assert not list(tmp_path.glob("nothing*"))
    monkeypatch.setenv("VIGIL_SMSERVER_URL", site.url)
    monkeypatch.setenv("VIGIL_USER", "admin")
    monkeypatch.setenv("VIGIL_PASSWORD", site.password)
    words = ["cameras", "clip", "gate", "--from", begins.isoformat(), "--seconds", "1", "--out", str(clip)]
    result = await asyncio.to_thread(CliRunner().invoke, sm.app, words)
    assert result.exit_code == 0, result.output
    assert clip.stat().st_size == length

    def sync():
        with Client(site.url) as client:
            client.sign_in("admin", site.password)
            other = client.node(client.servers.get(recorder.id))
            assert other.timeline("gate", start, end)
            assert other.download("gate", segments[0].id, target) >= length
            with pytest.raises(NotFoundError):
                other.download("gate", "no-such-file", target)

    await asyncio.to_thread(sync)
    with pytest.raises(NotFoundError):
        await node.snapshot("nowhere")
    with pytest.raises(InvalidError) as caught:
        await node.timeline("gate", end, start)
    assert caught.value.field == "to"


async def _picture(node):
    try:
        return await node.snapshot("gate")
    except NotFoundError:
        return None
