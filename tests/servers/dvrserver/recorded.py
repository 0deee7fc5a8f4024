"""Footage for tests: pictures that carry their time as a stamp, written into a node's archive before it starts.

The camera door has, from `START` on: 12 seconds, a gap of 10, then 8 seconds of another size, all at 10 pictures a
second with a key frame every second, and with sound in the first part.
"""

import time
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import av
import numpy as np

from clients.simulator import stamp
from servers.dvrserver.archive import Archive
from servers.wire.media import AACFormat, AccessUnit, H264Format

FPS, GOP = 10, 10
FRAME_US = 1_000_000 // FPS
SECOND_US = 1_000_000
FIRST_S, GAP_S, SECOND_S = 12, 10, 8
SMALL, LARGE = (288, 216), (360, 288)
RATE = 16_000


class Footage(NamedTuple):
    """What was written."""

    start_us: int


def start_us():
    """An hour ago, on a whole second."""
    return (int(time.time()) - 3600) * SECOND_US


@cache
def pictures(begin_us, seconds, size):
    """Stamped pictures: (time, key, NAL units with 4-byte lengths)."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, FPS), Fraction(FPS)
    codec.gop_size, codec.max_b_frames = GOP, 0
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={GOP}:scenecut=0:repeat-headers=1",
    }  # fmt: skip
    found = []
    for number in range(seconds * FPS):
        luma = np.full((size[1], size[0]), 90, dtype=np.uint8)
        time_us = begin_us + number * FRAME_US
        stamp.write(luma, stamp.Stamp(1, number, time_us))
        frame = av.VideoFrame.from_ndarray(
            np.vstack([luma, np.full((size[1] // 2, size[0]), 128, dtype=np.uint8)]), format="yuv420p"
        )
        frame.pts = number
        found += codec.encode(frame)
    found += codec.encode(None)
    return tuple(
        (begin_us + number * FRAME_US, bool(packet.is_keyframe), _with_lengths(bytes(packet)))
        for number, packet in enumerate(found)
    )


@cache
def sound(seconds):
    """AAC frames of a tone, and their format."""
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = RATE, "mono", "fltp", 32_000
    codec.open()
    frames = []
    for number in range(seconds * RATE // 1024):
        wave = np.sin(np.arange(number * 1024, (number + 1) * 1024) * 2 * np.pi * 440 / RATE).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, number * 1024
        frames += [bytes(packet) for packet in codec.encode(frame)]
    return tuple(frames), AACFormat(config=bytes(codec.extradata)[:2], sample_rate=RATE, channels=1)


def _with_lengths(annex_b):
    parts = [part for part in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if part]
    wanted = [nal for nal in parts if nal[0] & 31 not in (6, 9)]
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in wanted)


def format_of(size):
    """The format that the pictures of this size announce."""
    data, found = pictures(0, 1, size)[0][2], {}
    while data:
        length = int.from_bytes(data[:4], "big")
        found[data[4] & 31] = data[4 : 4 + length]
        data = data[4 + length :]
    return H264Format(sps=found[7], pps=found[8], width=size[0], height=size[1])


def write(site, begin_us=None, *, camera_id="door", segment_s=5, audio=True):
    """Write the footage of one camera into the archive of a node that does not run."""
    begin_us = start_us() if begin_us is None else begin_us
    archive = Archive(site.node_dir / "archive", site.node_dir / "index.db", segment_s=segment_s)
    archive.open()
    tone, aac = sound(FIRST_S)
    formats = (format_of(SMALL), aac) if audio else (format_of(SMALL),)
    writer = archive.writer(camera_id, "main", formats)
    items = [(at, 0, key, data) for at, key, data in pictures(begin_us, FIRST_S, SMALL)]
    if audio:
        items += [(begin_us + number * 1024 * SECOND_US // RATE, 1, True, data) for number, data in enumerate(tone)]
    for at, track, key, data in sorted(items, key=lambda item: item[0]):
        writer.write([_unit(track, formats, at, begin_us, key=key, data=data)], [at])
    writer.close()
    later_us = begin_us + (FIRST_S + GAP_S) * SECOND_US
    formats = (format_of(LARGE),)
    writer = archive.writer(camera_id, "main", formats)
    for at, key, data in pictures(later_us, SECOND_S, LARGE):
        writer.write([_unit(0, formats, at, begin_us, key=key, data=data)], [at])
    writer.close()
    archive.close()
    return Footage(begin_us)


def _unit(track, formats, at, begin_us, *, key, data):
    ticks = (at - begin_us) * formats[track].clock_rate // SECOND_US
    return AccessUnit(track=track, timestamp=ticks, key=key, data=data, received_us=at)


def expected(begin_us):
    """The times of all pictures."""
    later_us = begin_us + (FIRST_S + GAP_S) * SECOND_US
    return [begin_us + n * FRAME_US for n in range(FIRST_S * FPS)] + [
        later_us + n * FRAME_US for n in range(SECOND_S * FPS)
    ]


def stamps(units):
    """What the pictures of access units say when they are decoded in this order: times in µs, none for no stamp."""
    decoder = av.CodecContext.create("h264", "r")
    found = []
    for unit in units:
        data, parts = unit.data, []
        while data:
            length = int.from_bytes(data[:4], "big")
            parts.append(b"\0\0\0\1" + data[4 : 4 + length])
            data = data[4 + length :]
        found += decoder.decode(av.Packet(b"".join(parts)))
    found += decoder.decode(None)
    return [_read(frame) for frame in found]


def _read(frame):
    said = stamp.read(frame.to_ndarray(format="gray"))
    return said and said.time_us
