import html
import math
import wave
from datetime import UTC, datetime
from io import BytesIO

import pytest

from broker.model.base import Priority
from clients.spotter.help_page import help_html
from clients.spotter.keys import KEYS
from clients.spotter.naming import file_name, free_path
from clients.spotter.sound import tones


def test_a_file_says_camera_and_time_and_suits_every_file_system():
    moment = datetime(2026, 11, 24, 15, 5, 12, 345_678, tzinfo=UTC)
    assert file_name("Car park", moment, "png") == "Car_park_2026-11-24_15-05-12.345.png"
    assert file_name("../Tür: 1/2", moment, "mp4") == "Tür_1_2_2026-11-24_15-05-12.345.mp4"
    assert file_name("///", moment, "png").startswith("camera_")


def test_saving_never_overwrites(tmp_path):
    (tmp_path / "a.1.png").write_text("")
    (tmp_path / "a.1_2.png").write_text("")
    assert free_path(tmp_path, "a.1.png").name == "a.1_3.png"


@pytest.mark.parametrize("priority", list(Priority))
def test_alarms_sound_as_a_wave_that_begins_and_ends_in_silence(priority):
    with wave.open(BytesIO(tones(priority))) as file:
        frames = file.readframes(file.getnframes())
        seconds = file.getnframes() / file.getframerate()
    assert 0.1 < seconds < 1
    samples = memoryview(frames).cast("h")
    assert abs(samples[0]) < 50
    assert abs(samples[-1]) < 1500
    assert 10_000 < max(samples) < 32_767
    assert math.isclose(sum(samples) / len(samples), 0, abs_tol=50)


def test_no_key_means_two_things_and_every_one_is_on_the_help_page():
    assert len({key.keys for key in KEYS}) == len(KEYS)
    assert len({key.name for key in KEYS}) == len(KEYS)
    page = help_html("#000000")
    assert all(html.escape(key.does) in page for key in KEYS)
