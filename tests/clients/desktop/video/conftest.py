"""Simulated cameras on a thread of their own, and the threads that show them."""

import os

import pytest

from clients.desktop.video.media import Media
from clients.simulator.server import Simulator
from clients.simulator.settings import SimulatorGroup, SimulatorSettings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def media():
    media = Media()
    yield media
    media.close()


@pytest.fixture(scope="session")
def clips_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def cameras(media, tmp_path, clips_dir):
    """Starts simulated cameras; `cameras(stamp=True)`."""
    started = []

    def start(**changes):
        group = SimulatorGroup.model_validate(
            {
                "rtsp_port": 0,
                "control_port": 0,
                "cameras": 2,
                "width": 320,
                "height": 180,
                "fps": 25,
                "kbps": 300,
                "sub_width": 176,
                "sub_height": 144,
                "sub_kbps": 100,
                "stamp_width": 320,
                "stamp_height": 180,
                "loop_s": 2,
                "scenes": 1,
                "audio": False,
                "clips_dir": clips_dir,
                **changes,
            }
        )
        simulator = Simulator(SimulatorSettings(data_dir=tmp_path, simulator=group))
        media.run(simulator.start()).result(60)
        started.append(simulator)
        return simulator

    yield start
    for simulator in started:
        media.run(simulator.close()).result(10)
