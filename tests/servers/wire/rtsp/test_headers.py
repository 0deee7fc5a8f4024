from datetime import UTC, datetime, timedelta, timezone

import pytest

from servers.wire.rtsp.errors import MalformedError
from servers.wire.rtsp.headers import Range, RTPInfo, Session, Transport, parse_number

# Rows are named after who writes the header so. The last column is what we would write, where that differs.
TRANSPORTS = [
    ("by the book", "RTP/AVP/TCP;unicast;interleaved=0-1", Transport(interleaved=(0, 1)), None),
    ("ffmpeg", "RTP/AVP/TCP;unicast;interleaved=2-3", Transport(interleaved=(2, 3)), None),
    (
        "GStreamer asks for UDP",
        "RTP/AVP;unicast;client_port=50000-50001",
        Transport(protocol="RTP/AVP"),
        "RTP/AVP;unicast",
    ),
    (
        "hikvision: spaces before ssrc",
        'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=    4317f;mode="play"',
        Transport(interleaved=(0, 1), ssrc=0x4317F, mode="PLAY"),
        'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0004317F;mode="PLAY"',
    ),
    (
        "dahua: ssrc and mode without quotes",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=D93FF ;mode=PLAY",
        Transport(interleaved=(0, 1), ssrc=0xD93FF, mode="PLAY"),
        'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=000D93FF;mode="PLAY"',
    ),
    (
        "a device whose ssrc is no number",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=(null)",
        Transport(interleaved=(0, 1)),
        "RTP/AVP/TCP;unicast;interleaved=0-1",
    ),
    (
        "one channel only",
        "RTP/AVP/TCP;unicast;interleaved=4",
        Transport(interleaved=(4, 5)),
        "RTP/AVP/TCP;unicast;interleaved=4-5",
    ),
    (
        "lower case and spaces",
        "rtp/avp/tcp; unicast; interleaved = 0-1",
        Transport(interleaved=(0, 1)),
        "RTP/AVP/TCP;unicast;interleaved=0-1",
    ),
    (
        "multicast",
        "RTP/AVP;multicast;port=5000-5001",
        Transport(protocol="RTP/AVP", unicast=False),
        "RTP/AVP;multicast",
    ),
]


@pytest.mark.parametrize(
    ("text", "value", "written"), [row[1:] for row in TRANSPORTS], ids=[row[0] for row in TRANSPORTS]
)
def test_transports_are_read_and_written(text, value, written):
    assert Transport.parse(text) == value
    assert value.serialise() == (written or text)
    assert Transport.parse(value.serialise()) == value


@pytest.mark.parametrize("text", ["", "TCP", "RTP/AVP/TCP;interleaved=a-b", "RTP/AVP/TCP;interleaved=255-256"])
def test_transports_without_a_meaning_are_refused(text):
    with pytest.raises(MalformedError):
        Transport.parse(text)


def test_several_transports_keep_their_order():
    first, second = Transport.parse_all("RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;unicast;interleaved=0-1")
    assert (first.tcp, second.tcp) == (False, True)


SESSIONS = [
    ("by the book", "12345678;timeout=90", Session("12345678", 90), None),
    ("no timeout", "abc", Session("abc", 60), "abc;timeout=60"),
    ("hikvision: spaces", "  1093468221;timeout=60 ", Session("1093468221", 60), "1093468221;timeout=60"),
    ("a space after the semicolon", "a; timeout=30", Session("a", 30), "a;timeout=30"),
    ("an empty timeout", "a;timeout=", Session("a", 60), "a;timeout=60"),
    ("a timeout of nothing", "a;timeout=0", Session("a", 60), "a;timeout=60"),
]


@pytest.mark.parametrize(("text", "value", "written"), [row[1:] for row in SESSIONS], ids=[row[0] for row in SESSIONS])
def test_sessions_are_read_and_written(text, value, written):
    assert Session.parse(text) == value
    assert value.serialise() == (written or text)


def moment(*fields, us=0):
    return datetime(*fields, us, tzinfo=UTC)


RANGES = [
    ("now on", "npt=now-", Range(), None),
    ("from the beginning", "npt=0-", Range(start=0.0), None),
    ("ffmpeg", "npt=0.000-", Range(start=0.0), "npt=0-"),
    ("a span", "npt=10.5-20", Range(start=10.5, end=20.0), None),
    ("hours", "npt=1:02:03.5-", Range(start=3723.5), "npt=3723.5-"),
    ("an absolute time", "clock=20260131T120000Z-", Range(start=moment(2026, 1, 31, 12, 0, 0)), None),
    (
        "ONVIF: fractions",
        "clock=20260131T120000.25Z-20260131T120001Z",
        Range(start=moment(2026, 1, 31, 12, 0, 0, us=250_000), end=moment(2026, 1, 31, 12, 0, 1)),
        None,
    ),
    (
        "a time= behind",
        "npt=0-;time=20260131T120000Z",
        Range(start=0.0, at=datetime(2026, 1, 31, 12, tzinfo=UTC)),
        "npt=0-;time=20260131T120000Z",
    ),
]


@pytest.mark.parametrize(("text", "value", "written"), [row[1:] for row in RANGES], ids=[row[0] for row in RANGES])
def test_ranges_are_read_and_written(text, value, written):
    assert Range.parse(text) == value
    assert value.serialise() == (written or text)


@pytest.mark.parametrize(
    "text",
    ["", "npt", "npt=", "npt=a-", "npt=-1e9", "smpte=0:0:0-", "clock=2026-", "clock=20261331T120000Z-", "npt=1:1:1:1-"],
)
def test_ranges_without_a_meaning_are_refused(text):
    with pytest.raises(MalformedError):
        Range.parse(text)


def test_times_of_another_zone_are_written_in_utc():
    there = datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))
    assert Range(start=there).serialise() == "clock=20260131T120000Z-"


def test_scale_is_a_number():
    assert parse_number("Scale", "-4.0") == -4
    assert parse_number("Scale", "") is None
    with pytest.raises(MalformedError, match="Scale"):
        parse_number("Scale", "nan")


def test_rtp_info_is_read_and_written():
    text = "url=rtsp://h/a/trackID=0;seq=7;rtptime=90,url=rtsp://h/a/trackID=1;seq=8"
    first, second = RTPInfo.parse_all(text)
    assert (first.url, first.seq, first.rtptime) == ("rtsp://h/a/trackID=0", 7, 90)
    assert (second.seq, second.rtptime) == (8, None)
    assert f"{first.serialise()},{second.serialise()}" == text
