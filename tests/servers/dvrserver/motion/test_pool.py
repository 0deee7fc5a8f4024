import asyncio
import io
import os
import signal
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from broker.model.resources import MotionDetection
from servers.dvrserver.motion import MotionPool, kept
from servers.dvrserver.motion.kept import Kept
from servers.dvrserver.snapshot import SnapshotError, snapshot
from servers.wire.media import AccessUnit

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")

POISONED = """
import os
from servers.dvrserver.motion import decoder
whole = decoder.annex_b
def poisoned(data):
    if b"POISON" in data:
        os.abort()
    return whole(data)
decoder.annex_b = poisoned
decoder.main()
"""


async def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def pool():
    pools = []

    async def make(**given):
        made = MotionPool(lambda *event: made.events.append(event), **given)
        made.events = []
        pools.append(made)
        await made.start()
        return made

    yield make
    for made in pools:
        await made.close()


@pytest.fixture(scope="session")
def quiet_then_walker(film):
    """Ten seconds at 10 pictures/s; somebody walks from second 5 to second 7."""

    def pictures():
        random = np.random.default_rng(1)
        for number in range(100):
            picture = np.full((144, 176), 90.0)
            if 50 <= number < 70:
                picture[60:110, (number - 50) * 8 : (number - 50) * 8 + 20] = 220
            yield np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)

    return film.encode(pictures(), fps=10, gop=20)


def caught_up(made, camera):
    return made._cameras[camera].kept.open == 0


async def feed(made, camera, units):
    """In batches as a loop would see them, never faster than the decoder."""
    for unit in units:
        made.feed(camera, [unit])
        await until(lambda: made._cameras[camera].kept.open < 10)


async def test_a_walker_is_told_of_once_with_beginning_and_end(pool, quiet_then_walker):
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection(hold_s=1.0))
    await feed(made, "gate", units)
    await until(lambda: len(made.events) == 2)
    start = units[0].received_us
    (_, begun, begun_us, cells), (_, still, ended_us, _) = made.events
    assert (begun, still) == (True, False)
    assert 5_000_000 <= begun_us - start <= 5_400_000
    assert 6_600_000 <= ended_us - start <= 7_400_000
    assert cells
    assert made.dropped == made.restarts == 0


async def test_times_of_the_capture_clock_are_what_is_told(pool, quiet_then_walker):
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection())
    for number, unit in enumerate(units):
        made.feed("gate", [unit], [number * 100_000])
        await until(lambda: made._cameras["gate"].kept.open < 10)
    await until(lambda: made.events)
    assert 5_000_000 <= made.events[0][2] <= 5_400_000


@pytest.mark.peers
@pytest.mark.skipif(not VTEST.exists(), reason="opencv-doc's vtest.avi is not installed")
@pytest.mark.parametrize("people", [True, False])
async def test_pedestrians_in_h264_are_motion_and_noise_is_not(pool, film, people):
    def pictures():
        random = np.random.default_rng(1)
        with av.open(str(VTEST)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == 100:
                    return
                if number == 0 or people:
                    luma = frame.reformat(352, 288, format="gray").to_ndarray()
                yield np.clip(luma + random.normal(0, 4, luma.shape), 0, 255).astype(np.uint8)

    _, units = film.encode(pictures(), fps=10, gop=20)
    made = await pool()
    made.watch("gate", MotionDetection())
    await feed(made, "gate", units)
    await until(lambda: caught_up(made, "gate"))
    assert [event[:2] for event in made.events] == ([("gate", True)] if people else [])


@pytest.mark.parametrize("replayed", [True, False])
async def test_a_decoder_that_is_killed_loses_no_trigger(pool, quiet_then_walker, monkeypatch, replayed):
    """All pictures of the walker reach the first process, which never gets to look at them."""
    if not replayed:
        monkeypatch.setattr(Kept, "replay", lambda self: setattr(self, "done", self.sequence) or [])
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection(hold_s=1.0))
    await feed(made, "gate", units[:48])
    await until(lambda: caught_up(made, "gate"))
    victim = made.pids[0]
    os.kill(victim, signal.SIGSTOP)
    for unit in units[48:75]:
        made.feed("gate", [unit])
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    await until(lambda: made.restarts == 1)
    await until(lambda: made.pids and made._shards[0].process.ready)
    pause_s = time.monotonic() - killed
    await feed(made, "gate", units[75:])
    await until(lambda: caught_up(made, "gate"))
    assert made.pids != (victim,)
    if replayed:
        assert [event[1] for event in made.events] == [True, False]
        assert 5_000_000 <= made.events[0][2] - units[0].received_us <= 5_400_000
    else:
        assert made.events == []
    assert pause_s < 10, "it takes two seconds at most on a machine that is not busy with tests"


