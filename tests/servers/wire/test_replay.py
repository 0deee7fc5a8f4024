from itertools import pairwise

import pytest

from servers.wire.replay import KEY_FRAMES_S, Piece, Recorded, Replay, Wanted, needs_key_frames
from servers.wire.rtp.replay import BREAK, CLEAN

SECOND = 1_000_000
FRAME = 40_000


def gop(second, *, frames=25, sound=False):
    """A second of pictures, the first a key frame."""
    begin = second * SECOND
    units = [Recorded(0, begin + n * FRAME, FRAME, n == 0, b"%d" % n) for n in range(frames)]
    if sound:
        units += [Recorded(1, begin + n * 64_000, 64_000, True, b"s") for n in range(16)]
    return Piece(sorted(units, key=lambda unit: unit.time_us))


def play(pieces, **wanted):
    replay = Replay(Wanted(**wanted))
    return replay, [due for piece in pieces for due in replay.feed(piece)]


def times(found, track=0):
    return [due.unit.time_us for due in found if due.unit.track == track]


def test_what_lies_before_the_start_is_due_at_once_and_the_rest_in_its_time():
    _, found = play([gop(10), gop(11)], start_us=10 * SECOND + 400_000)
    assert [due.media_us for due in found] == [n * FRAME for n in range(50)]
    assert all(due.due_us <= 0 for due in found[:11])
    assert found[25].due_us == 600_000
    assert [due.flags for due in found[:2]] == [CLEAN, 0]


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_scale_stretches_the_rtp_time_line(scale):
    _, found = play([gop(10), gop(11)], start_us=10 * SECOND, scale=scale)
    assert [due.due_us for due in found] == [int(n * FRAME / scale) for n in range(50)]


def test_a_gap_takes_no_time_and_is_marked():
    _, found = play([gop(10), gop(20)._replace(gap_us=9 * SECOND)], start_us=10 * SECOND)
    assert [due.media_us for due in found] == [n * FRAME for n in range(50)]
    assert [due.flags for due in found if due.flags] == [CLEAN, CLEAN | BREAK]


def test_time_that_ran_backwards_in_the_recording_does_not_run_backwards_for_the_viewer():
    _, found = play([gop(10), gop(5)._replace(gap_us=-6 * SECOND)], start_us=10 * SECOND)
    assert all(later.media_us > earlier.media_us for earlier, later in pairwise(found))


def test_the_end_is_exact_and_nothing_follows_it():
    replay, found = play([gop(10, sound=True), gop(11)], start_us=10 * SECOND, end_us=10 * SECOND + 480_000)
    assert replay.finished
    assert times(found) == [10 * SECOND + n * FRAME for n in range(12)]
    assert max(times(found, track=1)) < 10 * SECOND + 480_000


@pytest.mark.parametrize(("wanted", "heard"), [({}, True), ({"scale": 2.0}, False), ({"key_frames": True}, False)])
def test_sound_is_sent_only_where_it_sounds_as_it_did(wanted, heard):
    _, found = play([gop(10, sound=True)], start_us=10 * SECOND, **wanted)
    assert bool(times(found, track=1)) is heard


def test_sound_before_the_start_is_left_out():
    _, found = play([gop(10, sound=True)], start_us=10 * SECOND + 500_000)
    assert min(times(found, track=1)) >= 10 * SECOND + 500_000
    assert len(times(found)) == 25


def test_key_frames_alone_are_not_more_than_a_screen_shows():
    pieces = [Piece(gop(second).units[:1]) for second in range(200)]
    _, found = play(pieces, start_us=0, scale=64.0, key_frames=True)
    assert all(later.due_us - earlier.due_us >= 1_000_000 // KEY_FRAMES_S for earlier, later in pairwise(found))
    _, sparse = play(pieces, start_us=0, scale=1.0, key_frames=True, interval_us=5 * SECOND)
    assert times(sparse) == [second * SECOND for second in range(0, 200, 5)]
    _, unpaced = play(pieces, start_us=0, scale=64.0, key_frames=True, paced=False)
    assert len(unpaced) == 200


def test_backwards_by_key_frames_the_first_is_there_at_once_and_the_others_when_their_time_has_come():
    pieces = [gop(12), gop(11), gop(10)]
    _, found = play(pieces, start_us=12 * SECOND + 500_000, scale=-2.0, key_frames=True)
    assert times(found) == [12 * SECOND, 11 * SECOND, 10 * SECOND]
    assert [due.due_us for due in found] == [0, 750_000, 1_250_000]
    assert [due.media_us for due in found] == [0, 500_000, SECOND]


def test_backwards_by_gops_each_comes_whole_in_the_order_of_decoding():
    _, found = play([gop(12), gop(11)], start_us=12 * SECOND + 400_000, scale=-1.0)
    first, second = found[:11], found[11:]
    assert times(first) == [12 * SECOND + n * FRAME for n in range(11)], "nothing later than the start"
    assert times(second) == [11 * SECOND + n * FRAME for n in range(25)]
    assert {due.due_us for due in first} == {0}
    assert {due.due_us for due in second} == {11 * FRAME}
    assert all(later.media_us > earlier.media_us for earlier, later in pairwise(found))
    assert [due.flags for due in found if due.flags] == [CLEAN | BREAK] * 2


def test_backwards_it_ends_at_the_range_too():
    replay, found = play([gop(12), gop(11), gop(10)], start_us=13 * SECOND, end_us=11 * SECOND, scale=-1.0)
    assert replay.finished
    assert min(times(found)) == 11 * SECOND
    replay, found = play(
        [gop(12), gop(11), gop(10)], start_us=13 * SECOND, end_us=11 * SECOND, scale=-1.0, key_frames=True
    )
    assert (replay.finished, times(found)) == (True, [12 * SECOND, 11 * SECOND])


@pytest.mark.parametrize(("fps", "scale", "alone"), [(25, 4, False), (25, 8, True), (10, 8, False), (25, -1, False)])
def test_key_frames_alone_where_the_pictures_would_be_too_many(fps, scale, alone):
    assert needs_key_frames(fps, SECOND, scale) is alone
