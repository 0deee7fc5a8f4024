"""A decoder process: `python -m servers.dvrserver.motion.decoder` with a socket as standard input.

The only place where cameras' pictures are decoded. It looks for motion, makes JPEGs for snapshots, and knows nothing
else: no disk, no network, no configuration beyond what it is told. It ends when the socket does.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from servers.dvrserver.motion import sandbox
from servers.dvrserver.motion.detector import Detector, Luma, Settings
from servers.dvrserver.motion.link import Kind, Message, Reader, State, message, pack_state, unpack_batch

MAX_PIXELS = 8192 * 4608
READ = 1 << 18
_START = b"\x00\x00\x00\x01"
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv12"})
JPEG_QUALITY = "3"
"""Quantiser; 2 is best, 31 worst."""


def annex_b(data: bytes) -> bytes:
    """An access unit with start codes instead of lengths, which a decoder takes without any further word."""
    out, at = bytearray(data), 0
    while at + 4 <= len(out):
        size = int.from_bytes(out[at : at + 4], "big")
        out[at : at + 4] = _START
        at += 4 + size
    return bytes(out)


def h264() -> VideoCodecContext:
    """A decoder that gives each picture at once."""
    context = CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context


def luma(frame: VideoFrame) -> Luma:
    """The picture's brightness, without a copy where the format allows."""
    if frame.format.name not in _PLANAR:
        frame = frame.reformat(format="gray", threads=1)
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


class Watched:
    """One camera: its decoder and its detector."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._decoder = h264()
        self._alone = False
        """The last batch was a single key frame: only key frames come."""
        self._state = State(bool(told["active"]), int(told["moved_us"]), int(told["moved_us"]), ())
        settings = Settings(**{**told["settings"], "hidden": tuple(told["settings"]["hidden"])})
        self._detector = Detector(settings, active=self._state.active, moved_us=self._state.moved_us)

    def take(self, payload: bytes) -> State:
        """Decode a batch and look at its last picture."""
        units, look = unpack_batch(payload)
        frame: VideoFrame | None = None
        for number, (_, _, data) in enumerate(units):
            # A picture that no other refers to is decoded only if it is looked at.
            self._decoder.skip_frame = "DEFAULT" if look and number == len(units) - 1 else "NONREF"
            with suppress(av.error.FFmpegError):
                for decoded in self._decoder.decode(Packet(annex_b(data))):
                    frame = decoded
        alone = len(units) == 1 and units[0][1]
        if alone and self._alone:
            # With B frames a decoder holds pictures back until later ones come, here whole GOPs later.
            with suppress(av.error.FFmpegError):
                for decoded in self._decoder.decode(None):
                    frame = decoded
            self._decoder.flush_buffers()
        self._alone = alone
        if look and frame is not None:
            verdict = self._detector.look(luma(frame), units[-1][0])
            self._state = State(verdict.active, verdict.at_us, verdict.moved_us, verdict.cells)
        return self._state


def picture(data: bytes, width: int) -> bytes:
    """A key frame as JPEG.

    Raises:
        ValueError: It holds no picture that can be decoded.
    """
    decoder = h264()
    try:
        frames = [*decoder.decode(Packet(annex_b(data))), *decoder.decode(None)]
    except av.error.FFmpegError as error:
        raise ValueError(f"the key frame cannot be decoded: {error}") from error
    if not frames:
        raise ValueError("the key frame holds no picture")
    frame = frames[-1]
    assert isinstance(frame, VideoFrame)
    height = frame.height
    if 0 < width < frame.width:
        height = max(frame.height * width // frame.width & ~1, 2)
    else:
        width = frame.width
    # More threads would need a right that this process has given up.
    frame = frame.reformat(width=width, height=height, format="yuvj420p", threads=1)
    encoder = CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 1), 1
    encoder.options = {"qmin": JPEG_QUALITY, "qmax": JPEG_QUALITY}
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


class Decoder:
    """Answers messages, in the order in which they come."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}

    def answer(self, received: Message) -> bytes:
        """Do what a message asks; the bytes of the answer."""
        match received.kind:
            case Kind.WATCH:
                self._watched[received.number] = Watched(json.loads(received.payload))
            case Kind.FORGET:
                self._watched.pop(received.number, None)
            case Kind.BATCH:
                watched = self._watched.get(received.number)
                if watched is not None:
                    state = watched.take(received.payload)
                    return message(Kind.ACK, received.number, received.sequence, pack_state(state))
            case Kind.PICTURE:
                try:
                    jpeg = picture(received.payload, received.number)
                except (ValueError, av.error.FFmpegError) as error:
                    return message(Kind.REFUSED, 0, received.sequence, [str(error).encode()])
                return message(Kind.JPEG, 0, received.sequence, [jpeg])
        return b""


def warm_up() -> None:
    """Load what is loaded at first use, before files can no longer be opened."""
    with suppress(ValueError):
        picture(b"\x00\x00\x00\x01\x09", 0)
    detector = Detector(Settings())
    for at in range(2):
        detector.look(np.zeros((96, 128), np.uint8), at)


def main() -> int:
    """Restrict this process, then serve the socket until it ends."""
    link = socket.socket(fileno=os.dup(0))
    av.logging.set_level(None)
    warm_up()
    sandbox.restrict()
    decoder, reader = Decoder(), Reader()
    link.sendall(message(Kind.READY))
    while data := link.recv(READ):
        for received in reader.feed(data):
            answer = decoder.answer(received)
            if answer:
                link.sendall(answer)
    return 0


if __name__ == "__main__":
    with suppress(BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        sys.exit(main())
