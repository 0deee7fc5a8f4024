import random
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servers.wire.media import AACFormat, H264Format
from servers.wire.replay import Due, Recorded
from servers.wire.rtp.h264 import H264Packetiser
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtp.replay import BREAK, CLEAN, Mark, Marks, goodbye, marked
from servers.wire.rtp.replay_sender import REPORT_US, ReplaySender
from servers.wire.rtp.rtcp import sender_reports

NOON = 1_769_860_800_000_000
VIDEO = H264Format(sps=b"\x67\x42\xc0\x1e\x01", pps=b"\x68\xce")
SOUND = AACFormat(config=b"\x14\x08", sample_rate=16_000, channels=1)


def nal(kind, size):
    return (size).to_bytes(4, "big") + bytes((0x60 | kind,)) + bytes(index % 251 + 1 for index in range(size - 1))


KEY = nal(7, 5) + nal(8, 2) + nal(5, 6000)
DELTA = nal(1, 900)


def due(number, *, key=False, track=0, flags=0):
    data = b"\x21" * 90 if track else KEY if key else DELTA
    return Due(0, number * 40_000, Recorded(track, NOON + number * 40_000, 40_000, key, data), flags)


def sender():
    return ReplaySender((VIDEO, SOUND), random.Random(1).getrandbits)


def receiver():
    return StreamReceiver([(VIDEO, 96, 0), (SOUND, 97, 2)], ssrc=1)


def test_a_mark_travels_with_the_access_unit_and_leaves_it_whole():
    packetiser = H264Packetiser(channel=0, payload_type=96, ssrc=7)
    frames = marked(packetiser.packetise(KEY, 9000), Mark(NOON + 1, CLEAN, 261))
    marks, plain = Marks((0, 2)), StreamReceiver([(VIDEO, 96, 0)], ssrc=1)
    marks.feed(memoryview(frames))
    (unit,) = plain.feed(memoryview(frames), NOON)
    assert unit.data.endswith(nal(5, 6000))
    assert marks.take(0, unit.timestamp) == Mark(NOON + 1, CLEAN, 5)
    assert marks.take(0, unit.timestamp) is None
    assert marked(b"", Mark(NOON)) == b""


def test_a_viewer_learns_the_time_of_every_unit_of_every_track():
    sending, receiving, marks = sender(), receiver(), Marks((0, 2))
    sending.begin(frozenset({0, 1}), extension=True, cseq=5)
    sent = [due(0, key=True, flags=CLEAN), due(0, track=1), due(1), due(2, flags=BREAK)]
    found = []
    for each in sent:
        run = memoryview(sending.frames(each))
        marks.feed(run)
        found += [(unit.track, marks.take(unit.track, unit.timestamp)) for unit in receiving.feed(run, NOON)]
    assert found == [(each.unit.track, Mark(each.unit.time_us, each.flags, 5)) for each in sent]


def test_who_does_not_ask_for_it_gets_packets_without_extension_and_reports_with_the_time():
    sending, receiving = sender(), receiver()
    (place, *_) = sending.begin(frozenset({0}), extension=False, cseq=5)
    run = sending.frames(due(0, key=True))
    assert run[4] == 0x80
    (unit,) = receiving.feed(memoryview(run), NOON)
    assert unit.camera_time_us == pytest.approx(NOON, abs=20)
    assert unit.timestamp & 0xFFFFFFFF == place[2]
    assert sending.frames(due(0, track=1)) == b"", "a track that was not set up"


def reports(frames):
    at, found = 0, []
    while at < len(frames):
        end = at + 4 + int.from_bytes(frames[at + 2 : at + 4], "big")
        if frames[at + 1] & 1:
            found += sender_reports(frames[at + 4 : end])
        at = end
    return found


def test_reports_come_at_the_beginning_after_gaps_and_every_few_seconds():
    sending = sender()
    sending.begin(frozenset({0}), extension=False, cseq=1)
    steps = REPORT_US // 40_000
    counts = [len(reports(sending.frames(due(number)))) for number in range(2 * steps)]
    assert [number for number, count in enumerate(counts) if count] == [0, steps]
    assert len(reports(sending.frames(due(2 * steps - 1, flags=BREAK)))) == 1


def test_rtp_time_and_sequence_go_on_from_one_play_to_the_next():
    sending, receiving = sender(), receiver()
    units = []
    for number in range(3):
        ((_, sequence, rtptime),) = sending.begin(frozenset({0}), extension=False, cseq=number)
        frames = sending.frames(due(0, key=True)) + sending.frames(due(1))
        first = receiving.feed(memoryview(frames), NOON)
        assert first[0].timestamp & 0xFFFFFFFF == rtptime
        units += first
        assert sequence == int.from_bytes(frames[_second(frames) + 6 : _second(frames) + 8], "big")
    assert receiving.gaps == 0
    assert [later.timestamp - earlier.timestamp for earlier, later in pairwise(units)] == [3600] * 5


def _second(frames):
    """Where the second frame begins: the first is a report."""
    return 4 + int.from_bytes(frames[2:4], "big")


def test_after_a_farewell_the_next_play_has_new_senders_and_nothing_is_taken_for_lost():
    sending, receiving, marks = sender(), receiver(), Marks((0, 2))
    sending.begin(frozenset({0, 1}), extension=False, cseq=1)
    first = receiving.feed(memoryview(sending.frames(due(0, key=True))), NOON)
    marks.feed(memoryview(sending.goodbye()))
    assert marks.ended == {0, 1}
    marks.clear()
    sending.begin(frozenset({0, 1}), extension=False, cseq=2)
    second = receiving.feed(memoryview(sending.frames(due(0, key=True))), NOON)
    assert (len(first), len(second)) == (1, 1)
    assert not marks.ended


@given(st.lists(st.binary(max_size=80), max_size=8), st.integers(0, 5))
def test_whatever_a_server_sends_reading_marks_ends(packets, channel):
    run = b"".join(bytes((0x24, channel)) + len(each).to_bytes(2, "big") + each for each in packets)
    marks = Marks((0, 2))
    marks.feed(memoryview(run + bytes((0x24, 1)) + len(goodbye(5)).to_bytes(2, "big") + goodbye(5)))
    assert 0 in marks.ended


@given(st.binary(max_size=300))
@example(b"\x00\x00\x00\x0c")
def test_torn_frames_do_no_harm(data):
    Marks((0, 2)).feed(memoryview(data))
