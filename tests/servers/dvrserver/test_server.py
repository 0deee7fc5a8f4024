import asyncio
import contextlib

from broker.model import messages as m
from broker.model.messages import CameraCondition
from servers.net.rtsp_client import play
from tests.servers.dvrserver.camera_stand import CameraStand


class Watching:
    """A viewer: collects what comes."""

    def __init__(self):
        self.formats, self.units = (), []

    def described(self, formats):
        self.formats = formats

    def received(self, units):
        self.units += units


@contextlib.asynccontextmanager
async def watching(node, path="/camera/door/main", user="guard", password="correct-horse-battery"):
    """Watch for as long as the block lasts."""
    viewer = Watching()
    task = asyncio.create_task(play(node.stream_url + path, viewer, username=user, password=password))
    viewer.task = task
    try:
        yield viewer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def state_of(node, camera_id="door"):
    return next(state for state in node.state().cameras if state.camera_id == camera_id)


def running(node, camera_id="door"):
    return lambda: state_of(node, camera_id).condition is CameraCondition.RUNNING


async def test_a_camera_is_captured_from_the_copy_on_disk_and_watched_while_smserver_is_away(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node, watching(node) as viewer:
            await until(lambda: len(viewer.units) >= 15)
            assert viewer.units[0].key
            assert (viewer.formats[0].width, viewer.formats[0].height) == (320, 240)
            assert state_of(node).condition is CameraCondition.RUNNING
            assert state_of(node).recording
