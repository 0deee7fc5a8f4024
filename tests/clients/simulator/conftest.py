"""A small simulator: its clips are rendered once per run, in a second."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from clients.simulator.server import Simulator
from clients.simulator.settings import SimulatorGroup, SimulatorSettings

SMALL = {
    "rtsp_port": 0,
    "control_port": 0,
    "cameras": 2,
    "width": 320,
    "height": 192,
    "kbps": 300,
    "sub_width": 176,
    "sub_height": 144,
    "sub_kbps": 100,
    "loop_s": 2,
    "scenes": 1,
}

Running = Callable[..., AbstractAsyncContextManager[Simulator]]


@pytest.fixture(scope="session")
def clips_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def settings_of(clips_dir, tmp_path) -> Callable[..., SimulatorSettings]:
    def make(**changes: object) -> SimulatorSettings:
        group = SimulatorGroup.model_validate({**SMALL, "clips_dir": clips_dir, **changes})
        return SimulatorSettings(data_dir=tmp_path, simulator=group)

    return make


@pytest.fixture
def running(settings_of) -> Running:
    @asynccontextmanager
    async def run(**changes: object) -> AsyncIterator[Simulator]:
        simulator = Simulator(settings_of(**changes))
        await simulator.start()
        try:
            yield simulator
        finally:
            await simulator.close()

    return run
