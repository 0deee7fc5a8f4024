"""Access units in, pictures at the wanted size out. A decoder belongs to one thread at a time."""

from contextlib import suppress
from fractions import Fraction

import av.error
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PySide6.QtGui import QImage

from clients.desktop.video.frame import Frame, Size
from servers.wire.media import AccessUnit

MAX_PIXELS = 8192 * 4608
"""A stream that claims more is damaged or hostile; libav refuses it before it takes memory."""
MAX_GOP_BYTES = 16 * 1024 * 1024
"""Access units kept for `full_picture`. Beyond, snapshots are of the size shown."""
_START = b"\x00\x00\x00\x01"
_MICROSECONDS = Fraction(1, 1_000_000)
_COARSE = 2
"""Pictures that shrink by more than this are scaled by a quicker, coarser filter."""


def annex_b(data: bytes) -> bytes:
    """An access unit with start codes instead of lengths, as a decoder without further word takes it (annex B)."""
    out, at = bytearray(data), 0
    while at + 4 <= len(out):
        size = int.from_bytes(out[at : at + 4], "big")
        out[at : at + 4] = _START
        at += 4 + size
    return bytes(out)


def moment_us(unit: AccessUnit) -> int:
    """When it was captured: by the sender's clock, or by its arrival while that is not known."""
    return unit.received_us if unit.camera_time_us is None else unit.camera_time_us


def fitted(source: Size, target: Size) -> Size:
    """The largest size of the source's shape inside the target; even, at least 2 x 2."""
    across, down = max(target[0], 2), max(target[1], 2)
    width = min(across, down * source[0] // source[1])
    height = min(down, across * source[1] // source[0])
    # A pixel of rounding is no reason to scale.
    if abs(width - source[0]) <= 1 and abs(height - source[1]) <= 1:
        return source
    return max(width & ~1, 2), max(height & ~1, 2)


class PictureDecoder:
    """Decodes one H.264 stream."""

    def __init__(self) -> None:
        self._codec = _h264()
        self._scaler, self._painter = VideoReformatter(), VideoReformatter()
        self._gop: list[AccessUnit] = []
        self._gop_bytes = 0

    def decode(self, unit: AccessUnit, size: Size | None) -> list[Frame]:
        """The pictures that this access unit completes, usually one; none of them is converted without a size.

        Raises:
            av.error.FFmpegError: it cannot be decoded.
        """
        if unit.key:
            self._gop, self._gop_bytes = [], 0
        self._gop_bytes += len(unit.data)
        if self._gop_bytes <= MAX_GOP_BYTES:
            self._gop.append(unit)
        self._codec.skip_frame = "NONREF" if size is None else "DEFAULT"
        pictures = self._codec.decode(_packet(unit))
        return [] if size is None else [self._frame(picture, size) for picture in pictures]

    def flush(self, size: Size) -> list[Frame]:
        """The pictures that are still inside; the next access unit must be a key frame."""
        frames: list[Frame] = []
        with suppress(av.error.FFmpegError):
            frames = [self._frame(picture, size) for picture in self._codec.decode(None)]
        self._codec.flush_buffers()
        return frames

    def _frame(self, picture: VideoFrame, size: Size) -> Frame:
        source = picture.width, picture.height
        width, height = fitted(source, size)
        if (width, height) != source:
            coarse = source[0] > _COARSE * width
            # Scaling in the camera's own colours first is twice as quick as both in one step.
            picture_fit = self._scaler.reformat(
                picture,
                width=width,
                height=height,
                interpolation="FAST_BILINEAR" if coarse else "BILINEAR",
                threads=1,
            )
        else:
            picture_fit = picture
        painted = self._painter.reformat(picture_fit, format="bgra", threads=1)
        return Frame(
            image=_image(painted),
            time_us=picture.pts or 0,
            source_size=source,
            pixels=painted,
            gop=self._gop,
            depth=len(self._gop),
        )


def full_picture(frame: Frame) -> QImage:
    """The picture as large as the camera sent it, for a snapshot. Takes some 10 ms a picture: not on the GUI thread."""
    codec, found = _h264(), None
    units = frame.gop[: frame.depth]
    for packet in [*(_packet(unit) for unit in units), None]:
        with suppress(av.error.FFmpegError):
            for picture in codec.decode(packet):
                found = picture if picture.pts == frame.time_us else found
    if found is None:
        return frame.image.copy()
    return _image(VideoReformatter().reformat(found, format="bgra", threads=1)).copy()


def _h264() -> VideoCodecContext:
    codec = CodecContext.create("h264", "r")
    assert isinstance(codec, VideoCodecContext)
    codec.thread_count = 1
    codec.flags |= Flags.low_delay
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    return codec


def _packet(unit: AccessUnit) -> "Packet[Stream]":
    packet: Packet[Stream] = Packet(annex_b(unit.data))
    packet.pts, packet.time_base = moment_us(unit), _MICROSECONDS
    return packet


def _image(picture: VideoFrame) -> QImage:
    plane = picture.planes[0]
    return QImage(memoryview(plane), picture.width, picture.height, plane.line_size, QImage.Format.Format_RGB32)
