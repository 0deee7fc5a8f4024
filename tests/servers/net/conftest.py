"""Footage that decoders accept, and a camera that sends it over RTSP."""

import asyncio
import contextlib
import fractions
import time
from dataclasses import dataclass

import av
import numpy as np
import pytest

from servers.net.errors import NotFoundError
from servers.net.live import LiveStream
from servers.net.rtsp_server import RtspServer
from servers.wire.h264 import split
from servers.wire.media import AACFormat, AccessUnit, H264Format

FRAME_US = 40_000


@dataclass(frozen=True)
class Footage:
    """A second of moving pictures with sound, over and over."""

    formats: tuple
    pictures: tuple[tuple[bytes, bool], ...]
    sounds: tuple[bytes, ...]

    def units(self, index, now_us=None, *, audio=True):
        """The access units of the frame interval of this number."""
        now_us = index * FRAME_US if now_us is None else now_us
        data, key = self.pictures[index % len(self.pictures)]
        found = [AccessUnit(track=0, timestamp=index * 3600, key=key, data=data, received_us=now_us)]
        if audio and len(self.formats) > 1:
            # 46.875 AAC frames a second: those that begin within this interval.
            first, last = -(-index * 15 // 8), -(-(index + 1) * 15 // 8)
            for number in range(first, last):
                sound = self.sounds[number % len(self.sounds)]
                found.append(AccessUnit(track=1, timestamp=number * 1024, key=True, data=sound, received_us=now_us))
        return found


def _encode(codec, frames):
    packets = []
    for frame in (*frames, None):
        packets += [(bytes(packet), packet.is_keyframe) for packet in codec.encode(frame)]
    return packets


@pytest.fixture(scope="session")
def footage():
    """320x240 at 25 frames/s, a key frame every 10, and AAC at 48 kHz."""
    video = av.CodecContext.create("libx264", "w")
    video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
    video.time_base, video.framerate = fractions.Fraction(1, 25), fractions.Fraction(25)
    video.gop_size = 10
    video.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": "annexb=0:repeat-headers=1:scenecut=0",
    }
    noise = np.random.default_rng(1)
    images = []
    for index in range(30):
        image = noise.integers(90, 110, (240, 320, 3), dtype=np.uint8)
        image[60:180, index * 8 : index * 8 + 60] = 240
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = index
        images.append(frame)
    pictures = _encode(video, images)
    audio = av.CodecContext.create("aac", "w")
    audio.sample_rate, audio.layout, audio.format = 48_000, "stereo", "fltp"
    sounds = []
    for index in range(47):
        tone = np.sin(np.arange(index * 1024, (index + 1) * 1024) * 0.05).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, index * 1024
        sounds.append(frame)
    sps, pps = (bytes(nal) for nal in split(pictures[0][0])[:2])
    return Footage(
        formats=(
            H264Format(sps=sps, pps=pps, width=320, height=240),
            AACFormat(config=bytes.fromhex("1190"), sample_rate=48_000, channels=2),
        ),
        pictures=tuple(pictures),
        sounds=tuple(data for data, _ in _encode(audio, sounds)),
    )


class Camera:
    """A provider with one stream, /camera/a/main, that runs in real time or faster."""

    def __init__(self, footage, *, audio=True):
        self.footage = footage
        self.live = LiveStream(footage.formats if audio else footage.formats[:1])
        self.requests = []
        self.audio = audio
        self.sent = 0

    async def authorise(self, request):
        self.requests.append(request)
        return "ada"

    async def describe(self, path, query, who):
        if path != "/camera/a/main":
            raise NotFoundError(f"there is no {path}")
        return self.live.formats

    def open(self, path, query, who):
        return self.live

    def push(self, count=1):
        """Send the next frame intervals at once."""
        for _ in range(count):
            self.live.push(self.footage.units(self.sent, time.time_ns() // 1000, audio=self.audio))
            self.sent += 1

    async def run(self, speed=1.0):
        """Send in real time."""
        start, first = time.monotonic(), self.sent
        while True:
            self.push()
            due = start + (self.sent - first) * 0.04 / speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))


@pytest.fixture
async def camera(footage):
    """A camera on a port of its own: `.url`, `.live`, `.push`, `.run`."""
    async with serve(Camera(footage)) as served:
        yield served


@contextlib.asynccontextmanager
async def serve(provider, **options):
    server = RtspServer(provider, "127.0.0.1", 0, **options)
    await server.start()
    provider.server = server
    provider.url = f"rtsp://127.0.0.1:{server.port}/camera/a/main"
    try:
        yield provider
    finally:
        await server.close()


@pytest.fixture
async def running(camera):
    """The same camera, running."""
    task = asyncio.create_task(camera.run())
    yield camera
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Collector:
    """A sink that remembers."""

    def __init__(self):
        self.formats = []
        self.units = []
        self.reads = 0

    def described(self, formats):
        self.formats.append(formats)

    def received(self, units):
        assert units
        self.reads += 1
        self.units += units


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def eventually():
    """Wait until something holds, or fail."""

    async def wait(condition, timeout_s=10.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def serving():
    """Serve another provider: `async with serving(provider) as served`."""
    return serve


@pytest.fixture
def make_camera(footage):
    def make(**options):
        return Camera(footage, **options)

    return make
