import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise

import av
import pytest

from servers.dvrserver.archive import Archive, Order, OrderConflictError, Retention, volume
from servers.wire.media import AccessUnit

EVER = 1 << 60
HOUR = 3_600_000_000


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def opened(tmp_path):
    archives = []

    def open_(*, segment_s=2.0, sync_s=0.1, **given):
        archive = Archive(tmp_path / "archive", tmp_path / "index.db", segment_s=segment_s, sync_s=sync_s, **given)
        archives.append(archive)
        archive.recovery = archive.open()
        return archive

    yield open_
    for archive in archives:
        archive.close()


def record(archive, formats, units, *, camera="gate", stream="main", close=True):
    writer = archive.writer(camera, stream, formats)
    for unit in sorted(units, key=lambda unit: unit.received_us):
        writer.write([unit], [unit.received_us])
    if close:
        writer.close()
    return writer


def rows(archive):
    return [archive._index.find(id_) for id_ in sorted(archive._index.paths())]


def closed(archive, count):
    until(lambda: sum(row.closed for row in rows(archive)) == count)


def test_what_is_recorded_is_found_played_and_checked(opened, film):
    video, pictures = film.bars(100)
    audio, sound = film.sound(4.0)
    archive = opened()
    record(archive, (video, audio), pictures + sound)
    closed(archive, 2)
    start = pictures[0].received_us
    assert archive.timeline("gate", 0, EVER) == ((start, start + 4_000_000, "main", False),)
    assert archive.timeline("gate", start + 1_000_000, start + 2_000_000) == (
        (start + 1_000_000, start + 2_000_000, "main", False),
    )
    files = archive.segments("gate", 0, EVER)
    assert [(file.start_us, file.end_us) for file in files] == [
        (start, start + 2_000_000),
        (start + 2_000_000, start + 4_000_000),
    ]
    decoded = 0
    for file in files:
        assert archive.path_of(file.id) == file.path
        assert file.size == file.path.stat().st_size
        with av.open(str(file.path)) as container:
            times = []
            for frame in container.decode(video=0):
                decoded += 1
                times.append(frame.pts)
            assert {b - a for a, b in pairwise(times)} == {3600}
        with av.open(str(file.path)) as container:
            heard = [frame.pts for frame in container.decode(audio=0)]
            assert {b - a for a, b in pairwise(heard)} == {1024}
            assert len(heard) >= 92
    assert decoded == 100
    assert archive.check() == []


def test_a_fragment_lasts_at_most_a_second_and_begins_with_each_key_frame(opened, film):
    video, pictures = film.bars(100, gop=40)
    archive = opened(segment_s=60)
    record(archive, (video,), pictures)
    closed(archive, 1)
    places = list(archive.read("gate", "main", 0, EVER))
    start = pictures[0].received_us
    assert [(place.time_us - start, place.key) for place in places] == [
        (0, True), (1_000_000, False), (1_600_000, True), (2_600_000, False), (3_200_000, True),
    ]  # fmt: skip
    assert max(place.duration_us for place in places) <= 1_000_000


def test_footage_is_found_before_it_is_synced(opened, film):
    video, pictures = film.bars(60)
    archive = opened(sync_s=3600, segment_s=60)
    record(archive, (video,), pictures, close=False)
    start = pictures[0].received_us
    until(lambda: archive.timeline("gate", 0, EVER) == ((start, start + 2_000_000, "main", False),))
    place = archive.fragment_at("gate", "main", start + 1_500_000)
    assert place.time_us == start + 1_000_000
    found, unit = archive.key_unit_at("gate", "main", start + 1_500_000)
    assert (found, unit.data, unit.key) == (video, pictures[25].data, True)
    assert archive.fragment_at("gate", "main", start - 1) is None
    assert archive.fragment_at("gate", "main", start + 60_000_000) is None
    assert archive.segments("gate", 0, EVER)[0].size == place.offset + place.size


