from hypothesis import given
from hypothesis import strategies as st

from servers.wire.rtp.rtcp import (
    ReportBlock,
    SenderReport,
    ntp_to_us,
    receiver_report,
    sender_reports,
    us_to_ntp,
)


def test_a_sender_report_is_read_as_written():
    report = SenderReport(ssrc=7, ntp=us_to_ntp(1_700_000_000_000_000), timestamp=90, packets=3, octets=4)
    assert sender_reports(report.serialise()) == [report]
    assert len(report.serialise()) % 4 == 0


@given(st.integers(0, 4_000_000_000_000_000))
def test_ntp_time_keeps_microseconds(time_us):
    assert ntp_to_us(us_to_ntp(time_us)) == time_us


def test_time_goes_on_after_2036():
    after = 2_085_978_496_000_000 + 5_000_000
    assert us_to_ntp(after) >> 32 == 5
    assert ntp_to_us(us_to_ntp(after)) == after


def test_a_sender_without_a_clock_says_so():
    assert SenderReport(ssrc=1, ntp=0, timestamp=5).time_us is None


def test_a_receiver_report_has_its_blocks():
    data = receiver_report(5, [ReportBlock(ssrc=1, lost=-3, fraction_lost=255, highest=70_000)])
    assert data[:4] == b"\x81\xc9\x00\x07"
    assert data[12:16] == b"\xff\xff\xff\xfd"
    assert len(data) % 4 == 0


@given(st.binary(max_size=80))
def test_any_bytes_are_survived(data):
    sender_reports(data)
    sender_reports(b"\x80\xc8" + data)
