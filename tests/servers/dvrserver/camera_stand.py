"""A camera for tests: our own RTSP server and live stream, fed with pictures that PyAV encoded beforehand.

It stands still or shows a moving box on demand, changes its resolution, asks for a password, goes away and comes back.
"""

import asyncio
import contextlib
import os
import time
from fractions import Fraction
from functools import cache

import av
import numpy as np

from servers.net.errors import NotFoundError, UnauthorisedError
from servers.net.live import LiveStream
from servers.net.rtsp_server import RtspServer
from servers.wire.media import AccessUnit, H264Format
from servers.wire.rtsp.auth_headers import Authorization
from servers.wire.rtsp.digest import DigestAuthority, ha1

FPS = 10
GOP = 10
TICKS = 90_000 // FPS
SPS, PPS = 7, 8


def _picture(number, size, *, moving):
    width, height = size
    noise = np.random.default_rng(number).integers(0, 6, (height, width), dtype=np.uint8)
    picture = noise + 90
    if moving:
        box = height // 3
        left = (number * width // 12) % (width - box)
        picture[box : 2 * box, left : left + box] = 230
    return av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1), format="rgb24")


@cache
def encoded(size, moving):
    """A second or two of pictures, each as NAL units with 4-byte lengths; the first is a key frame."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.time_base = Fraction(1, FPS)
    codec.framerate = Fraction(FPS)
    codec.gop_size = GOP
    codec.max_b_frames = 0
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={GOP}:scenecut=0"}
    packets = []
    for number in range(2 * GOP):
        frame = _picture(number, size, moving=moving).reformat(format="yuv420p")
        frame.pts = number
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return tuple((bool(packet.is_keyframe), _with_lengths(bytes(packet))) for packet in packets)


def _nals(annex_b):
    for part in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        if part:
            yield part


def _with_lengths(annex_b):
    wanted = [nal for nal in _nals(annex_b) if nal[0] & 31 not in (6, 9)]
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in wanted)


def format_of(size):
    """The format that the key frames of this size announce."""
    data, found = encoded(size, moving=False)[0][1], {}
    while data:
        length = int.from_bytes(data[:4], "big")
        found[data[4] & 31] = data[4 : 4 + length]
        data = data[4 + length :]
    return H264Format(sps=found[SPS], pps=found[PPS], width=size[0], height=size[1])


class CameraStand:
    """An RTSP camera at `url`; set `moving`, call `resize`, `away` and `back`."""

    def __init__(self, *, size=(320, 240), username="", password="", tls=None):
        self.size = size
        self.moving = False
        self.connections = 0
        self._login = (username, password)
        self._tls = tls
        self._authority = DigestAuthority("camera", os.urandom(16))
        self.live = LiveStream((format_of(size),))
        self._announced = size
        self._port = 0
        self._server = None
        self._task = None

    @property
    def url(self):
        return f"{'rtsps' if self._tls else 'rtsp'}://127.0.0.1:{self._port}/stream"

    @property
    def viewers(self):
        return self.live.viewers

    async def authorise(self, request):
        self.connections += 1
        user, password = self._login
        if not user:
            return "anybody"
        header = request.headers.get("Authorization")
        if header:
            verdict = self._authority.verify(
                Authorization.parse(header),
                request.method,
                request.uri,
                time.time(),
                lambda name, algorithm: ha1(user, "camera", password, algorithm) if name == user else None,
            )
            if verdict.ok:
                return user
        raise UnauthorisedError("who is it?", self._authority.challenges(time.time()))

    async def describe(self, path, query, who):
        self.open(path, query, who)
        return self.live.formats

    def open(self, path, query, who):
        if path != "/stream":
            raise NotFoundError("no such stream")
        return self.live

    async def back(self):
        """Listen, at the same port as before."""
        self._server = RtspServer(self, "127.0.0.1", self._port, tls=self._tls)
        await self._server.start()
        self._port = self._server.port

    async def away(self):
        """Drop all connections and stop listening."""
        await self._server.close()

    def resize(self, size):
        """Send another resolution from the next key frame on."""
        self.size = size

    async def _push(self):
        number, timestamp, shown = 0, 0, (self.size, self.moving)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if number % GOP == 0 and shown != (self.size, self.moving):
                shown, number = (self.size, self.moving), 0
            size, moving = shown
            pictures = encoded(size, moving)
            key, data = pictures[number % len(pictures)]
            changed = key and size != self._announced
            if changed:
                self._announced = size
            unit = AccessUnit(
                track=0,
                timestamp=timestamp,
                key=key,
                data=data,
                received_us=time.time_ns() // 1000,
                format=format_of(size) if changed else None,
            )
            self.live.push([unit])
            number += 1
            timestamp += TICKS
            due += 1 / FPS
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def __aenter__(self):
        for moving in (False, True):
            await asyncio.to_thread(encoded, self.size, moving)
        await self.back()
        self._task = asyncio.create_task(self._push())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.away()
