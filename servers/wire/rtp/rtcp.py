"""Sender and receiver reports (RFC 3550, 6.4), and how they tie RTP time to a clock."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203
NTP_OFFSET_S = 2_208_988_800
"""Seconds from 1900, where NTP begins, to 1970."""
NAME = b"vigil"
"""The canonical name in our reports (CNAME); it says nothing about the machine."""
_MAX_LOST = 0x7FFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """What a sender says about its stream and its clock."""

    ssrc: int
    ntp: int
    """64 bits: seconds since 1900 and their fraction."""
    timestamp: int
    """The same moment in RTP time, 32 bits."""
    packets: int = 0
    octets: int = 0

    @property
    def time_us(self) -> int | None:
        """The sender's clock, µs since 1970; none when it says that it has none (RFC 3550, 6.4.1)."""
        return None if self.ntp == 0 else ntp_to_us(self.ntp)

    def serialise(self) -> bytes:
        """A compound packet: the report and the obligatory description (6.1)."""
        report = struct.pack(
            ">BBHIQIII",
            0x80,
            SENDER_REPORT,
            6,
            self.ssrc,
            self.ntp,
            self.timestamp & 0xFFFFFFFF,
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
        )
        return report + _description(self.ssrc)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """What a receiver says about one sender (6.4.1)."""

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    highest: int = 0
    """Highest sequence number with the count of its overflows above."""
    jitter: int = 0
    last_report: int = 0
    """The middle 32 bits of the last sender report's NTP time."""
    delay: int = 0
    """Since then, in 1/65536 s."""


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """A compound packet of a receiver."""
    report = struct.pack(">BBHI", 0x80 | len(blocks), RECEIVER_REPORT, 1 + 6 * len(blocks), ssrc)
    for block in blocks:
        lost = max(-_MAX_LOST, min(block.lost, _MAX_LOST)) & 0xFFFFFF
        report += struct.pack(
            ">IIIIII",
            block.ssrc,
            block.fraction_lost << 24 | lost,
            block.highest & 0xFFFFFFFF,
            block.jitter,
            block.last_report,
            block.delay & 0xFFFFFFFF,
        )
    return report + _description(ssrc)


def _description(ssrc: int) -> bytes:
    chunk = struct.pack(">IBB", ssrc, 1, len(NAME)) + NAME
    chunk += b"\0" * (4 - len(chunk) % 4)
    return struct.pack(">BBH", 0x81, DESCRIPTION, len(chunk) // 4) + chunk


def sender_reports(data: bytes | memoryview) -> list[SenderReport]:
    """The sender reports in a compound packet; what is damaged or of other kinds is passed over."""
    found = []
    position, end = 0, len(data)
    while position + 8 <= end:
        first, kind, words = struct.unpack_from(">BBH", data, position)
        if first >> 6 != 2:  # noqa: PLR2004 - the version
            break
        if kind == SENDER_REPORT and words >= 6 and position + 28 <= end:  # noqa: PLR2004 - the fixed part
            ssrc, ntp, timestamp, packets, octets = struct.unpack_from(">IQIII", data, position + 4)
            found.append(SenderReport(ssrc=ssrc, ntp=ntp, timestamp=timestamp, packets=packets, octets=octets))
        position += 4 + 4 * words
    return found


def us_to_ntp(time_us: int) -> int:
    """µs since 1970 as NTP time."""
    seconds, rest = divmod(time_us, 1_000_000)
    return (seconds + NTP_OFFSET_S & 0xFFFFFFFF) << 32 | (rest << 32) // 1_000_000


def ntp_to_us(ntp: int) -> int:
    """NTP time as µs since 1970. Seconds below 2**31 belong to the era that begins in 2036."""
    seconds = ntp >> 32
    if seconds < 0x8000_0000:  # noqa: PLR2004 - half of the era
        seconds += 1 << 32
    return (seconds - NTP_OFFSET_S) * 1_000_000 + ((ntp & 0xFFFFFFFF) * 1_000_000 + 0x8000_0000 >> 32)