def test_another_resolution_begins_another_segment(opened, film):
    small, first = film.bars(50)
    large, second = film.bars(50, width=640, height=480, start_us=first[-1].received_us + 40_000)
    changed = second[0]
    second[0] = AccessUnit(
        track=0, timestamp=0, key=True, data=changed.data, received_us=changed.received_us, format=large
    )
    archive = opened(segment_s=60)
    record(archive, (small,), first + second)
    closed(archive, 2)
    sizes = []
    for file in archive.segments("gate", 0, EVER):
        with av.open(str(file.path)) as container:
            frames = list(container.decode(video=0))
            sizes.append((frames[0].width, frames[-1].width, len(frames)))
    assert sizes == [(320, 320, 50), (640, 640, 50)]
    assert len(archive.timeline("gate", 0, EVER)) == 1


def test_a_gap_parts_the_timeline(opened, film):
    video, pictures = film.bars(50)
    _, later = film.bars(50, start_us=pictures[-1].received_us + 5_000_000)
    archive = opened(segment_s=60)
    record(archive, (video,), pictures + later)
    closed(archive, 1)
    start = pictures[0].received_us
    assert [(span.start_us - start, span.end_us - start) for span in archive.timeline("gate", 0, EVER)] == [
        (0, 2_000_000),
        (6_960_000, 8_960_000),
    ]


def test_a_clock_that_runs_through_the_same_moment_twice_overwrites_nothing(opened, film):
    video, pictures = film.bars(25)
    archive = opened()
    record(archive, (video,), pictures)
    record(archive, (video,), pictures)
    closed(archive, 2)
    assert len({file.path for file in archive.segments("gate", 0, EVER)}) == 2
    assert archive.check() == []


def test_a_segment_that_cannot_be_named_does_not_stop_the_others(opened, film):
    states = []
    archive = opened(on_state=lambda *state: states.append(state))
    video, pictures = film.bars(50)
    writer = archive.writer("yard", "main", (video,))
    writer.write(pictures, [1 << 60 for _ in pictures])
    writer.close()
    record(archive, (video,), pictures)
    closed(archive, 1)
    assert [state[0] for state in states] == ["yard"]
    assert len(archive.timeline("gate", 0, EVER)) == 1


# --- orders and expiry


def retention(**given):
    return {"gate": Retention(**{"buffer_us": 60_000_000, "kept_us": HOUR, "protected_us": 10 * HOUR, **given})}


@pytest.mark.parametrize("ordered", [True, False])
def test_expiry_spares_protected_footage_and_only_that(opened, film, ordered):
    video, pictures = film.bars(150)
    archive = opened()
    record(archive, (video,), pictures)
    closed(archive, 3)
    start = pictures[0].received_us
    if ordered:
        moment = start + 2_500_000
        archive.protect(Order(id="a", camera_id="gate", start_us=moment, end_us=moment + 1, reason="alarm"))
    paths = [file.path for file in archive.segments("gate", 0, EVER)]
    assert archive.expire(retention(), start + 30_000_000) == 0
    assert archive.expire(retention(), start + 2 * 60_000_000) == (2 if ordered else 3)
    assert [path.exists() for path in paths] == [False, ordered, False]
    assert archive.timeline("gate", 0, EVER) == (
        ((start + 2_000_000, start + 4_000_000, "main", True),) if ordered else ()
    )
    assert archive.expire(retention(), start + 11 * HOUR) == (1 if ordered else 0)
    assert not any(path.exists() for path in paths)


def test_continuous_footage_outlives_the_buffer(opened, film):
    video, pictures = film.bars(50)
    archive = opened()
    record(archive, (video,), pictures)
    closed(archive, 1)
    start = pictures[0].received_us
    assert archive.expire(retention(buffer_us=None), start + HOUR) == 0
    assert archive.expire(retention(buffer_us=None), start + 2 * HOUR) == 1


def test_an_open_order_protects_until_it_is_given_an_end(opened, film):
    video, pictures = film.bars(150)
    archive = opened()
    record(archive, (video,), pictures)
    closed(archive, 3)
    start = pictures[0].received_us
    archive.protect(Order(id="a", camera_id="gate", start_us=start + 2_500_000, end_us=None))
    assert archive.expire(retention(), start + HOUR) == 1
    archive.protect(Order(id="a", camera_id="gate", start_us=start + 2_500_000, end_us=start + 3_000_000))
    assert archive.expire(retention(), start + HOUR) == 1
    assert [span.protected for span in archive.timeline("gate", 0, EVER)] == [True]


