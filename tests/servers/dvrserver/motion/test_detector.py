from pathlib import Path

import av
import numpy as np
import pytest

from servers.dvrserver.motion.detector import Detector, Settings, box

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
PERIOD_US = 200_000


def wall(seed=1, size=(288, 352)):
    """Something with structure: smooth blotches between dark and bright."""
    coarse = np.random.default_rng(seed).integers(40, 200, (size[0] // 16, size[1] // 16))
    return np.kron(coarse, np.ones((16, 16))).astype(float)


def noisy(picture, sigma, random):
    return np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def looked(detector, pictures):
    return [detector.look(picture, number * PERIOD_US) for number, picture in enumerate(pictures)]


@pytest.mark.peers
@pytest.mark.skipif(not VTEST.exists(), reason="opencv-doc's vtest.avi is not installed")
@pytest.mark.parametrize("size", [(352, 288), (768, 576)])
def test_pedestrians_move_in_every_picture(size):
    detector, verdicts = Detector(Settings()), []
    with av.open(str(VTEST)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 2 == 0:
                luma = frame.reformat(*size, format="gray").to_ndarray()
                verdicts.append(detector.look(luma, number * 100_000))
    assert len(verdicts) > 300
    assert all(verdict.active for verdict in verdicts[5:])
    assert not any(verdict.light for verdict in verdicts)


@pytest.mark.parametrize("sigma", [0, 3, 8, 15, 30])
def test_noise_is_no_motion(sigma):
    random, picture = np.random.default_rng(2), wall()
    verdicts = looked(Detector(Settings()), (noisy(picture, sigma, random) for _ in range(150)))
    assert not any(verdict.cells or verdict.active for verdict in verdicts)


@pytest.mark.parametrize("gain", [0.5, 0.7, 1.4, 1.9])
def test_light_is_no_motion(gain):
    random, picture = np.random.default_rng(3), wall()
    pictures = (noisy(picture * (1 if number < 50 else gain), 3, random) for number in range(100))
    assert not any(verdict.active for verdict in looked(Detector(Settings()), pictures))


def test_a_lamp_that_is_switched_on_in_most_of_the_picture_is_light():
    random, picture = np.random.default_rng(3), wall() * 0.5
    lamp = np.zeros_like(picture)
    lamp[:, :220] = 90
    pictures = (noisy(picture + (lamp if number >= 50 else 0), 3, random) for number in range(100))
    verdicts = looked(Detector(Settings()), pictures)
    assert verdicts[50].light
    assert not any(verdict.active for verdict in verdicts)


def walker(count=60, *, first=20, last=40, sigma=3, top=140):
    """Somebody crosses between the pictures `first` and `last`."""
    random, picture = np.random.default_rng(4), wall() * 0.5
    for number in range(count):
        scene = picture.copy()
        if first <= number < last:
            left = 20 + (number - first) * 12
            scene[top : top + 60, left : left + 24] = 230
        yield noisy(scene, sigma, random)


def test_a_walker_is_motion_from_the_first_picture_to_hold_after_the_last():
    verdicts = looked(Detector(Settings(hold_s=2.0)), walker())
    active = [number for number, verdict in enumerate(verdicts) if verdict.active]
    assert active[0] == 21
    assert verdicts[21].at_us == 20 * PERIOD_US
    assert set(verdicts[21].cells) <= {row * 16 + column for row in range(5, 9) for column in range(16)}
    assert 49 <= active[-1] <= 53
    assert active == list(range(active[0], active[-1] + 1))
    assert 39 * PERIOD_US <= verdicts[-1].at_us <= 43 * PERIOD_US


def test_a_single_odd_picture_is_no_motion():
    verdicts = looked(Detector(Settings()), walker(first=20, last=21))
    assert verdicts[20].cells
    assert not any(verdict.active for verdict in verdicts)


def test_what_comes_to_stay_is_no_motion_for_long():
    random, picture = np.random.default_rng(6), wall() * 0.5
    parked = picture.copy()
    parked[140:200, 100:200] = 230
    scenes = [picture] * 20 + [parked] * 100 + [picture] * 100
    verdicts = looked(Detector(Settings()), (noisy(scene, 3, random) for scene in scenes))
    active = [number for number, verdict in enumerate(verdicts) if verdict.active]
    # Ten seconds to settle and two of hold, once for coming and once for going.
    assert active[0] == 21
    assert not set(active) & set(range(85, 120))
    assert not set(active) & set(range(185, 220))


def test_a_mask_hides_what_moves_behind_it():
    hidden = tuple(row * 16 + column for row in range(5, 9) for column in range(16))
    assert not any(verdict.active for verdict in looked(Detector(Settings(hidden=hidden)), walker()))
    elsewhere = tuple(range(16))
    assert any(verdict.active for verdict in looked(Detector(Settings(hidden=elsewhere)), walker()))


def test_small_things_are_motion_only_where_the_area_says_so():
    def small(count=40):
        random, picture = np.random.default_rng(5), wall() * 0.5
        for number in range(count):
            scene = picture.copy()
            if number >= 20:
                scene[150:154, number * 4 : number * 4 + 4] = 230
            yield noisy(scene, 3, random)

    assert not any(verdict.active for verdict in looked(Detector(Settings(area_percent=20)), small()))
    assert any(verdict.active for verdict in looked(Detector(Settings(area_percent=0.5)), small()))


def test_a_detector_that_takes_over_ends_what_its_predecessor_began():
    detector = Detector(Settings(hold_s=1.0), active=True, moved_us=0)
    verdicts = looked(detector, walker(first=0, last=0))
    assert verdicts[0].active
    assert not verdicts[-1].active


def test_a_change_of_size_begins_anew():
    detector = Detector(Settings())
    detector.look(wall().astype(np.uint8), 0)
    assert not detector.look(wall(size=(576, 704)).astype(np.uint8), PERIOD_US).cells


@pytest.mark.parametrize("size", [(2, 2), (9, 17), (240, 320), (1080, 1920), (1081, 1923)])
def test_any_size_of_picture_is_looked_at(size):
    detector = Detector(Settings(columns=64, rows=64))
    for number in range(3):
        detector.look(np.full(size, 100, np.uint8), number * PERIOD_US)
    assert box(np.full(size, 100, np.uint8)).max() == 100
