"""AAC over RTP (RFC 3640, mode AAC-hbr): a 13-bit size and a 3-bit index for each access unit."""

from servers.wire.media import AACFormat, AccessUnit
from servers.wire.rtp.clock import TrackClock
from servers.wire.rtp.packet import (
    DOLLAR,
    FRAME,
    HEADER_SIZE,
    MARKER,
    PACKET_SIZE,
    VERSION_BYTE,
    payload_span,
)
from servers.wire.rtp.reception import Reception

SAMPLES = 1024
"""Of one AAC frame (ISO/IEC 14496-3); each further access unit of a packet is that much later."""
MAX_FRAME_SIZE = 8191
"""Bytes that 13 bits can name."""
_ROOM = PACKET_SIZE - HEADER_SIZE - 4


class AACPacketiser:
    """Makes interleaved frames out of AAC frames."""

    def __init__(self, *, channel: int, payload_type: int, ssrc: int, sequence: int = 0) -> None:
        self.ssrc = ssrc
        self.sequence = sequence
        """Of the next packet."""
        self.packets = 0
        self.octets = 0
        self._channel = channel
        self._type = payload_type

    def packetise(self, data: bytes, timestamp: int) -> bytes:
        """All `$` frames of one AAC frame: one, as a rule. A frame that is too long to be named is left out."""
        size = len(data)
        if size > MAX_FRAME_SIZE:
            return b""
        timestamp &= 0xFFFFFFFF
        # 3.2.1: 16 bits of AU headers follow, and the only one says the whole size, also of a fragment.
        head = b"\x00\x10" + (size << 3).to_bytes(2, "big")
        parts = []
        for at in range(0, size, _ROOM) or (0,):
            piece = data[at : at + _ROOM]
            marker = MARKER if at + _ROOM >= size else 0
            parts.append(
                FRAME.pack(
                    DOLLAR,
                    self._channel,
                    HEADER_SIZE + 4 + len(piece),
                    VERSION_BYTE,
                    self._type | marker,
                    self.sequence,
                    timestamp,
                    self.ssrc,
                )
            )
            parts += (head, piece)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.packets += 1
            self.octets += 4 + len(piece)
        return b"".join(parts)


class AACDepacketiser:
    """Takes AAC frames out of interleaved frames of one channel. A lost packet costs its own frames only."""

    def __init__(self, format_: AACFormat, *, track: int, channel: int, payload_type: int) -> None:
        self.format = format_
        self.reception = Reception(format_.clock_rate)
        self.clock = TrackClock(format_.clock_rate)
        self._track = track
        self._channel = channel
        self._type = payload_type
        self._fragment = b""
        self._fragment_size = 0
        self._fragment_timestamp = -1

    def feed(self, run: memoryview, position: int, end: int, now_us: int, units: list[AccessUnit]) -> int:
        """Take the frames from `position` that belong to this channel; returns where the first other one begins."""
        reception = self.reception
        while position + 4 <= end and run[position + 1] == self._channel:
            after = position + 4 + (run[position + 2] << 8 | run[position + 3])
            try:
                start, stop = payload_span(run, position + 4, after)
            except ValueError:
                position = after
                continue
            _, _, _, _, second, sequence, timestamp, ssrc = FRAME.unpack_from(run, position)
            position = after
            if second & 0x7F != self._type:
                continue
            if sequence != reception.expected or ssrc != reception.ssrc:
                if not reception.restart(sequence, ssrc):
                    continue
                self._fragment = b""
            reception.expected = (sequence + 1) & 0xFFFF
            reception.cycles += reception.expected == 0
            reception.received += 1
            reception.arrived(timestamp, now_us)
            self._packet(run[start:stop], timestamp, now_us, units)
        return position

    def _packet(self, payload: memoryview, timestamp: int, now_us: int, units: list[AccessUnit]) -> None:
        if len(payload) < 4:  # noqa: PLR2004 - the length of the AU headers and one of them
            return
        bits = payload[0] << 8 | payload[1]
        if bits == 16 and (payload[2] << 8 | payload[3]) >> 3 == len(payload) - 4:  # noqa: PLR2004 - one header's bits
            # The common case: one whole frame.
            self._emit(bytes(payload[4:]), self.clock.unwrap(timestamp), now_us, units)
            return
        count, at = bits // 16, 2 + (bits + 7) // 8
        if not count or at > len(payload):
            return
        sizes = [(payload[2 + 2 * index] << 8 | payload[3 + 2 * index]) >> 3 for index in range(count)]
        unwrapped = self.clock.unwrap(timestamp)
        if count == 1 and sizes[0] > len(payload) - at:
            self._piece(payload[at:], sizes[0], unwrapped, now_us, units)
            return
        for index, size in enumerate(sizes):
            if at + size > len(payload):
                return
            if size:
                self._emit(bytes(payload[at : at + size]), unwrapped + index * SAMPLES, now_us, units)
            at += size

    def _piece(self, piece: memoryview, size: int, timestamp: int, now_us: int, units: list[AccessUnit]) -> None:
        """3.2.3.2: a frame over several packets; all name its whole size and time."""
        if (timestamp, size) != (self._fragment_timestamp, self._fragment_size):
            self._fragment, self._fragment_timestamp, self._fragment_size = b"", timestamp, size
        self._fragment += piece
        if len(self._fragment) >= size:
            whole, self._fragment, self._fragment_timestamp = self._fragment[:size], b"", -1
            self._emit(whole, timestamp, now_us, units)

    def _emit(self, data: bytes, timestamp: int, now_us: int, units: list[AccessUnit]) -> None:
        units.append(
            AccessUnit(
                track=self._track,
                timestamp=timestamp,
                key=True,
                data=data,
                received_us=now_us,
                camera_time_us=self.clock.time_us(timestamp),
            )
        )