@pytest.mark.parametrize("b_frames", [0, 2])
async def test_key_frames_alone_are_looked_at_without_delay(pool, film, b_frames):
    def pictures():
        for number in range(120):
            picture = np.full((144, 176), 90, np.uint8)
            if number >= 60:
                picture[60:110, number : number + 20] = 220
            yield picture

    _, units = film.encode(pictures(), fps=10, gop=10, b_frames=b_frames)
    keys = [unit for unit in units if unit.key]
    made = await pool()
    made.watch("gate", MotionDetection())
    await feed(made, "gate", keys[:8])
    await until(lambda: made.events)
    # The first key frame with the walker is the seventh, and the eighth confirms it.
    assert made.events[0][2] == keys[6].received_us


async def test_motion_that_goes_on_across_a_crash_is_told_of_once(pool, film):
    _, units = film.bars(200, fps=10, gop=20, width=176, height=144)
    made = await pool()
    made.watch("gate", MotionDetection())
    await feed(made, "gate", units[:100])
    await until(lambda: made.events)
    os.kill(made.pids[0], signal.SIGKILL)
    await until(lambda: made.restarts == 1)
    await feed(made, "gate", units[100:])
    await until(lambda: caught_up(made, "gate"))
    assert [event[:2] for event in made.events] == [("gate", True)]


async def test_a_culprit_is_isolated_then_given_up_and_the_others_go_on(pool, quiet_then_walker):
    _, units = quiet_then_walker
    problems = []
    made = await pool(
        command=(sys.executable, "-P", "-c", POISONED), on_problem=lambda *problem: problems.append(problem)
    )
    made.watch("gate", MotionDetection())
    made.watch("yard", MotionDetection())
    poison = [
        AccessUnit(track=0, timestamp=0, key=unit.key, data=unit.data + b"POISON", received_us=unit.received_us)
        for unit in units
    ]
    shared = made._cameras["yard"].shard
    for number, unit in enumerate(units):
        made.feed("gate", [unit])
        if number % 20 == 0:
            made.feed("yard", [poison[number]])
        await until(lambda: made._cameras["gate"].kept.open < 10)
    await until(lambda: problems)
    assert problems[0][0] == "yard"
    assert "crash" in problems[0][1]
    assert made._cameras["gate"].shard is shared
    assert made._cameras["yard"].shard is not shared
    await until(lambda: caught_up(made, "gate"))
    await until(lambda: made.events)
    assert {event[0] for event in made.events} == {"gate"}
    assert made.restarts == 3
    assert len(made.pids) == 1
    # A camera that is configured anew gets another try.
    made.watch("yard", MotionDetection())
    await feed(made, "yard", units)
    await until(lambda: ("yard", True) in [event[:2] for event in made.events])


async def test_a_decoder_that_falls_behind_skips_to_a_key_frame_and_memory_stays_bounded(pool, quiet_then_walker):
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection())
    await feed(made, "gate", units[:40])
    await until(lambda: caught_up(made, "gate"))
    os.kill(made.pids[0], signal.SIGSTOP)
    for turn in range(20):
        for number, unit in enumerate(units):
            made.feed("gate", [unit], [unit.received_us + turn * 10_000_000 + number])
    camera = made._cameras["gate"]
    assert camera.kept.open <= kept.MAX_OPEN
    assert made.dropped > 1000
    assert sum(len(batch.data) for batch in camera.kept._batches) < kept.MAX_KEPT
    os.kill(made.pids[0], signal.SIGCONT)
    await until(lambda: caught_up(made, "gate"))
    made.events.clear()
    for unit in units:
        made.feed("gate", [unit], [unit.received_us + 300_000_000])
        await until(lambda: made._cameras["gate"].kept.open < 10)
    await until(lambda: [event[1] for event in made.events][-2:] == [True, False] or len(made.events) > 3)
    assert made.restarts == 0


