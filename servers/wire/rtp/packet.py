"""The RTP header (RFC 3550, 5.1), and the interleaved frame around it (RFC 2326, 10.12)."""

import struct
from dataclasses import dataclass
from typing import Self

PACKET_SIZE = 1400
"""Bytes of an RTP packet that we make: fits an Ethernet frame, with room for tunnels, should it leave as UDP."""
HEADER_SIZE = 12
VERSION_BYTE = 0x80
"""Version 2, no padding, no extension, no contributing sources."""
MARKER = 0x80

FRAME = struct.Struct(">BBHBBHII")
"""`$`, channel, length, then the fixed RTP header: first byte, marker and payload type, sequence, timestamp, SSRC."""
FRAME_SIZE = FRAME.size
DOLLAR = 0x24


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One RTP packet, for the paths where speed does not matter and for tests."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """Read a packet; raises ValueError."""
        start, end = payload_span(data, 0, len(data))
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
        del first
        return cls(
            payload_type=second & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=bytes(data[start:end]),
            marker=bool(second & MARKER),
        )

    def serialise(self) -> bytes:
        """The packet's bytes."""
        second = self.payload_type | (MARKER if self.marker else 0)
        head = struct.pack(
            ">BBHII", VERSION_BYTE, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        return head + self.payload

    def interleaved(self, channel: int) -> bytes:
        """The packet in its interleaved frame."""
        packet = self.serialise()
        return struct.pack(">BBH", DOLLAR, channel, len(packet)) + packet


def payload_span(data: bytes | memoryview, start: int, end: int) -> tuple[int, int]:
    """Where the payload of the packet `data[start:end]` begins and ends; raises ValueError when it is damaged."""
    if end - start < HEADER_SIZE:
        raise ValueError("an RTP packet shorter than its header")
    first = data[start]
    if first >> 6 != 2:  # noqa: PLR2004 - the version
        raise ValueError("not an RTP packet of version 2")
    payload = start + HEADER_SIZE + 4 * (first & 15)
    if first & 0x10:  # an extension
        if payload + 4 > end:
            raise ValueError("an RTP extension beyond its packet")
        payload += 4 + 4 * (data[payload + 2] << 8 | data[payload + 3])
    if first & 0x20:  # padding
        end -= data[end - 1]
    if payload > end:
        raise ValueError("an RTP packet without room for its payload")
    return payload, end
