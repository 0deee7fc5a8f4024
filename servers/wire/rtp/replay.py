"""The RTP header extension of replay (ONVIF Streaming Specification, 6.3): when each picture was taken."""

import struct
from typing import NamedTuple

from servers.wire.rtp.packet import DOLLAR, HEADER_SIZE
from servers.wire.rtp.rtcp import BYE, NAME, ntp_to_us, us_to_ntp

PROFILE = 0xABAC
"""Names the extension; three words of 32 bits follow."""
CLEAN, END, BREAK, TERMINAL = 0x80, 0x40, 0x20, 0x10
"""Decoding can begin here; the last of a section; not what would follow in the recording; the last of all."""

_EXTENSION = struct.Struct(">HHQBBH")
_EXTENSION_BIT = 0x10
_SIZE = _EXTENSION.size
_RTCP_LOW, _RTCP_HIGH = 192, 223
"""RFC 5761, section 4: second bytes of packets that are RTCP."""


class Mark(NamedTuple):
    """What the extension says of a packet and those after it with the same timestamp."""

    time_us: int
    """When the picture was taken, µs since 1970."""
    flags: int = 0
    cseq: int = 0
    """The low byte of the CSeq of the PLAY that it belongs to."""


def marked(frames: bytes, mark: Mark) -> bytes:
    """The `$` frames of an access unit, the first of them with the extension."""
    if not frames:
        return frames
    length = int.from_bytes(frames[2:4], "big") + _SIZE
    body = 4 + HEADER_SIZE
    extension = _EXTENSION.pack(PROFILE, 3, us_to_ntp(mark.time_us), mark.flags, mark.cseq & 0xFF, 0)
    first = bytes((DOLLAR, frames[1])) + length.to_bytes(2, "big") + bytes((frames[4] | _EXTENSION_BIT,))
    return b"".join((first, frames[5:body], extension, frames[body:]))


class Marks:
    """Reads the extensions, and farewells, in what a server sends; for clients, beside the depacketiser."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        """`channels`: the RTP channel of each track, in order; its RTCP is one above."""
        self._track = {channel: track for track, channel in enumerate(channels)}
        self._control = {channel + 1: track for track, channel in enumerate(channels)}
        self._of: dict[tuple[int, int], Mark] = {}
        self.ended: set[int] = set()
        """Tracks whose sender has said goodbye."""

    def clear(self) -> None:
        """Forget everything: another PLAY begins."""
        self._of.clear()
        self.ended.clear()

    def feed(self, run: memoryview) -> None:
        """Look through whole frames; a torn one at the end is left alone."""
        position, end = 0, len(run)
        while position + 4 <= end:
            channel = run[position + 1]
            start = position + 4
            position = start + (run[position + 2] << 8 | run[position + 3])
            if position > end:
                return
            if position - start < HEADER_SIZE:
                if (track := self._control.get(channel)) is not None and _says_goodbye(run[start:position]):
                    self.ended.add(track)
                continue
            track = self._track.get(channel)
            if track is not None:
                if run[start] & _EXTENSION_BIT and position - start >= HEADER_SIZE + _SIZE:
                    self._read(track, run, start)
            elif (track := self._control.get(channel)) is not None and _says_goodbye(run[start:position]):
                self.ended.add(track)

    def take(self, track: int, timestamp: int) -> Mark | None:
        """What was said of the access unit with this RTP timestamp; none when nothing was."""
        return self._of.pop((track, timestamp & 0xFFFFFFFF), None)

    def _read(self, track: int, run: memoryview, start: int) -> None:
        at = start + HEADER_SIZE + 4 * (run[start] & 15)
        if at + _SIZE > len(run):
            return
        profile, _, ntp, flags, cseq, _ = _EXTENSION.unpack_from(run, at)
        if profile == PROFILE:
            timestamp = int.from_bytes(run[start + 4 : start + 8], "big")
            self._of[track, timestamp] = Mark(ntp_to_us(ntp), flags, cseq)


def goodbye(ssrc: int) -> bytes:
    """A compound packet that ends a sender (RFC 3550, 6.6): an empty receiver report, the name, BYE."""
    chunk = struct.pack(">IBB", ssrc, 1, len(NAME)) + NAME
    chunk += b"\0" * (4 - len(chunk) % 4)
    report = struct.pack(">BBHI", 0x80, 201, 1, ssrc)
    description = struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk
    return report + description + struct.pack(">BBHI", 0x81, BYE, 1, ssrc)


def _says_goodbye(packet: memoryview) -> bool:
    position, end = 0, len(packet)
    while position + 4 <= end and packet[position] >> 6 == 2:  # noqa: PLR2004 - the version
        kind = packet[position + 1]
        if not _RTCP_LOW <= kind <= _RTCP_HIGH:
            return False
        if kind == BYE:
            return True
        position += 4 + 4 * (packet[position + 2] << 8 | packet[position + 3])
    return False