async def test_a_decoder_that_hangs_is_ended_and_what_it_held_is_replayed(pool, quiet_then_walker, monkeypatch):
    monkeypatch.setattr("servers.dvrserver.motion.pool.HANG_S", 0.5)
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection())
    await feed(made, "gate", units[:48])
    await until(lambda: caught_up(made, "gate"))
    os.kill(made.pids[0], signal.SIGSTOP)
    for unit in units[48:66]:
        made.feed("gate", [unit])
    await until(lambda: made.restarts == 1)
    await until(lambda: made.events)
    assert made.events[0][:2] == ("gate", True)


async def test_sixteen_cameras_share_a_process_and_more_get_at_most_one_per_core(pool, film):
    _, units = film.bars(2, width=176, height=144)
    made = await pool(processes=2)
    for number in range(17):
        made.watch(f"camera-{number}", MotionDetection())
    await until(lambda: len(made.pids) == 2)
    for number in range(17, 40):
        made.watch(f"camera-{number}", MotionDetection())
        made.feed(f"camera-{number}", units)
    await until(lambda: all(caught_up(made, f"camera-{number}") for number in range(40)))
    assert len(made.pids) == 2
    assert sorted(len(shard.cameras) for shard in made._shards) in ([16, 24], [20, 20])


async def test_nothing_is_told_of_a_camera_that_is_forgotten(pool, quiet_then_walker):
    _, units = quiet_then_walker
    made = await pool()
    made.watch("gate", MotionDetection())
    made.watch("yard", MotionDetection())
    await feed(made, "gate", units[:48])
    made.feed("gate", units[48:70])
    made.forget("gate")
    made.feed("gate", units)
    await feed(made, "yard", units[:40])
    await until(lambda: caught_up(made, "yard"))
    assert made.events == []


def _memory_kb(pid):
    fields = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    return int(fields[fields.index("Pss:") + 1])


async def test_a_decoder_process_is_small_and_has_next_to_no_rights(pool, film):
    _, units = film.bars(30, width=352, height=288)
    made = await pool()
    for number in range(16):
        made.watch(f"camera-{number}", MotionDetection())
        await feed(made, f"camera-{number}", units)
    await until(lambda: all(caught_up(made, f"camera-{number}") for number in range(16)))
    _restricted(made.pids[0])


def _restricted(pid):
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Threads"] == "1"
    if os.geteuid() != 0:
        return
    assert set(status["Uid"].split()) == {"65534"}
    assert int(status["CapEff"], 16) == 0
    assert (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert _memory_kb(pid) <= 80_000
    # Its socket twice, and nothing to read or write for the rest.
    targets = {str(link.readlink()) for link in (process / "fd").iterdir()}
    assert len({target for target in targets if target.startswith("socket:")}) == 1
    assert {target for target in targets if not target.startswith("socket:")} == {"/dev/null"}
    assert b"VIGIL" not in (process / "environ").read_bytes()


async def test_processes_begin_with_the_first_camera_and_end_with_the_pool(pool):
    made = await pool()
    assert made.pids == ()
    made.watch("gate", MotionDetection())
    await until(lambda: made.pids)
    pid = made.pids[0]
    await made.close()
    await made.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- snapshots


async def test_a_key_frame_becomes_a_jpeg(pool, film):
    format_, units = film.bars(1, width=640, height=480)
    made = await pool()
    for width, expected in ((0, (640, 480)), (320, (320, 240)), (5000, (640, 480))):
        jpeg = await snapshot(made, format_, units[0], width=width)
        with av.open(io.BytesIO(jpeg), format="mjpeg") as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == expected
        luma = frame.reformat(format="gray").to_ndarray()
        assert luma[:, : expected[0] // 40].mean() > 150
        assert luma[:, expected[0] // 2 :].mean() < 120


async def test_what_is_no_picture_is_refused_with_a_sentence(pool, film):
    format_, units = film.bars(2)
    made = await pool()
    garbage = AccessUnit(track=0, timestamp=0, key=True, data=b"\0\0\0\5\x65abcd", received_us=0)
    with pytest.raises(SnapshotError, match=r"picture|decoded"):
        await snapshot(made, format_, garbage)
    with pytest.raises(SnapshotError, match="key frame"):
        await snapshot(made, format_, units[1])
    assert await snapshot(made, format_, units[0])


async def test_a_snapshot_survives_the_process_that_was_to_make_it(pool, film):
    format_, units = film.bars(1)
    made = await pool()
    await snapshot(made, format_, units[0])
    os.kill(made.pids[0], signal.SIGKILL)
    assert await snapshot(made, format_, units[0])
