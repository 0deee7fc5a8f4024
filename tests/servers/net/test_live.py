from collections import Counter

import pytest

from servers.net import live as module
from servers.net.live import LiveStream, PlayOptions
from servers.wire.media import AACFormat, AccessUnit, H264Format
from servers.wire.rtp.packet import Packet
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtp.rtcp import sender_reports

VIDEO = H264Format(sps=bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8"), pps=bytes.fromhex("68ce3c80"))
AUDIO = AACFormat(config=bytes.fromhex("1190"), sample_rate=48000, channels=2)


class Watcher:
    """A viewer that keeps what it is given; `stuck` makes it a slow one."""

    def __init__(self):
        self.data = b""
        self.writes = []
        self.stuck = False
        self.reason = None
        self._waiting = 0

    def send(self, data):
        self.writes.append(data)
        self.data += data
        self._waiting += len(data) if self.stuck else 0

    def backlog(self):
        return self._waiting

    def recover(self):
        self.stuck, self._waiting = False, 0

    def ended(self, reason):
        self.reason = reason

    def packets(self, channel=0):
        return [Packet.parse(frame) for on, frame in self.frames() if on == channel]

    def frames(self):
        found, at = [], 0
        while at < len(self.data):
            end = at + 4 + int.from_bytes(self.data[at + 2 : at + 4], "big")
            found.append((self.data[at + 1], self.data[at + 4 : end]))
            at = end
        return found

    def units(self):
        tracks = [(VIDEO, 96, 0), (AUDIO, 97, 2)]
        return StreamReceiver(tracks, ssrc=1).feed(memoryview(self.data), 0)


def picture(number, *, key=False, size=40, at_us=None, **fields):
    nal = (b"\x65" if key else b"\x41") + bytes((number % 256,)) * size
    data = b"".join(len(each).to_bytes(4, "big") + each for each in ((VIDEO.sps, VIDEO.pps, nal) if key else (nal,)))
    return AccessUnit(
        track=0,
        timestamp=number * 3600,
        key=key,
        data=data,
        received_us=number * 40_000 if at_us is None else at_us,
        **fields,
    )


def sound(number):
    return AccessUnit(track=1, timestamp=number * 1920, key=True, data=b"sound", received_us=number * 40_000)


def numbers(watcher):
    """Which pictures a viewer got, by what is painted on them."""
    return [each.data[-1] for each in watcher.units() if each.track == 0]


@pytest.fixture
def stream():
    return LiveStream((VIDEO, AUDIO))


def test_a_viewer_joins_with_the_current_group_of_pictures(stream):
    stream.push([picture(1, key=True), sound(1), picture(2)])
    stream.push([picture(3, key=True), picture(4), sound(4)])
    watcher = Watcher()
    assert stream.join(watcher) == {"Range": "npt=now-"}
    assert len(watcher.writes) == 1
    assert numbers(watcher) == [3, 4]
    stream.push([picture(5)])
    assert numbers(watcher) == [3, 4, 5]
    assert stream.viewers == 1


def test_all_viewers_get_the_same_bytes_object(stream):
    stream.push([picture(1, key=True)])
    first, second = Watcher(), Watcher()
    stream.join(first)
    stream.join(second)
    stream.push([picture(2), sound(2)])
    assert first.writes[-1] is second.writes[-1]
    assert first.data == second.data


def test_who_joins_later_sees_the_same_sequence_numbers(stream):
    stream.push([picture(1, key=True), picture(2)])
    first, second = Watcher(), Watcher()
    stream.join(first)
    stream.push([picture(3)])
    stream.join(second)
    stream.push([picture(4)])
    assert [each.sequence for each in first.packets()] == [each.sequence for each in second.packets()]
    assert {each.ssrc for each in first.packets() + second.packets()} == {first.packets()[0].ssrc}


def test_a_viewer_that_comes_when_nobody_watched_gets_the_whole_group(stream):
    first, second = Watcher(), Watcher()
    stream.push([picture(1, key=True)])
    stream.join(first)
    stream.push([picture(2)])
    stream.leave(first)
    stream.push([picture(3)])
    stream.join(second)
    assert numbers(second) == [1, 2, 3]
    assert numbers(first) == [1, 2]


def test_before_the_first_key_frame_a_viewer_gets_nothing(stream):
    watcher = Watcher()
    stream.join(watcher)
    stream.push([picture(1), sound(1)])
    assert watcher.data == b""
    stream.push([picture(2, key=True), sound(2)])
    assert [each.track for each in watcher.units()] == [0, 1]


def test_a_viewer_gets_only_the_tracks_that_it_set_up(stream):
    stream.push([picture(1, key=True), sound(1)])
    seeing, hearing = Watcher(), Watcher()
    stream.join(seeing, PlayOptions(tracks=frozenset({0})))
    stream.join(hearing, PlayOptions(tracks=frozenset({1})))
    stream.push([picture(2), sound(2)])
    assert {channel for channel, _ in seeing.frames()} == {0, 1}
    assert {channel for channel, _ in hearing.frames()} == {2, 3}
    assert numbers(seeing) == [1, 2]


def test_a_slow_viewer_skips_to_the_next_key_frame_and_never_delays_the_others(stream, monkeypatch):
    monkeypatch.setattr(module, "MAX_BACKLOG", 1000)
    slow, quick = Watcher(), Watcher()
    stream.push([picture(0, key=True)])
    stream.join(slow)
    stream.join(quick)
    slow.stuck = True
    for number in range(1, 10):
        stream.push([picture(number, size=400), sound(number)])
    slow.recover()
    stream.push([picture(10)])
    stream.push([picture(11, key=True), picture(12)])
    assert numbers(quick) == list(range(13))
    assert numbers(slow) == [0, 1, 2, 3, 11, 12]
    assert stream.skipped == 13  # pictures 4 to 9 with their sounds, and picture 10


def test_a_viewer_still_full_at_a_key_frame_waits_for_another(stream, monkeypatch):
    monkeypatch.setattr(module, "MAX_BACKLOG", 1000)
    slow = Watcher()
    stream.push([picture(0, key=True)])
    stream.join(slow)
    slow.stuck = True
    stream.push([picture(1, size=2000)])
    stream.push([picture(2, key=True)])
    slow.recover()
    stream.push([picture(3)])
    stream.push([picture(4, key=True)])
    assert numbers(slow) == [0, 1, 4]


def test_sender_reports_carry_the_cameras_time_or_else_ours(stream):
    watcher = Watcher()
    stream.join(watcher)
    stream.push([picture(1, key=True, at_us=7_000_000)])
    for number in range(2, 130):
        stream.push([picture(number, at_us=7_000_000 + number * 40_000, camera_time_us=1_000_000 * number)])
    reports = [report for channel, frame in watcher.frames() if channel == 1 for report in sender_reports(frame)]
    first, second = reports
    stamps = {packet.timestamp: packet.payload[-1] for packet in watcher.packets()}
    assert first.time_us == 7_000_000
    assert second.time_us == stamps[second.timestamp] * 1_000_000
    assert second.packets == [packet.timestamp for packet in watcher.packets()].index(second.timestamp)


def test_who_joins_hears_the_time_at_once(stream):
    stream.push([picture(1, key=True), sound(1)])
    watcher = Watcher()
    stream.join(watcher)
    assert [channel for channel, _ in watcher.frames()][:2] == [1, 3]


def test_time_goes_on_when_the_camera_was_restarted(stream):
    watcher = Watcher()
    stream.push([picture(1, key=True, at_us=1_000_000)])
    stream.join(watcher)
    stream.describe((VIDEO, AUDIO))
    again = picture(2, key=True, at_us=3_000_000)
    again.timestamp = 5
    stream.push([again])
    first, second = (packet.timestamp for packet in watcher.packets() if packet.marker)
    assert (second - first) & 0xFFFFFFFF == 2 * 90_000
    assert watcher.reason is None


def test_time_goes_on_when_the_cameras_jumps(stream):
    watcher = Watcher()
    stream.push([picture(1, key=True, at_us=1_000_000)])
    stream.join(watcher)
    jumped = picture(2, at_us=1_040_000)
    jumped.timestamp = 10**9
    stream.push([jumped])
    first, second = (packet.timestamp for packet in watcher.packets() if packet.marker)
    assert (second - first) & 0xFFFFFFFF == 3600


def test_after_a_restart_viewers_wait_for_a_key_frame(stream):
    watcher = Watcher()
    stream.push([picture(1, key=True)])
    stream.join(watcher)
    stream.describe((VIDEO, AUDIO))
    stream.push([picture(2), picture(3, key=True)])
    assert numbers(watcher) == [1, 3]


def test_viewers_stay_when_only_the_parameter_sets_change(stream):
    watcher = Watcher()
    stream.join(watcher)
    bigger = H264Format(sps=VIDEO.sps + b"x", pps=VIDEO.pps, width=640, height=480)
    stream.push([picture(1, key=True, format=bigger)])
    assert stream.formats == (bigger, AUDIO)
    stream.describe((VIDEO, AUDIO))
    assert watcher.reason is None


def test_viewers_are_ended_when_the_tracks_change(stream):
    watcher = Watcher()
    stream.join(watcher)
    stream.describe((VIDEO,))
    assert "tracks" in watcher.reason
    assert stream.viewers == 0
    stream.push([picture(1, key=True)])
    assert watcher.data == b""


def test_leaving_twice_does_no_harm(stream):
    watcher = Watcher()
    stream.join(watcher)
    stream.leave(watcher)
    stream.leave(watcher)
    assert stream.viewers == 0


def test_a_stream_of_sound_alone_is_heard_at_once():
    stream = LiveStream((AUDIO,))
    watcher = Watcher()
    stream.join(watcher)
    stream.push([AccessUnit(track=0, timestamp=0, key=True, data=b"a", received_us=0)])
    assert Counter(channel for channel, _ in watcher.frames()) == {0: 1, 1: 1}


def test_a_group_beyond_the_limit_is_not_kept(stream, monkeypatch):
    monkeypatch.setattr(module, "MAX_GOP", 1000)
    for number in range(10):
        stream.push([picture(number, key=number == 0, size=300)])
    watcher = Watcher()
    stream.join(watcher)
    assert watcher.data == b""
    stream.push([picture(11), picture(12, key=True)])
    assert numbers(watcher) == [12]
