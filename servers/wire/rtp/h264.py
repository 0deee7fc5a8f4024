"""H.264 over RTP (RFC 6184): access units to interleaved frames, and back. Both are hot paths."""

import struct

from servers.wire import h264
from servers.wire.h264 import AUD, IDR, PPS, SPS
from servers.wire.media import AccessUnit, H264Format
from servers.wire.rtp.clock import TrackClock
from servers.wire.rtp.packet import (
    DOLLAR,
    FRAME,
    FRAME_SIZE,
    HEADER_SIZE,
    MARKER,
    PACKET_SIZE,
    VERSION_BYTE,
    payload_span,
)
from servers.wire.rtp.reception import Reception

STAP_A, FU_A = 24, 28
"""Payloads that aggregate or fragment NAL units (RFC 6184, 5.2)."""

MAX_ACCESS_UNIT = 8 * 1024 * 1024
"""Bytes of one picture; 4K key frames at the highest bit rates take 2 MB."""
MAX_PARAMETER_SETS = 32
"""Of one stream; more are damage."""

_ROOM = PACKET_SIZE - HEADER_SIZE
_FRAGMENT = struct.Struct(">IHHQH")
"""A frame with a fragment: `$` with channel and length, first two bytes, sequence, time with source, FU bytes."""


class H264Packetiser:
    """Makes interleaved frames out of access units. Sequence numbers go on for ever, so all viewers see the same."""

    def __init__(self, *, channel: int, payload_type: int, ssrc: int, sequence: int = 0) -> None:
        self.ssrc = ssrc
        self.sequence = sequence
        """Of the next packet."""
        self.packets = 0
        self.octets = 0
        self._channel = channel
        self._type = payload_type

    def packetise(self, data: bytes, timestamp: int) -> bytes:
        """All `$` frames of one access unit (NAL units with 4-byte lengths) in one object."""
        channel, kind, ssrc, sequence = self._channel, self._type, self.ssrc, self.sequence
        timestamp &= 0xFFFFFFFF
        first_sequence = sequence
        pack = FRAME.pack
        view = memoryview(data)
        parts: list[bytes | memoryview] = []
        append = parts.append
        position, end = 0, len(view)
        payload = 0
        while position + 4 < end:
            start = position + 4
            position = start + int.from_bytes(view[position:start], "big")
            size = position - start
            if size <= _ROOM:
                marker = MARKER if position >= end else 0
                append(
                    pack(DOLLAR, channel, HEADER_SIZE + size, VERSION_BYTE, kind | marker, sequence, timestamp, ssrc)
                )
                append(view[start:position])
                sequence = (sequence + 1) & 0xFFFF
                payload += size
                continue
            # 5.8: FU-A; the NAL unit's header byte is split over indicator and FU header.
            header = view[start]
            indicator = header & 0xE0 | FU_A
            unit_type = header & 0x1F
            begin, middle, last = bytes((indicator, 0x80 | unit_type)), bytes((indicator, unit_type)), b""
            last = bytes((indicator, 0x40 | unit_type))
            step = _ROOM - 2
            at, stop = start + 1, position - step
            fu = begin
            while at < stop:
                append(pack(DOLLAR, channel, PACKET_SIZE, VERSION_BYTE, kind, sequence, timestamp, ssrc))
                append(fu)
                append(view[at : at + step])
                at += step
                sequence = (sequence + 1) & 0xFFFF
                fu = middle
            marker = MARKER if position >= end else 0
            size = HEADER_SIZE + 2 + position - at
            append(pack(DOLLAR, channel, size, VERSION_BYTE, kind | marker, sequence, timestamp, ssrc))
            append(last)
            append(view[at:position])
            sequence = (sequence + 1) & 0xFFFF
            payload += position - start
        self.sequence = sequence
        self.packets += (sequence - first_sequence) & 0xFFFF
        self.octets += payload
        return b"".join(parts)


