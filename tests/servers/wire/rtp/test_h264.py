import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire.h264 import split
from servers.wire.media import H264Format
from servers.wire.rtp.h264 import FU_A, STAP_A, H264Packetiser
from servers.wire.rtp.packet import PACKET_SIZE, Packet
from servers.wire.rtp.receiver import StreamReceiver

SPS = bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8")
PPS = bytes.fromhex("68ce3c80")
OTHER_SPS = bytes.fromhex("67640028acd940780227e5c05a808080a0000003002000000781e30632c0")
FORMAT = H264Format(sps=SPS, pps=PPS, width=320, height=240)


def unit(*nals):
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def key(size=30, fill=b"k"):
    return b"\x65" + fill * size


def delta(size=30, fill=b"d"):
    return b"\x41" + fill * size


def packets(run):
    found, at = [], 0
    while at < len(run):
        end = at + 4 + int.from_bytes(run[at + 2 : at + 4], "big")
        found.append(Packet.parse(run[at + 4 : end]))
        at = end
    return found


class Camera:
    """Says packets to a receiver, as a camera would."""

    def __init__(self, format_=FORMAT):
        self.receiver = StreamReceiver([(format_, 96, 0)], ssrc=2)
        self.sequence = 65_530
        self.timestamp = 2**32 - 7200
        self.now_us = 1_000_000

    def packet(self, payload, *, marker=True, lost=False, **fields):
        packet = Packet(
            payload_type=96, sequence=self.sequence, timestamp=self.timestamp, ssrc=1, payload=payload, marker=marker
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return [] if lost else self.receiver.feed(memoryview(packet.interleaved(0)), self.now_us)

    def say(self, *nals, marker=True):
        """One access unit, each NAL unit a packet of its own."""
        got = []
        for index, nal in enumerate(nals):
            got += self.packet(nal, marker=marker and index == len(nals) - 1)
        self.timestamp = (self.timestamp + 3600) & 0xFFFFFFFF
        self.now_us += 40_000
        return got

    def fragment(self, nal, size, *, lose=()):
        got = []
        head, pieces = nal[0], [nal[1:][at : at + size] for at in range(0, len(nal) - 1, size)]
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            flags = (0x80 if index == 0 else 0) | (0x40 if last else 0)
            payload = bytes((head & 0xE0 | FU_A, flags | head & 0x1F)) + piece
            got += self.packet(payload, marker=last, lost=index in lose)
        self.timestamp = (self.timestamp + 3600) & 0xFFFFFFFF
        self.now_us += 40_000
        return got


# --- There and back ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 6000), min_size=1, max_size=5), st.booleans())
def test_what_is_packetised_comes_back(sizes, intra):
    make = key if intra else delta
    data = unit(*(make(size, bytes((65 + index,))) for index, size in enumerate(sizes)))
    packetiser = H264Packetiser(channel=0, payload_type=96, ssrc=1, sequence=65_534)
    receiver = StreamReceiver([(FORMAT, 96, 0)], ssrc=2)
    first = unit(SPS, PPS, key())
    (began,) = receiver.feed(memoryview(packetiser.packetise(first, 0)), 0)
    (got,) = receiver.feed(memoryview(packetiser.packetise(data, 3600)), 40_000)
    assert began.data == first
    assert got.data == (unit(SPS, PPS) + data if intra else data)
    assert (got.key, got.timestamp, receiver.gaps) == (intra, 3600, 0)


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=4))
def test_packets_are_small_and_the_last_one_is_marked(sizes):
    run = H264Packetiser(channel=4, payload_type=97, ssrc=5).packetise(
        unit(*(delta(size) for size in sizes)), 2**32 + 8
    )
    found = packets(run)
    assert all(len(packet.payload) + 12 <= PACKET_SIZE for packet in found)
    assert [packet.marker for packet in found] == [False] * (len(found) - 1) + [True]
    assert [packet.sequence for packet in found] == list(range(len(found)))
    assert {(packet.timestamp, packet.payload_type, packet.ssrc) for packet in found} == {(8, 97, 5)}
    assert run[1] == 4


def test_sender_counts_are_those_of_rfc_3550():
    packetiser = H264Packetiser(channel=0, payload_type=96, ssrc=1)
    found = packets(packetiser.packetise(unit(delta(10)), 0))
    assert (packetiser.packets, packetiser.octets) == (1, len(found[0].payload))


# --- What cameras do --------------------------------------------------------------------------------------------------


def test_key_frames_begin_with_parameter_sets_though_the_camera_only_describes_them():
    (got,) = Camera().say(key())
    assert got.data == unit(SPS, PPS, key())
    assert got.format is None


def test_parameter_sets_in_band_are_not_doubled_and_delimiters_are_dropped():
    (got,) = Camera().say(b"\x09\xf0", SPS, PPS, b"\x06sei", key())
    assert got.data == unit(SPS, PPS, b"\x06sei", key())


def test_new_parameter_sets_make_a_new_format():
    camera = Camera()
    camera.say(SPS, PPS, key())
    (got,) = camera.say(OTHER_SPS, PPS, key())
    assert got.format == H264Format(sps=OTHER_SPS, pps=PPS, width=1920, height=1080)
    assert got.data == unit(OTHER_SPS, PPS, key())
    (again,) = camera.say(OTHER_SPS, PPS, key())
    assert again.format is None


