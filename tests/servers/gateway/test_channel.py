"""The fan-out itself, without a network."""

import asyncio
import json

import pytest

from servers.gateway.channel import MAX_BACKLOG, Channel, Viewer
from servers.wire.media import AACFormat, AccessUnit, H264Format
from servers.wire.mp4 import parse_fragment

VIDEO = H264Format(sps=bytes.fromhex("6742c01fda01"), pps=b"\x68\xce\x0f\xc8", width=640, height=360)
SMALL = H264Format(sps=bytes.fromhex("6742c00dda01"), pps=b"\x68\xce\x0f\xc8", width=352, height=288)
SOUND = AACFormat(config=b"\x14\x08", sample_rate=16_000, channels=1)


def unit(number, *, key=False, size=10, track=0, timestamp=None, format_=None):
    return AccessUnit(
        track=track,
        timestamp=number * 3600 if timestamp is None else timestamp,
        key=key,
        data=b"%08d" % number + bytes(size),
        received_us=0,
        format=format_,
    )


async def taken(viewer):
    """All that waits for a viewer now: texts as mimes, pictures as numbers, init segments as "init"."""
    found = []
    while viewer._queue:
        item = await viewer.next()
        if isinstance(item, str):
            found.append(json.loads(item)["mime"].split('"')[1])
        else:
            found.append("init" if item[4:8] == b"ftyp" else int(item[item.index(b"mdat") + 4 :][:8]))
    return found


@pytest.fixture
def channel():
    channel = Channel()
    channel.described((VIDEO,))
    return channel


async def test_a_viewer_begins_with_the_format_and_a_key_frame(channel):
    viewer = Viewer()
    channel.received([unit(0, key=True), unit(1)])
    channel.join(viewer)
    channel.received([unit(2)])
    assert await taken(viewer) == ["avc1.42c01f", "init", 0, 1, 2]


async def test_without_a_key_frame_nothing_is_shown_yet(channel):
    viewer = Viewer()
    channel.join(viewer)
    channel.received([unit(1), unit(2), unit(3, key=True)])
    assert await taken(viewer) == ["avc1.42c01f", "init", 3]


async def test_all_viewers_get_the_same_bytes_object(channel):
    viewers = [Viewer(), Viewer()]
    for viewer in viewers:
        channel.join(viewer)
    channel.received([unit(0, key=True)])
    assert viewers[0]._queue[-1] is viewers[1]._queue[-1]


async def test_a_slow_viewer_skips_to_the_next_key_frame_and_delays_nobody(channel):
    slow, quick = Viewer(), Viewer()
    channel.join(slow)
    channel.join(quick)
    seen = []
    size = MAX_BACKLOG // 10
    for number in range(45):
        channel.received([unit(number, key=number % 20 == 0, size=size)])
        seen += await taken(quick)
    assert seen == ["avc1.42c01f", "init", *range(45)]
    assert slow._backlog <= MAX_BACKLOG + size + 200
    shown = await taken(slow)
    assert shown[:2] == ["avc1.42c01f", "init"]
    pictures = shown[2:]
    assert pictures[0] % 20 == 0
    assert pictures == list(range(pictures[0], pictures[-1] + 1))
    assert slow.skipped > 0


async def test_a_new_format_makes_a_new_beginning_and_what_waits_is_dropped(channel):
    viewer = Viewer()
    channel.join(viewer)
    channel.received([unit(0, key=True), unit(1)])
    channel.received([unit(2, key=True, format_=SMALL), unit(3)])
    assert await taken(viewer) == ["avc1.42c00d", "init", 2, 3]
    late = Viewer()
    channel.join(late)
    assert await taken(late) == ["avc1.42c00d", "init", 2, 3]


async def test_sound_is_left_out(channel):
    both = Channel()
    both.described((SOUND, VIDEO))
    viewer = Viewer()
    both.join(viewer)
    both.received([unit(7, key=True, track=0), unit(8, key=True, track=1)])
    assert await taken(viewer) == ["avc1.42c01f", "init", 8]


async def test_a_jump_of_the_cameras_clock_makes_no_hole_in_the_players_time(channel):
    viewer = Viewer()
    channel.join(viewer)
    for number, timestamp in enumerate((90_000, 93_600, 97_200, 5, 3605, 10**12)):
        channel.received([unit(number, key=True, timestamp=timestamp)])
    items = list(viewer._queue)[2:]
    times = [parse_fragment(item)[1][0].time for item in items]
    assert times == [0, 3600, 7200, 10_800, 14_400, 18_000]


async def test_the_end_wakes_the_socket_and_says_why(channel):
    viewer = Viewer()
    channel.join(viewer)
    channel.received([unit(0, key=True)])
    channel.end(1013, "The stream has ended.")
    assert await asyncio.wait_for(viewer.next(), 1) is None
    assert (viewer.code, viewer.problem) == (1013, "The stream has ended.")


async def test_sound_is_a_channel_of_its_own_that_can_be_joined_anywhere():
    sound = Channel("audio")
    sound.described((VIDEO, SOUND))
    sound.received([unit(1, key=True, track=1, timestamp=1024), unit(2, key=True, track=0)])
    viewer = Viewer()
    sound.join(viewer)
    sound.received([unit(3, key=True, track=1, timestamp=2048), unit(4, key=True, track=1, timestamp=3072)])
    assert await taken(viewer) == ["mp4a.40.2", "init", 3, 4]


async def test_a_stream_without_sound_or_picture_says_so():
    for media, formats, sentence in (("audio", (VIDEO,), "no sound"), ("video", (SOUND,), "H.264")):
        channel = Channel(media)
        viewer = Viewer()
        channel.join(viewer)
        channel.described(formats)
        assert await viewer.next() is None
        assert sentence in viewer.problem
