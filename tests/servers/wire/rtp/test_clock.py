from servers.wire.rtp.clock import TrackClock
from servers.wire.rtp.rtcp import SenderReport, us_to_ntp


def test_timestamps_do_not_overflow():
    clock = TrackClock(90_000)
    assert [clock.unwrap(stamp) for stamp in (2**32 - 1, 3, 1, 2**31 - 5, 2**32 - 20, 7)] == [
        2**32 - 1,
        2**32 + 3,
        2**32 + 1,
        2**32 + 2**31 - 5,
        2**33 - 20,
        2**33 + 7,
    ]


def test_the_senders_clock_is_known_from_its_report_on():
    clock = TrackClock(90_000)
    first = clock.unwrap(2**32 - 90_000)
    assert clock.time_us(first) is None
    clock.report(SenderReport(ssrc=1, ntp=us_to_ntp(1_000_000_000), timestamp=0))
    assert clock.time_us(first) == 999_000_000
    assert clock.time_us(clock.unwrap(45_000)) == 1_000_500_000


def test_a_report_may_come_first():
    clock = TrackClock(1000)
    clock.report(SenderReport(ssrc=1, ntp=us_to_ntp(5_000_000), timestamp=2**32 - 10))
    assert clock.time_us(clock.unwrap(10)) == 5_020_000


def test_a_report_without_a_clock_changes_nothing():
    clock = TrackClock(1000)
    clock.report(SenderReport(ssrc=1, ntp=0, timestamp=1))
    assert clock.time_us(clock.unwrap(10)) is None