def test_the_same_order_again_changes_nothing_and_a_later_one_never_shrinks_it(opened):
    archive = opened()
    first = Order(id="a", camera_id="gate", start_us=100, end_us=None, reason="alarm")
    assert archive.protect(first) == (first, True)
    assert archive.protect(first) == (first, False)
    now, created = archive.protect(Order(id="a", camera_id="gate", start_us=150, end_us=300))
    assert (now.start_us, now.end_us, now.reason, created) == (100, 300, "alarm", False)
    now, _ = archive.protect(Order(id="a", camera_id="gate", start_us=50, end_us=200))
    assert (now.start_us, now.end_us) == (50, 300)
    assert archive.protect(first)[0].end_us == 300
    assert archive.order("a") == now
    assert archive.order("b") is None
    with pytest.raises(OrderConflictError):
        archive.protect(Order(id="a", camera_id="yard", start_us=1, end_us=2))


# --- crashes

WRITER = """
import json, sys, time
from pathlib import Path
from servers.dvrserver.archive import Archive
from servers.wire.media import AccessUnit, H264Format
told = json.load(open(sys.argv[1]))
archive = Archive(Path(told["archive"]), Path(told["index"]), segment_s=4, sync_s=told["sync_s"])
archive.open()
writer = archive.writer("gate", "main", (H264Format(sps=bytes.fromhex(told["sps"]), pps=bytes.fromhex(told["pps"])),))
number = 0
while True:
    for key, data in told["units"]:
        at = told["start"] + number * 40_000
        unit = AccessUnit(track=0, timestamp=number * 3600, key=key, data=bytes.fromhex(data), received_us=at)
        writer.write([unit], [at])
        number += 1
        time.sleep(0.002)
        print(number, flush=True)
"""


@pytest.mark.parametrize("sync_s", [0.05, 3600])
def test_kill_9_loses_at_most_the_open_fragment(opened, film, tmp_path, sync_s):
    video, pictures = film.bars(50)
    told = {
        "archive": str(tmp_path / "archive"),
        "index": str(tmp_path / "index.db"),
        "sync_s": sync_s,
        "sps": video.sps.hex(),
        "pps": video.pps.hex(),
        "start": pictures[0].received_us,
        "units": [(unit.key, unit.data.hex()) for unit in pictures],
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "told.json")], stdout=subprocess.PIPE, text=True
    ) as child:
        for line in child.stdout:
            if int(line) == 260:
                break
        # The disk's thread has had the time of the last pictures; none of it is waited for.
        os.kill(child.pid, signal.SIGKILL)
        written = max([260, *[int(line) for line in child.stdout.read().split()]])
    archive = opened()
    spans = archive.timeline("gate", 0, EVER)
    assert len(spans) == 1
    assert spans[0].start_us == told["start"]
    # A whole fragment may still have been on its way to the disk's thread.
    assert spans[0].end_us >= told["start"] + (written - 51) * 40_000
    assert archive.check() == []
    for file in archive.segments("gate", 0, EVER):
        with av.open(str(file.path)) as container:
            assert len(list(container.decode(video=0))) == (file.end_us - file.start_us) // 40_000


def test_a_torn_tail_is_cut_off_and_the_rest_kept(opened, film):
    video, pictures = film.bars(60)
    archive = opened(segment_s=60)
    record(archive, (video,), pictures)
    closed(archive, 1)
    file = archive.segments("gate", 0, EVER)[0]
    places = list(archive.read("gate", "main", 0, EVER))
    archive.close()
    os.truncate(file.path, file.size - 100)
    (archive._index_path).unlink()
    again = opened()
    assert again.recovery.completed == (file.id,)
    assert again.recovery.truncated_bytes == places[-1].size - 100
    assert file.path.stat().st_size == places[-1].offset
    assert [place.offset for place in again.read("gate", "main", 0, EVER)] == [p.offset for p in places[:-1]]
    assert again.check() == []


def test_an_index_rebuilt_from_the_files_equals_the_one_that_was_written(opened, film):
    video, pictures = film.bars(150)
    audio, sound = film.sound(6.0)
    archive = opened()
    record(archive, (video, audio), pictures + sound)
    record(archive, (video,), pictures, camera="yard", stream="sub")
    closed(archive, 6)
    before = rows(archive)
    archive.close()
    found = Archive.rebuild(archive.path, archive._index_path)
    assert len(found.completed) == 6
    again = opened()
    assert rows(again) == before
    assert again.recovery.completed == ()


