import pytest

from servers.wire.rtp.packet import Packet

PACKET = Packet(payload_type=96, sequence=65_535, timestamp=2**32 - 1, ssrc=7, payload=b"abc", marker=True)


def test_a_packet_is_read_as_written():
    assert Packet.parse(PACKET.serialise()) == PACKET
    assert PACKET.interleaved(2)[:4] == b"$\x02\x00\x0f"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PACKET.serialise()[:11],
        b"\x40" + PACKET.serialise()[1:],
        b"\x90" + PACKET.serialise()[1:12],
        b"\xa0" + b"\xff" * 12,
    ],
)
def test_damaged_packets_are_refused(data):
    with pytest.raises(ValueError, match="RTP"):
        Packet.parse(data)
