from servers.wire.media import AACFormat, H264Format
from servers.wire.rtp.aac import AACPacketiser
from servers.wire.rtp.h264 import H264Packetiser
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtp.rtcp import SenderReport, us_to_ntp

VIDEO = H264Format(sps=bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8"), pps=bytes.fromhex("68ce3c80"))
AUDIO = AACFormat(config=bytes.fromhex("1190"), sample_rate=48000, channels=2)
TRACKS = [(VIDEO, 96, 0), (AUDIO, 97, 2)]
KEY = b"\0\0\0\3\x65ab"


def senders(video_channel=0, audio_channel=2):
    return (
        H264Packetiser(channel=video_channel, payload_type=96, ssrc=1),
        AACPacketiser(channel=audio_channel, payload_type=97, ssrc=2),
    )


def report(channel, ssrc, time_us, timestamp):
    data = SenderReport(ssrc=ssrc, ntp=us_to_ntp(time_us), timestamp=timestamp).serialise()
    return b"$" + bytes((channel,)) + len(data).to_bytes(2, "big") + data


def test_tracks_are_told_apart_and_keep_their_order():
    video, audio = senders()
    run = video.packetise(KEY, 0) + audio.packetise(b"a", 0) + audio.packetise(b"b", 1024) + video.packetise(KEY, 9)
    units = StreamReceiver(TRACKS, ssrc=3).feed(memoryview(run), 5)
    assert [(each.track, each.timestamp) for each in units] == [(0, 0), (1, 0), (1, 1024), (0, 9)]
    assert {each.received_us for each in units} == {5}


def test_camera_time_comes_from_sender_reports():
    video, audio = senders()
    receiver = StreamReceiver(TRACKS, ssrc=3)
    run = report(1, 1, 50_000_000, 0) + video.packetise(KEY, 90_000) + audio.packetise(b"a", 0)
    first, second = receiver.feed(memoryview(run), 5)
    assert (first.camera_time_us, second.camera_time_us) == (51_000_000, None)


def test_a_report_on_the_wrong_channel_is_known_by_its_source():
    video, audio = senders()
    receiver = StreamReceiver(TRACKS, ssrc=3)
    receiver.feed(memoryview(video.packetise(KEY, 0) + audio.packetise(b"a", 0)), 5)
    (got,) = receiver.feed(memoryview(report(1, 2, 50_000_000, 0) + audio.packetise(b"a", 48_000)), 5)
    assert got.camera_time_us == 51_000_000


def test_a_source_on_other_channels_than_agreed_is_known_by_its_payload_types():
    video, audio = senders(video_channel=6, audio_channel=8)
    receiver = StreamReceiver(TRACKS, ssrc=3)
    run = (
        video.packetise(KEY, 0) + report(7, 1, 50_000_000, 0) + audio.packetise(b"a", 0) + video.packetise(KEY, 90_000)
    )
    units = receiver.feed(memoryview(run), 5)
    assert [(each.track, each.camera_time_us) for each in units] == [(0, None), (1, None), (0, 51_000_000)]


def test_both_tracks_on_one_channel_are_told_apart():
    video, audio = senders(audio_channel=0)
    run = audio.packetise(b"a", 0) + video.packetise(KEY, 0)
    units = StreamReceiver(TRACKS, ssrc=3).feed(memoryview(run), 5)
    assert [each.track for each in units] == [0]  # Sound is lost, the picture is not.


def test_frames_that_belong_to_nobody_are_stepped_over():
    video, _ = senders()
    run = b"$\x09\x00\x00" + b"$\x00\x00\x02ab" + b"$\x0a\x00\x0c" + b"x" * 12 + video.packetise(KEY, 0)
    assert len(StreamReceiver(TRACKS, ssrc=3).feed(memoryview(run), 5)) == 1


def test_receiver_reports_say_what_arrived_and_what_did_not():
    video, _ = senders()
    receiver = StreamReceiver(TRACKS, ssrc=3)
    assert receiver.report(0) == b""
    receiver.feed(memoryview(report(1, 1, 50_000_000, 0) + video.packetise(KEY, 0)), 1_000_000)
    video.packetise(KEY, 3600)
    receiver.feed(memoryview(video.packetise(KEY, 7200)), 1_080_000)
    data = receiver.report(2_000_000)
    assert data[:2] == b"$\x01"
    block = data[4 + 8 :]
    assert int.from_bytes(block[0:4], "big") == 1
    assert block[4] == 256 // 3  # one of three
    assert int.from_bytes(block[5:8], "big") == 1
    assert int.from_bytes(block[8:12], "big") == 2
    assert int.from_bytes(block[20:24], "big") == 65_536  # one second since the sender report
