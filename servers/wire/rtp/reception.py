"""What a receiver counts about one sender, for its reports (RFC 3550, appendix A)."""

from servers.wire.rtp.rtcp import ReportBlock, SenderReport

REORDERED = 100
"""How far back a sequence number may lie to be an old packet rather than a sender that began anew."""


class Reception:
    """Counters of one track. The depacketiser moves `expected`, `cycles` and `received` itself, being in a hurry."""

    def __init__(self, clock_rate: int) -> None:
        self.ssrc = -1
        self.expected = -1
        """The next sequence number; below zero before the first packet."""
        self.cycles = 0
        """Overflows of the sequence number."""
        self.received = 0
        self.gaps = 0
        """Times that packets were missing."""
        self._rate = clock_rate
        self._first = 0
        self._jitter = 0.0
        self._transit: int | None = None
        self._before = (0, 0)
        self._last_report = (0, 0)

    def restart(self, sequence: int, ssrc: int) -> bool:
        """A sequence number that was not expected: whether to go on with it (not if it is old)."""
        if ssrc != self.ssrc or self.expected < 0:
            fresh = self.expected < 0
            self.ssrc, self.cycles, self.received, self._first, self._transit = ssrc, 0, 0, sequence, None
            self._before = (0, 0)
            if not fresh:
                self.gaps += 1
            return True
        ahead = (sequence - self.expected) & 0xFFFF
        if ahead >= 0x10000 - REORDERED:
            return False
        self.gaps += 1
        if self.expected + ahead > 0xFFFF:  # noqa: PLR2004 - 16 bits
            self.cycles += 1
        return True

    def arrived(self, timestamp: int, now_us: int) -> None:
        """Measure jitter (6.4.1), once for each access unit."""
        transit = now_us * self._rate // 1_000_000 - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < 1 << 31:
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def reported(self, report: SenderReport, now_us: int) -> None:
        """A sender report came."""
        self._last_report = (report.ntp >> 16 & 0xFFFFFFFF, now_us)

    @property
    def highest(self) -> int:
        """The highest sequence number, with overflows above 16 bits."""
        return (self.cycles << 16) + self.expected - 1

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self.highest - self._first + 1 - self.received if self.received else 0

    def block(self, now_us: int) -> ReportBlock | None:
        """What to report now; none before the first packet."""
        if not self.received:
            return None
        should = self.highest - self._first + 1
        expected, received = should - self._before[0], self.received - self._before[1]
        self._before = (should, self.received)
        fraction = max(0, min(255, 256 * (expected - received) // expected)) if expected > 0 else 0
        middle, at_us = self._last_report
        return ReportBlock(
            ssrc=self.ssrc & 0xFFFFFFFF,
            fraction_lost=fraction,
            lost=self.lost,
            highest=self.highest,
            jitter=min(int(self._jitter), 0xFFFFFFFF),
            last_report=middle,
            delay=(now_us - at_us) * 65_536 // 1_000_000 if middle else 0,
        )
