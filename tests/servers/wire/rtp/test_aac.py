import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire.media import AACFormat
from servers.wire.rtp.aac import SAMPLES, AACPacketiser
from servers.wire.rtp.packet import Packet
from servers.wire.rtp.receiver import StreamReceiver

FORMAT = AACFormat(config=bytes.fromhex("1190"), sample_rate=48000, channels=2)


@pytest.fixture
def receiver():
    return StreamReceiver([(FORMAT, 97, 2)], ssrc=9)


@given(st.binary(min_size=1, max_size=8191))
def test_what_is_packetised_comes_back(data):
    receiver = StreamReceiver([(FORMAT, 97, 2)], ssrc=9)
    packetiser = AACPacketiser(channel=2, payload_type=97, ssrc=1)
    (got,) = receiver.feed(memoryview(packetiser.packetise(data, 1024)), 0)
    assert (got.data, got.timestamp, got.key, receiver.gaps) == (data, 1024, True, 0)


def test_a_frame_too_long_to_be_named_is_left_out():
    assert AACPacketiser(channel=2, payload_type=97, ssrc=1).packetise(b"x" * 8192, 0) == b""


def packet(payload, sequence=0, timestamp=0):
    return memoryview(
        Packet(
            payload_type=97, sequence=sequence, timestamp=timestamp, ssrc=1, payload=payload, marker=True
        ).interleaved(2)
    )


def test_several_frames_of_one_packet_follow_each_other(receiver):
    payload = b"\x00\x20" + (3 << 3).to_bytes(2, "big") + (2 << 3).to_bytes(2, "big") + b"abcde"
    got = receiver.feed(packet(payload, timestamp=100), 0)
    assert [(each.data, each.timestamp) for each in got] == [(b"abc", 100), (b"de", 100 + SAMPLES)]


def test_a_lost_packet_costs_its_own_frames_only(receiver):
    payload = b"\x00\x10" + (3 << 3).to_bytes(2, "big") + b"abc"
    assert receiver.feed(packet(payload, 1), 0)
    assert receiver.feed(packet(payload, 5, 4096), 0)
    assert receiver.gaps == 1


def test_a_piece_of_a_lost_frame_is_not_glued_to_another(receiver):
    head = b"\x00\x10" + (6 << 3).to_bytes(2, "big")
    assert receiver.feed(packet(head + b"abc", 1, 0), 0) == []
    assert receiver.feed(packet(head + b"xyz", 3, 1024), 0) == []
    (got,) = receiver.feed(packet(head + b"XYZ", 4, 1024), 0)
    assert got.data == b"xyzXYZ"


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_payloads_are_survived(payloads):
    receiver = StreamReceiver([(FORMAT, 97, 2)], ssrc=9)
    for index, payload in enumerate(payloads):
        receiver.feed(packet(payload, index, index * 1024), 0)
