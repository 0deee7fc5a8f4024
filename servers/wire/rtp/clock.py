"""RTP time without its overflow, and on the sender's clock."""

from servers.wire.rtp.rtcp import SenderReport

_HALF = 1 << 31


class TrackClock:
    """The time line of one track."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: int | None = None
        self._mapped: tuple[int, int] | None = None

    def unwrap(self, timestamp: int) -> int:
        """A 32-bit timestamp as one that does not overflow; it may step back a little, as the sender's does."""
        if self._last is None:
            self._last = timestamp
            return timestamp
        step = (timestamp - self._last) & 0xFFFFFFFF
        self._last += step if step < _HALF else step - (1 << 32)
        return self._last

    def report(self, report: SenderReport) -> None:
        """Learn the sender's clock. A sender without one says zero, and is believed."""
        time_us = report.time_us
        if time_us is None:
            return
        base = self._last
        if base is None:
            unwrapped = report.timestamp
            self._last = unwrapped
        else:
            # Not through unwrap: a report may speak of another moment than the last packet.
            step = (report.timestamp - base) & 0xFFFFFFFF
            unwrapped = base + (step if step < _HALF else step - (1 << 32))
        self._mapped = (unwrapped, time_us)

    def time_us(self, timestamp: int) -> int | None:
        """An unwrapped timestamp on the sender's clock, µs since 1970; none before the first report."""
        if self._mapped is None:
            return None
        base, time_us = self._mapped
        return time_us + (timestamp - base) * 1_000_000 // self._rate