class H264Depacketiser:
    """Puts access units together from interleaved frames of one channel.

    After a loss nothing comes out until the next intact key frame, since every picture in between leans on what was
    lost. Key frames begin with the parameter sets, whether the source repeats them or only describes them.
    """

    def __init__(self, format_: H264Format, *, track: int, channel: int, payload_type: int) -> None:
        self.format: H264Format = format_
        """As known now; without parameter sets when neither described nor received yet."""
        self.reception = Reception(format_.clock_rate)
        self.clock = TrackClock(format_.clock_rate)
        self._track = track
        self._channel = channel
        self._type = payload_type
        self._buffer = bytearray()
        self._fragment = -1
        """Where the length of the NAL unit under way stands in the buffer; below zero when there is none."""
        self._timestamp = -1
        self._key = False
        self._slices = False
        self._broken = False
        """Whether something of this access unit is missing."""
        self._wait = True
        """Whether to wait for a key frame."""
        self._sets: dict[tuple[int, int], bytes] = {}
        self._sps = b""
        self._prefix = b""
        self._changed = False
        for nal in (format_.sps, format_.pps):
            if nal:
                self._parameter_set(nal)
        self._changed = not (format_.sps and format_.pps)

    def feed(  # noqa: C901, PLR0912 - one loop without calls, since each costs as much as the rest of a packet
        self, run: memoryview, position: int, end: int, now_us: int, units: list[AccessUnit]
    ) -> int:
        """Take the frames from `position` that belong to this channel; returns where the first other one begins.

        Finished access units are appended to `units`. `run` holds whole frames only.
        """
        unpack = FRAME.unpack_from
        channel, payload_type, reception = self._channel, self._type, self.reception
        expected = reception.expected
        while position + FRAME_SIZE <= end:
            _, on, length, first, second, sequence, timestamp, ssrc = unpack(run, position)
            if on != channel:
                break
            after = position + 4 + length
            if length < HEADER_SIZE:
                position = after
                continue
            if first == VERSION_BYTE:
                start, stop = position + FRAME_SIZE, after
            else:
                try:
                    start, stop = payload_span(run, position + 4, after)
                except ValueError:
                    position = after
                    continue
            position = after
            if second & 0x7F != payload_type or start >= stop:
                continue  # Other payload types and empty packets keep a path open; they are not pictures.
            if sequence != expected or ssrc != reception.ssrc:
                # On a new source, or after packets that the sender dropped, what is under way is lost.
                reception.expected = expected
                if not reception.restart(sequence, ssrc):
                    continue
                if expected >= 0:
                    self._lose()
            expected = (sequence + 1) & 0xFFFF
            if expected == 0:
                reception.cycles += 1
            reception.received += 1
            if timestamp != self._timestamp:
                if self._timestamp >= 0 and (self._buffer or self._broken):
                    self._finish(now_us, units)  # No marker came: the new timestamp ends the access unit.
                self._timestamp = timestamp
                reception.arrived(timestamp, now_us)
            kind = run[start] & 0x1F
            if kind == FU_A and start + 2 < stop:
                self._fragmented(run, start, stop, run[start + 1])
                if self._fragment >= 0 and first == VERSION_BYTE and second == payload_type:
                    # The common case by far: the fragments that follow are the middle of the same NAL unit.
                    position, expected = self._middle(run, start, position, end, expected)
            elif kind == STAP_A:
                self._aggregated(run, start + 1, stop)
            elif 0 < kind < STAP_A:
                self._unit(run[start:stop])
            if second & MARKER:
                self._finish(now_us, units)
        reception.expected = expected
        return position if position + FRAME_SIZE <= end else self._short(run, position, end)

    def _middle(self, run: memoryview, start: int, position: int, end: int, expected: int) -> tuple[int, int]:
        """Take the middle fragments behind a first one, as long as they are alike; leave all else to `feed`.

        `start` is where the first one's payload begins, behind a plain header. Alike means: the same channel, length,
        time and source, no marker, and neither beginning nor end of the NAL unit.
        """
        buffer, unpack = self._buffer, _FRAGMENT.unpack_from
        word, kind, _, source, unit = unpack(run, start - FRAME_SIZE)
        unit &= 0xFF1F
        stride = 4 + (word & 0xFFFF)
        payload, first = _FRAGMENT.size, expected
        while position + stride <= end:
            on, head, sequence, origin, fragment = unpack(run, position)
            if sequence != expected or fragment != unit or on != word or head != kind or origin != source:
                break
            buffer += run[position + payload : position + stride]
            position += stride
            expected = (expected + 1) & 0xFFFF
        reception = self.reception
        reception.received += (expected - first) & 0xFFFF
        reception.cycles += expected < first
        if len(buffer) > MAX_ACCESS_UNIT:
            self._lose()
        return position, expected

    def _short(self, run: memoryview, position: int, end: int) -> int:
        """Step over frames too short to hold an RTP header, if they are on this channel."""
        while position + 4 <= end and run[position + 1] == self._channel:
            position += 4 + (run[position + 2] << 8 | run[position + 3])
        return position

    # --- NAL units ----------------------------------------------------------------------------------------------------

    def _fragmented(self, run: memoryview, start: int, stop: int, header: int) -> None:
        buffer = self._buffer
        if header & 0x80:
            unit_type = header & 0x1F
            self._end_fragment()
            self._fragment = len(buffer)
            buffer += b"\0\0\0\0"
            buffer.append(run[start] & 0xE0 | unit_type)
            self._note(unit_type)
        elif self._fragment < 0:
            self._broken = True  # Its beginning is missing.
            return
        buffer += run[start + 2 : stop]
        if header & 0x40:
            self._end_fragment()
        if len(buffer) > MAX_ACCESS_UNIT:
            self._lose()

    def _end_fragment(self) -> None:
        """Write the length of the NAL unit that is complete now; parameter sets leave the buffer."""
        at = self._fragment
        if at < 0:
            return
        self._fragment = -1
        buffer = self._buffer
        buffer[at : at + 4] = (len(buffer) - at - 4).to_bytes(4, "big")
        if buffer[at + 4] & 0x1F in (SPS, PPS):
            nal = bytes(buffer[at + 4 :])
            del buffer[at:]
            self._parameter_set(nal)

    def _aggregated(self, run: memoryview, position: int, end: int) -> None:
        while position + 2 < end:
            start = position + 2
            position = start + (run[position] << 8 | run[position + 1])
            if position > end or position == start:
                self._broken = True
                return
            self._unit(run[start:position])

    def _unit(self, nal: memoryview) -> None:
        """A whole NAL unit."""
        self._end_fragment()
        kind = nal[0] & 0x1F
        if kind in (SPS, PPS):
            self._parameter_set(bytes(nal))
        elif kind != AUD:
            buffer = self._buffer
            buffer += len(nal).to_bytes(4, "big")
            buffer += nal
            self._note(kind)
            if len(buffer) > MAX_ACCESS_UNIT:
                self._lose()

    def _note(self, kind: int) -> None:
        if kind <= IDR:
            self._slices = True
            if kind == IDR:
                self._key = True

    def _parameter_set(self, nal: bytes) -> None:
        """Keep a parameter set; key frames begin with them all, whether the source repeats them or not."""
        kind = nal[0] & 0x1F
        key = (kind, h264.parameter_set_id(nal))
        if self._sets.get(key) == nal:
            return
        if len(self._sets) >= MAX_PARAMETER_SETS and key not in self._sets:
            self._sets.clear()
        self._sets[key] = nal
        if kind == SPS:
            self._sps = nal
        ordered = [self._sets[name] for name in sorted(self._sets)]
        self._prefix = b"".join(len(each).to_bytes(4, "big") + each for each in ordered)
        self._changed = True

    def _new_format(self) -> H264Format | None:
        """The format, when the parameter sets differ from those before; none while they are incomplete."""
        # Of several, the newest SPS (a camera may change size under a new id) and the PPS with the lowest id.
        sps, pps = self._sps, next((self._sets[key] for key in sorted(self._sets) if key[0] == PPS), b"")
        if not (sps and pps):
            return None
        self._changed = False
        if (sps, pps) == (self.format.sps, self.format.pps):
            return None
        size = h264.picture_size(sps)
        self.format = H264Format(sps=sps, pps=pps, width=size.width, height=size.height)
        return self.format

    # --- Access units -------------------------------------------------------------------------------------------------

    def _lose(self) -> None:
        self._buffer.clear()
        self._fragment = -1
        self._broken = True
        self._wait = True

    def _finish(self, now_us: int, units: list[AccessUnit]) -> None:
        buffer = self._buffer
        if self._fragment >= 0:
            self._broken = True  # Its end is missing.
        key, slices, broken = self._key, self._slices, self._broken
        self._fragment = -1
        self._key = self._slices = self._broken = False
        if broken:
            buffer.clear()
            self._wait = True
            return
        if not slices:
            # Parameter sets or SEI with a timestamp of their own: they belong to the access unit that follows.
            return
        format_ = None
        if key:
            if self._changed:
                format_ = self._new_format()
            if not self._prefix or not self.format.sps:
                buffer.clear()
                self._wait = True  # Nobody could decode it.
                return
            self._wait = False
            data = b"".join((self._prefix, buffer))
        elif self._wait:
            buffer.clear()
            return
        else:
            # Parameter sets that change between key frames are rare, and needed at once.
            data = b"".join((self._prefix, buffer)) if self._changed else bytes(buffer)
        buffer.clear()
        timestamp = self.clock.unwrap(self._timestamp)
        units.append(
            AccessUnit(
                track=self._track,
                timestamp=timestamp,
                key=key,
                data=data,
                received_us=now_us,
                camera_time_us=self.clock.time_us(timestamp),
                format=format_,
            )
        )
