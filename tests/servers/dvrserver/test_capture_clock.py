import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from servers.dvrserver.capture_clock import CaptureClock
from servers.wire.media import AACFormat, AccessUnit, H264Format

VIDEO = H264Format(sps=b"\x67\x42\xc0\x1f", pps=b"\x68")
AUDIO = AACFormat(config=b"\x11\x90", sample_rate=48_000, channels=2)
NOW = 1_763_862_000_000_000
FRAME = 3_600


def unit(number, *, received=None, camera=None, track=0, step=FRAME, key=None):
    received = NOW + number * 40_000 if received is None else received
    return AccessUnit(
        track=track,
        timestamp=1_000_000 + number * step,
        key=number % 25 == 0 if key is None else key,
        data=b"",
        received_us=received,
        camera_time_us=camera,
    )


def started():
    clock = CaptureClock()
    clock.described((VIDEO, AUDIO))
    return clock


def test_without_sender_reports_the_first_arrival_anchors_and_jitter_is_ignored():
    clock, noise = started(), random.Random(1)
    units = [unit(n, received=NOW + n * 40_000 + (noise.randrange(90_000) if n else 0)) for n in range(500)]
    assert clock.stamp(units) == [NOW + n * 40_000 for n in range(500)]


def test_a_sane_camera_clock_decides():
    clock = started()
    times = clock.stamp([unit(n, camera=NOW - 300_000 + n * 40_000) for n in range(100)])
    assert times == [NOW - 300_000 + n * 40_000 for n in range(100)]


def test_a_report_that_comes_late_is_approached_without_a_jump():
    clock = started()
    units = [unit(n, camera=None if n < 50 else NOW - 300_000 + n * 40_000) for n in range(500)]
    times = clock.stamp(units)
    steps = {b - a for a, b in itertools.pairwise(times)}
    assert min(steps) >= 37_000
    assert max(steps) <= 42_000
    assert abs(times[-1] - (NOW - 300_000 + 499 * 40_000)) < 1_000


def test_a_camera_clock_that_moves_forward_steps_at_a_key_frame():
    clock = started()
    camera = [NOW + n * 40_000 + (3_000_000 if n >= 60 else 0) for n in range(100)]
    times = clock.stamp([unit(n, camera=camera[n]) for n in range(100)])
    assert times[74] == NOW + 74 * 40_000
    assert times[75:] == camera[75:]


def test_a_camera_clock_that_moves_back_never_takes_time_back():
    clock = started()
    camera = [NOW + n * 40_000 - (3_000_000 if n >= 60 else 0) for n in range(3000)]
    times = clock.stamp([unit(n, camera=camera[n]) for n in range(3000)])
    assert min(b - a for a, b in itertools.pairwise(times)) >= 37_000
    assert abs(times[-1] - camera[-1]) < 1_000


def test_a_camera_of_1970_is_anchored_at_arrival_and_keeps_sound_and_picture_together():
    clock = started()
    pictures = [unit(n, camera=5_000_000 + n * 40_000) for n in range(100)]
    # The sound arrives 80 ms later than the picture taken with it.
    sound = [
        unit(n, received=NOW + 80_000 + n * 40_000, camera=5_000_000 + n * 40_000, track=1, step=1920, key=True)
        for n in range(100)
    ]
    assert clock.stamp(pictures) == [NOW + n * 40_000 for n in range(100)]
    assert clock.stamp(sound) == [NOW + n * 40_000 for n in range(100)]


def test_a_clock_that_jumps_out_of_the_sane_range_keeps_the_time_it_had():
    clock = started()
    camera = [NOW + n * 40_000 - (10**12 if n >= 60 else 0) for n in range(200)]
    assert clock.stamp([unit(n, camera=camera[n]) for n in range(200)]) == [NOW + n * 40_000 for n in range(200)]


def test_a_counter_that_starts_anew_is_anchored_anew():
    clock = started()
    before = clock.stamp([unit(n) for n in range(50)])
    restarted = AccessUnit(track=0, timestamp=5, key=True, data=b"", received_us=NOW + 50 * 40_000)
    assert clock.stamp([restarted]) == [before[-1] + 40_000]


def test_a_reconnect_begins_later_than_all_that_was_given():
    clock = started()
    last = clock.stamp([unit(n, camera=NOW + 2_000_000 + n * 40_000) for n in range(50)])[-1]
    clock.described((VIDEO,))
    assert clock.stamp([unit(0, received=NOW + 2_000_000)])[0] > last


def test_a_slow_crystal_is_followed_where_there_are_no_reports():
    clock = started()
    # 2 % slow, jitter up to 50 ms.
    noise = random.Random(2)
    units = [unit(n, received=NOW + int(n * 40_800) + noise.randrange(50_000)) for n in range(5000)]
    times = clock.stamp(units)
    assert abs(times[-1] - units[-1].received_us) < 300_000


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**40), 2**40), st.integers(0, 2**52), st.none() | st.integers(0, 2**52), st.booleans()
        ),
        max_size=50,
    )
)
def test_whatever_a_camera_sends_time_never_goes_backwards(sent):
    clock = started()
    units = [
        AccessUnit(track=0, timestamp=stamp, key=key, data=b"", received_us=received, camera_time_us=camera)
        for stamp, received, camera, key in sent
    ]
    times = clock.stamp(units)
    assert all(a < b for a, b in itertools.pairwise(times))