def test_a_new_size_under_another_id_is_seen():
    camera = Camera()
    camera.say(SPS, PPS, key())
    under_id_one = bytes.fromhex("67640028") + b"\x56\xb3" + OTHER_SPS[6:]
    (got,) = camera.say(under_id_one, key())
    assert got.format is not None
    assert got.format.sps == under_id_one


def test_a_stream_without_described_parameter_sets_begins_when_they_come():
    camera = Camera(H264Format(sps=b"", pps=b""))
    assert camera.say(key()) == []
    assert camera.say(delta()) == []
    (got,) = camera.say(SPS, PPS, key())
    assert got.format == FORMAT


def test_nothing_comes_before_the_first_key_frame():
    camera = Camera()
    assert camera.say(delta()) == []
    assert [each.key for each in camera.say(key()) + camera.say(delta())] == [True, False]


def test_parameter_sets_may_have_a_marker_of_their_own():
    camera = Camera(H264Format(sps=b"", pps=b""))
    assert camera.packet(SPS) == []
    assert camera.packet(PPS) == []
    assert camera.say(key())[0].data == unit(SPS, PPS, key())


def test_aggregated_nal_units_are_taken_apart():
    def stap(*nals):
        return bytes((0x60 | STAP_A,)) + b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)

    camera = Camera(H264Format(sps=b"", pps=b""))
    assert camera.packet(stap(SPS, PPS), marker=False) == []
    assert camera.say(key())[0].data == unit(SPS, PPS, key())
    assert camera.packet(stap(delta(3), delta(4)))[0].data == unit(delta(3), delta(4))


def test_fragments_are_put_together():
    camera = Camera()
    assert [split(each.data)[-1] for each in camera.fragment(key(1000), 100)] == [key(1000)]
    assert [each.data for each in camera.fragment(delta(250), 100)] == [unit(delta(250))]


def test_fragmented_parameter_sets_are_understood():
    camera = Camera(H264Format(sps=b"", pps=b""))
    head, pieces = SPS[0], [SPS[1:10], SPS[10:]]
    camera.packet(bytes((head & 0xE0 | FU_A, 0x80 | 7)) + pieces[0], marker=False)
    camera.packet(bytes((head & 0xE0 | FU_A, 0x40 | 7)) + pieces[1], marker=False)
    (got,) = camera.say(PPS, key())
    assert got.format == FORMAT


def test_a_new_timestamp_ends_an_access_unit_without_a_marker():
    camera = Camera()
    assert camera.say(key(), marker=False) == []
    (got,) = camera.say(delta(), marker=False)
    assert got.data == unit(SPS, PPS, key())
    assert got.timestamp == 2**32 - 7200


@pytest.mark.parametrize("lost", [0, 3, 9])
def test_after_a_loss_nothing_comes_until_an_intact_key_frame(lost):
    camera = Camera()
    camera.say(key())
    assert camera.fragment(delta(1000), 100, lose={lost}) == []
    assert camera.say(delta()) == []
    assert camera.fragment(key(1000), 100, lose={5}) == []
    (got,) = camera.fragment(key(1000), 100)
    assert got.key
    assert camera.receiver.gaps >= 2


def test_a_lost_access_unit_is_noticed_by_the_next_one():
    camera = Camera()
    camera.say(key())
    camera.packet(delta(), lost=True)
    assert camera.say(delta()) == []
    assert camera.say(key())


def test_old_packets_are_ignored():
    camera = Camera()
    camera.say(key())
    camera.sequence -= 1
    assert camera.say(delta()) == []
    assert len(camera.say(delta())) == 1


def test_a_camera_that_begins_anew_is_followed_from_its_key_frame():
    camera = Camera()
    camera.say(key())
    camera.sequence = 100
    camera.timestamp = 5
    assert camera.say(delta()) == []
    assert len(camera.say(key())) == 1


def test_time_goes_on_over_the_overflow():
    camera = Camera()
    stamps = [each.timestamp for _ in range(4) for each in camera.say(key())]
    assert stamps == [2**32 - 7200, 2**32 - 3600, 2**32, 2**32 + 3600]


def test_padding_extensions_and_contributors_are_stepped_over():
    camera = Camera()
    nal = key(5)
    packet = bytearray(Packet(payload_type=96, sequence=7, timestamp=9, ssrc=1, payload=b"", marker=True).serialise())
    packet[0] |= 0x20 | 0x10 | 1
    packet += b"CSRC" + b"\xbe\xde\x00\x01ext!" + nal + b"\0\0\3"
    frame = b"$\x00" + len(packet).to_bytes(2, "big") + packet
    (got,) = camera.receiver.feed(memoryview(frame), 0)
    assert got.data == unit(SPS, PPS, nal)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_payloads_are_survived(payloads):
    camera = Camera()
    for payload in payloads:
        camera.packet(payload, marker=len(payload) % 2 == 0)
    for each in camera.say(key()) + camera.say(key()):
        split(each.data)


@given(st.binary(max_size=200))
def test_any_frames_are_survived(data):
    run = b""
    for at in range(0, len(data), 25):
        piece = data[at : at + 25]
        run += b"$" + bytes((piece[0] % 3,)) + len(piece).to_bytes(2, "big") + piece
    Camera().receiver.feed(memoryview(run), 0)
