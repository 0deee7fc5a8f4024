import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire import sdp
from servers.wire.media import AACFormat, H264Format
from servers.wire.rtsp.errors import MalformedError

SPS = bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8")
PPS = bytes.fromhex("68ce3c80")
VIDEO = H264Format(sps=SPS, pps=PPS, width=320, height=240)
AUDIO = AACFormat(config=bytes.fromhex("1190"), sample_rate=48000, channels=2)


def test_what_we_describe_we_read():
    described = sdp.parse(sdp.serialise((VIDEO, AUDIO)))
    assert [media.format for media in described.media] == [VIDEO, AUDIO]
    assert [(media.payload_type, media.control) for media in described.media] == [(96, "trackID=0"), (97, "trackID=1")]
    assert described.control == "*"


HIKVISION = b"""v=0\r
o=- 1109162014219182 1109162014219192 IN IP4 192.0.2.64\r
s=Media Presentation\r
e=NONE\r
b=AS:5100\r
t=0 0\r
a=control:rtsp://192.0.2.64:554/Streaming/Channels/101/\r
m=video 0 RTP/AVP 96\r
b=AS:5000\r
a=recvonly\r
a=x-dimensions:320,240\r
a=control:rtsp://192.0.2.64:554/Streaming/Channels/101/trackID=1\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=Z0LADdoFB+hAAAADAEAAAAyjxQqo,aM48gA==\r
m=audio 0 RTP/AVP 8\r
a=rtpmap:8 PCMA/8000\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
"""

DAHUA = b"""v=0
s=RTP Session
a=control:*
m=video 0 RTP/AVP 96
a=control:trackID=0
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=640028;sprop-parameter-sets=AAAAAWdCwA3aBQfoQAAAAwBAAAAMo8UKqA,aM48gAA
m=audio 0 RTP/AVP 97
a=rtpmap:97 MPEG4-GENERIC/16000
a=fmtp:97 streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; config=1408
"""


def test_hikvision_absolute_controls_and_media_that_are_not_taken():
    described = sdp.parse(HIKVISION)
    (video,) = described.media
    assert video.format == VIDEO
    assert video.control == "rtsp://192.0.2.64:554/Streaming/Channels/101/trackID=1"
    assert described.names == ("video H264", "audio PCMA", "application vnd.onvif.metadata")


def test_dahua_start_codes_missing_padding_and_bare_line_feeds():
    video, audio = sdp.parse(DAHUA).media
    assert video.format == VIDEO
    assert audio.format == AACFormat(config=bytes.fromhex("1408"), sample_rate=16000, channels=1)


def test_a_camera_that_does_not_describe_its_parameter_sets_has_them_in_band():
    (video,) = sdp.parse(b"v=0\r\nm=video 0 RTP/AVP 35\r\na=rtpmap:35 H264/90000\r\n").media
    assert video.format == H264Format(sps=b"", pps=b"")


def test_a_missing_audio_config_is_made_up():
    (audio,) = sdp.parse(b"v=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n").media
    assert audio.format == AUDIO


def test_media_over_other_transports_are_not_taken():
    assert sdp.parse(b"v=0\r\nm=video 0 UDP 96\r\na=rtpmap:96 H264/90000\r\n").media == ()


@pytest.mark.parametrize("data", [b"", b"hello", b"v=0\r\nm=video\r\n", b"v=0\r\n" + b"m=video 0 RTP/AVP 96\r\n" * 100])
def test_what_is_no_description_is_refused(data):
    with pytest.raises(MalformedError):
        sdp.parse(data)


@pytest.mark.parametrize(
    ("config", "rate", "channels"),
    [("1190", 48000, 2), ("1408", 16000, 1), ("1210", 44100, 2), ("", 0, 0), ("12", 0, 0)],
)
def test_audio_configs_are_read(config, rate, channels):
    assert sdp.parse_audio_config(bytes.fromhex(config)) == (rate, channels)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        sdp.parse(data)
        sdp.parse(b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=" + data)
    except MalformedError:
        pass
