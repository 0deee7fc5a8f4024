"""What a camera sends, and when: coded pictures from clips or from a live encoder, and one timer for all cameras."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import av

from broker.process import logger
from clients.simulator import stamp
from clients.simulator.clips import (
    AUDIO_FRAME,
    GOP_S,
    SAMPLE_RATE,
    AudioClip,
    VideoClip,
    access_unit,
    byte_stream_units,
    encoder_options,
    h264_format,
    parameter_sets,
)
from clients.simulator.scene import Scene
from servers.net.live import LiveStream
from servers.wire.media import VIDEO_CLOCK_RATE, AccessUnit, Format, H264Format

log = logger(__name__)

GRID_S = 0.01
"""The timer wakes up at most once in this time."""

TOO_LATE_S = 1.0
"""Behind by more (the machine slept), pictures are left out rather than sent in a burst."""

ENCODING_LIMIT = 2
"""Pictures of one stamped stream that may wait for the encoder; more are left out."""


class Views(NamedTuple):
    """The two clips of one stream; both have the same length, so that one can follow the other at a key frame."""

    quiet: VideoClip
    motion: VideoClip


class Channel(Protocol):
    """One stream of one camera."""

    stream: LiveStream
    fps: int

    def send(self, number: int, due_us: int) -> None:
        """Push picture `number`, which was due at `due_us` by the wall clock."""


class ClipChannel:
    """Plays clips for ever."""

    def __init__(
        self, views: Views, sound: AudioClip | None, in_motion: Callable[[], bool], *, offset_s: int = 0
    ) -> None:
        """`in_motion` is asked at key frames; `offset_s` is where in the loop it begins, so that cameras differ."""
        self.fps = views.quiet.fps
        self.silent = False
        self._views = views
        self._sound = sound
        self._in_motion = in_motion
        self._offset = offset_s * self.fps
        self._clip = views.quiet
        self._next: Views | None = None
        self._format: H264Format = self._clip.format
        self._sound_sent = 0
        formats: list[Format] = [self._format]
        if sound:
            formats.append(sound.format)
        self.stream = LiveStream(formats)

    def change(self, views: Views) -> None:
        """Play other clips, of the same picture rate, from the next key frame on."""
        self._next = views

    def send(self, number: int, due_us: int) -> None:
        """Push one picture and the sound up to it."""
        group = self.fps * GOP_S
        if number % group == 0:
            if self._next:
                self._views, self._next = self._next, None
            self._clip = self._views.motion if self._in_motion() else self._views.quiet
        frames = self._clip.frames
        frame = frames[(number + self._offset) % len(frames)]
        changed = frame.key and self._clip.format != self._format
        if changed:
            self._format = self._clip.format
        units = [
            AccessUnit(
                track=0,
                timestamp=number * VIDEO_CLOCK_RATE // self.fps,
                key=frame.key,
                data=frame.data,
                received_us=due_us,
                format=self._format if changed else None,
            )
        ]
        if self._sound:
            units += self._sound_until(number, due_us)
        if not self.silent:
            self.stream.push(units)

    def _sound_until(self, number: int, due_us: int) -> list[AccessUnit]:
        assert self._sound
        until = number * SAMPLE_RATE // (self.fps * AUDIO_FRAME)
        first = max(self._sound_sent, until - SAMPLE_RATE // AUDIO_FRAME)  # after a pause not all of it
        self._sound_sent = until
        now = number * SAMPLE_RATE // self.fps
        return [
            AccessUnit(
                track=1,
                timestamp=index * AUDIO_FRAME,
                key=True,
                data=self._sound.frames[index % len(self._sound.frames)],
                received_us=due_us - (now - index * AUDIO_FRAME) * 1_000_000 // SAMPLE_RATE,
            )
            for index in range(first, until)
        ]


class StampChannel:
    """Draws, stamps and encodes each picture when it is due, in a thread; see stamp.py."""

    def __init__(
        self,
        camera: int,
        size: tuple[int, int],
        *,
        fps: int,
        kbps: int,
        in_motion: Callable[[], bool],
        encoder: ThreadPoolExecutor,
    ) -> None:
        self.fps = fps
        self.silent = False
        self._camera = camera
        self._in_motion = in_motion
        self._executor = encoder
        self._scene = Scene(*size, variant=camera - 1)
        self._codec = _encoder(size, fps, kbps)
        self._parameters = parameter_sets(_first_description(size, fps, kbps))
        self._waiting = 0
        self.stream = LiveStream([h264_format(*self._parameters)])

    def send(self, number: int, due_us: int) -> None:
        """Have one picture drawn and encoded; it is pushed when that is done."""
        del due_us  # the stamp says when it was drawn
        if self._waiting >= ENCODING_LIMIT:
            log.debug("the encoder is too slow; a picture is left out", camera=self._camera, picture=number)
            return
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._executor, self._encode, number, self._in_motion())
        job.add_done_callback(self._encoded)

    def _encoded(self, job: "asyncio.Future[list[AccessUnit]]") -> None:
        self._waiting -= 1
        if not job.cancelled() and not self.silent:
            self.stream.push(job.result())

    def _encode(self, number: int, walkers: bool) -> list[AccessUnit]:  # noqa: FBT001 - run_in_executor takes no names
        loop_pictures = self.fps * 10
        picture = self._scene.draw(number % loop_pictures / loop_pictures, walkers=walkers)
        time_us = time.time_ns() // 1000
        stamp.write(picture[: self._scene.height], stamp.Stamp(self._camera, number, time_us))
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, self.fps)
        return [
            AccessUnit(
                track=0,
                timestamp=number * VIDEO_CLOCK_RATE // self.fps,
                key=packet.is_keyframe,
                data=access_unit(byte_stream_units(bytes(packet)), self._parameters if packet.is_keyframe else ()),
                received_us=time_us,
            )
            for packet in self._codec.encode(frame)
        ]


def _encoder(size: tuple[int, int], fps: int, kbps: int) -> av.VideoCodecContext:
    codec = av.VideoCodecContext.create("libx264", "w")
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.framerate, codec.time_base = Fraction(fps), Fraction(1, fps)
    codec.bit_rate = kbps * 1000
    codec.options = encoder_options(fps, kbps)
    return codec


def _first_description(size: tuple[int, int], fps: int, kbps: int) -> bytes:
    """The byte stream of a first key frame, which holds the parameter sets."""
    codec = _encoder(size, fps, kbps)
    frame = av.VideoFrame(*size, "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, fps)
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    number: int
    channel: Channel


class Timer:
    """Sends every channel's pictures when they are due: one callback of the event loop for all."""

    def __init__(self, channels: Sequence[Channel], lags_s: Sequence[float]) -> None:
        """`lags_s` spreads the channels over a picture's time, so that not all send at once."""
        self._lags_s = tuple(lags_s)
        self._channels = tuple(channels)
        self._due: list[_Due] = []
        self._start = 0.0
        self._start_us = 0
        self._call: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to send."""
        loop = asyncio.get_running_loop()
        self._start, self._start_us = loop.time(), time.time_ns() // 1000
        pairs = zip(self._channels, self._lags_s, strict=True)
        self._due = [_Due(self._start + lag, order, 0, channel) for order, (channel, lag) in enumerate(pairs)]
        heapq.heapify(self._due)
        self._tick(loop)

    def close(self) -> None:
        """Send no more."""
        if self._call:
            self._call.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        due, now = self._due, loop.time()
        try:
            while due[0].at <= now:
                turn = due[0]
                begin = self._start + self._lags_s[turn.order]
                late = now - turn.at > TOO_LATE_S
                number, at = turn.number, turn.at
                turn.number = (int((now - begin) // GOP_S) + 1) * GOP_S * turn.channel.fps if late else number + 1
                turn.at = begin + turn.number / turn.channel.fps
                heapq.heapreplace(due, turn)
                if not late:
                    turn.channel.send(number, self._start_us + round((at - self._start) * 1e6))
        finally:
            self._call = loop.call_at(max(due[0].at, now + GRID_S), self._tick, loop)