def test_a_damaged_index_is_made_anew_and_protects_all_footage(opened, film):
    video, pictures = film.bars(100)
    archive = opened()
    record(archive, (video,), pictures)
    closed(archive, 2)
    archive.close()
    archive._index_path.write_bytes(b"this is no database" * 1000)
    again = opened()
    assert again.recovery.rebuilt
    assert again.expire(retention(), pictures[0].received_us + HOUR) == 0
    assert [span.protected for span in again.timeline("gate", 0, EVER)] == [True]


def test_missing_files_are_reported_and_strangers_left_alone(opened, film):
    video, pictures = film.bars(100)
    archive = opened()
    record(archive, (video,), pictures)
    closed(archive, 2)
    gone, kept = archive.segments("gate", 0, EVER)
    archive.close()
    gone.path.unlink()
    stranger = kept.path.with_name("holiday.mp4")
    stranger.write_bytes(b"not ours")
    again = opened()
    assert again.recovery.missing == (gone.id,)
    assert again.recovery.unreadable == (str(stranger.relative_to(archive.path)),)
    assert [file.id for file in again.segments("gate", 0, EVER)] == [kept.id]
    assert stranger.exists()


# --- disks that fail


def test_a_disk_that_fails_is_reported_and_recording_goes_on_when_it_is_back(opened, film, monkeypatch):
    states = []
    archive = opened(segment_s=60, on_state=lambda *state: states.append(state))
    video, pictures = film.bars(200)
    writer = archive.writer("gate", "main", (video,))

    def feed(part):
        for unit in part:
            writer.write([unit], [unit.received_us])

    feed(pictures[:51])
    until(lambda: archive.timeline("gate", 0, EVER))
    truth = os.pwritev

    def full(fd, buffers, offset):
        # As a full disk does it: a short write first.
        if sum(map(len, buffers)) > 1000:
            return truth(fd, [b"".join(map(bytes, buffers))[:1000]], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(volume.os, "pwritev", full)
    feed(pictures[51:101])
    until(lambda: states)
    camera, stream, error = states[0]
    assert (camera, stream) == ("gate", "main")
    assert "No space left on device" in str(error)
    assert "free some space" in str(error)
    monkeypatch.setattr(volume.os, "pwritev", truth)
    feed(pictures[101:])
    writer.close()
    until(lambda: states[-1] == ("gate", "main", None))
    closed(archive, 2)
    start = pictures[0].received_us
    spans = archive.timeline("gate", 0, EVER)
    assert spans[0].start_us == start
    assert spans[0].end_us >= start + 2_000_000
    assert spans[-1].end_us == start + 8_000_000
    assert archive.dropped > 0
    assert archive.check() == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a small disk")
def test_a_full_disk_loses_nothing_that_was_indexed(film, tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(root)], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    states = []
    archive = Archive(root, tmp_path / "index.db", segment_s=1, sync_s=0.05, on_state=lambda *s: states.append(s))
    try:
        archive.open()
        video, pictures = film.bars(25)
        number = 0
        while not states and number < 100:
            _, part = film.bars(25, start_us=pictures[0].received_us + number * 1_000_000)
            record(archive, (video,), part)
            number += 1
            time.sleep(0.02)
        assert states, "the disk never filled up"
        archive.close()
        archive.open()
        assert archive.check() == []
        assert archive.timeline("gate", 0, EVER)[0].start_us == pictures[0].received_us
    finally:
        archive.close()
        subprocess.run(["umount", str(root)], check=True)


def test_a_disk_that_stalls_never_stalls_the_caller(opened, film, monkeypatch):
    monkeypatch.setattr(volume, "MAX_WAITING", 30_000)
    truth, stalled = os.pwritev, time.monotonic() + 1.0

    def slow(fd, buffers, offset):
        time.sleep(max(0.0, stalled - time.monotonic()))
        return truth(fd, buffers, offset)

    monkeypatch.setattr(volume.os, "pwritev", slow)
    states = []
    archive = opened(segment_s=60, on_state=lambda *state: states.append(state))
    video, pictures = film.bars(250)
    began = time.monotonic()
    record(archive, (video,), pictures, close=False)
    assert time.monotonic() - began < 0.5
    until(lambda: states)
    assert "too slow" in str(states[0][2])
