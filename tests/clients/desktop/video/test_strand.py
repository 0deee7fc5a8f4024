from concurrent.futures import Executor

import pytest

from clients.desktop.video.decoder import fitted
from clients.desktop.video.strand import BEHIND, MAX_WAITING_BYTES, Strand
from clients.simulator.clips import ClipSpec, prepare
from servers.wire.media import AccessUnit


class ByHand(Executor):
    """Work is done when the test says so."""

    def __init__(self):
        self.jobs = []

    def submit(self, job, *args):
        self.jobs.append(job)

    def run(self, most=10_000):
        while self.jobs and most:
            self.jobs.pop(0)()
            most -= 1


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    spec = ClipSpec(width=192, height=128, fps=10, kbps=200, loop_s=4, walkers=True, scene=0)
    return prepare([spec], tmp_path_factory.mktemp("clips"))[0]


@pytest.fixture
def units(clip):
    return [
        AccessUnit(track=0, timestamp=index * 9000, key=frame.key, data=frame.data, received_us=index * 100_000)
        for index, frame in enumerate(clip.frames)
    ]


@pytest.fixture
def strand():
    pool, frames = ByHand(), []
    strand = Strand(pool, frames.append)
    strand.size = (96, 64)
    strand.pool, strand.frames = pool, frames
    return strand


def key_positions(units):
    return [index for index, unit in enumerate(units) if unit.key]


def test_each_picture_comes_in_order_with_its_time(strand, units):
    for unit in units:
        strand.offer([unit])
        strand.pool.run()
    assert [frame.time_us for frame in strand.frames] == [unit.received_us for unit in units]
    assert {frame.image.size().toTuple() for frame in strand.frames} == {(96, 64)}
    assert strand.left_out == 0


def test_decoding_begins_with_a_key_frame(strand, units):
    second = key_positions(units)[1]
    strand.offer(units[1 : second + 2])
    strand.pool.run()
    assert strand.frames[0].time_us == units[second].received_us
    assert strand.left_out == second - 1


def test_behind_the_rest_of_a_group_is_left_out_at_the_next_key_frame(strand, units):
    second = key_positions(units)[1]
    assert second > BEHIND
    strand.offer(units[:2])
    strand.pool.run()
    strand.offer(units[2 : second + 1])
    strand.pool.run()
    assert strand.left_out == second - 2
    assert strand.frames[-1].time_us == units[second].received_us


def test_a_picture_that_would_be_replaced_at_once_is_not_converted(strand, units):
    second = key_positions(units)[1]
    strand.offer(units[:second])
    strand.pool.run()
    assert 0 < len(strand.frames) <= 3
    assert strand.frames[-1].time_us == units[second - 1].received_us
    assert strand.left_out == 0


def test_what_waits_is_bounded(strand, units):
    large = AccessUnit(track=0, timestamp=0, key=True, data=bytes(MAX_WAITING_BYTES // 2), received_us=0)
    tail = AccessUnit(track=0, timestamp=0, key=False, data=bytes(MAX_WAITING_BYTES // 3), received_us=0)
    for unit in (large, *[tail] * 20):
        strand.offer([unit])
        assert strand._bytes <= MAX_WAITING_BYTES
    assert strand.left_out > 0


def test_a_closed_strand_delivers_nothing(strand, units):
    strand.offer(units[:3])
    strand.close()
    strand.pool.run()
    strand.offer(units)
    strand.pool.run()
    assert strand.frames == []


def test_what_cannot_be_decoded_is_said_once(units):
    pool, said = ByHand(), []
    strand = Strand(pool, lambda _: None, said.append)
    strand.offer(units[:1])
    pool.run()
    for unit in units[1:] * 3:
        strand.offer(
            [AccessUnit(track=0, timestamp=0, key=True, data=b"\0\0\0\4\x67abc", received_us=unit.received_us)]
        )
        pool.run()
    assert said == ["The pictures of this camera cannot be decoded."]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ((1920, 1080), (640, 360), (640, 360)),
        ((640, 360), (641, 361), (640, 360)),
        ((352, 288), (640, 360), (440, 360)),
        ((1080, 1920), (640, 360), (202, 360)),
        ((640, 360), (1, 1), (2, 2)),
    ],
)
def test_a_picture_keeps_its_shape(source, target, expected):
    assert fitted(source, target) == expected
