"""The clips that the cameras repeat: rendered once, kept as MP4 files, played without any decoding or encoding."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from broker.process import logger
from clients.simulator.scene import Scene
from servers.wire.h264 import IDR, PPS, SLICE, SPS, picture_size, split
from servers.wire.media import AACFormat, H264Format

log = logger(__name__)

VERSION = 2
"""Part of the clips' names: raise it when they would look different."""

GOP_S = 1
"""Seconds from key frame to key frame; clips are switched there."""

SAMPLE_RATE = 16_000
AUDIO_FRAME = 1024
"""Samples in an AAC frame."""

AUDIO_FRAMES = 125
"""8 s of sound."""

WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """What decides how a clip looks; its name in the cache follows from it."""

    width: int
    height: int
    fps: int
    kbps: int
    loop_s: int
    walkers: bool
    scene: int = 0

    @property
    def file_name(self) -> str:
        """Readable, and different for every difference."""
        digest = hashlib.sha256(repr((VERSION, sorted(asdict(self).items()))).encode()).hexdigest()[:12]
        return (
            f"{'motion' if self.walkers else 'quiet'}-{self.scene}-{self.width}x{self.height}-{self.fps}-{digest}.mp4"
        )


class Frame(NamedTuple):
    """One coded picture, as an access unit holds it."""

    data: bytes
    key: bool


class VideoClip(NamedTuple):
    """The coded pictures of one loop: whole groups of pictures, each `fps` times `GOP_S` long."""

    format: H264Format
    fps: int
    frames: tuple[Frame, ...]


class AudioClip(NamedTuple):
    """The AAC frames of one loop of sound."""

    format: AACFormat
    frames: tuple[bytes, ...]


def prepare(specs: list[ClipSpec], folder: Path) -> list[VideoClip]:
    """The clips, in the same order; what is not in the folder is rendered, several at once. Takes seconds."""
    missing = [spec for spec in dict.fromkeys(specs) if not _readable(folder / spec.file_name)]
    if missing:
        log.info("rendering clips", clips=len(missing), folder=str(folder))
        missing.sort(key=lambda spec: -spec.width * spec.height * spec.fps)  # the longest first
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="render") as threads:  # x264 and numpy release the GIL
            list(threads.map(lambda spec: _kept(folder / spec.file_name, lambda path: render(spec, path)), missing))
    return [load_video(folder / spec.file_name) for spec in specs]


def prepare_audio(folder: Path) -> AudioClip:
    """The clip of sound, rendered if it is not in the folder."""
    path = folder / f"sound-{VERSION}.m4a"
    if not path.exists():
        _kept(path, render_audio)
    return load_audio(path)


def _readable(path: Path) -> bool:
    """Whether there is a clip; one that a full disk or a crash has cut is rendered anew."""
    try:
        with av.open(str(path)) as container:
            return bool(container.streams.video and container.streams.video[0].frames)
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _kept(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    staged = Path(name)
    try:
        make(staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def encoder_options(fps: int, kbps: int) -> dict[str, str]:
    """x264 for pictures that go out at once: no B-frames, one slice, key frames at fixed places."""
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "threads": "1",
        "bf": "0",
        "g": str(fps * GOP_S),
        "keyint_min": str(fps * GOP_S),
        "sc_threshold": "0",
        "maxrate": f"{kbps}k",
        "bufsize": f"{kbps // 2}k",
    }


def render(spec: ClipSpec, path: Path) -> None:
    """Draw and encode one loop."""
    scene = Scene(spec.width, spec.height, variant=spec.scene, seed=1 + spec.walkers)
    count = spec.fps * spec.loop_s
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=spec.fps, options=encoder_options(spec.fps, spec.kbps))
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        stream.bit_rate = spec.kbps * 1000
        for number in range(count):
            picture = scene.draw(number / count, walkers=spec.walkers)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, spec.fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def render_audio(path: Path) -> None:
    """Encode some seconds of a calm hum; whole waves fit the loop, so that it does not click."""
    total = AUDIO_FRAMES * AUDIO_FRAME
    time = np.arange(total + 8 * AUDIO_FRAME) / SAMPLE_RATE
    loop_s = total / SAMPLE_RATE
    wave = sum(
        level * np.sin(2 * np.pi * round(tone * loop_s) / loop_s * time)
        for tone, level in ((110, 0.05), (165, 0.03), (220, 0.02))
    )
    samples = (np.asarray(wave) * 32767).astype(np.int16)[None, :]
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=SAMPLE_RATE)
        stream.layout, stream.bit_rate = "mono", 32_000
        for start in range(0, samples.shape[1], AUDIO_FRAME):
            frame = av.AudioFrame.from_ndarray(samples[:, start : start + AUDIO_FRAME], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def load_video(path: Path) -> VideoClip:
    """Read a clip, with parameter sets in band at key frames and nothing but slices beside them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        parameters = parameter_sets(stream.codec_context.extradata or b"")
        frames = [
            Frame(
                access_unit(map(bytes, split(bytes(packet))), parameters if packet.is_keyframe else ()),
                packet.is_keyframe,
            )
            for packet in container.demux(stream)
            if packet.size
        ]
        fps = round(float(stream.average_rate or 0))
    return VideoClip(h264_format(*parameters), fps, tuple(frames))


def load_audio(path: Path) -> AudioClip:
    """Read the clip of sound, without the frames in which the encoder warms up and fades out."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        config = bytes(stream.codec_context.extradata or b"")
        frames = [bytes(packet) for packet in container.demux(stream) if packet.size]
    warm = 4
    return AudioClip(
        AACFormat(config=config, sample_rate=SAMPLE_RATE, channels=1), tuple(frames[warm : warm + AUDIO_FRAMES])
    )


def h264_format(sps: bytes, pps: bytes) -> H264Format:
    """The format that these parameter sets describe."""
    size = picture_size(sps)
    return H264Format(sps=sps, pps=pps, width=size.width, height=size.height)


def parameter_sets(extradata: bytes) -> tuple[bytes, bytes]:
    """SPS and PPS from an encoder's or file's description: avcC (ISO/IEC 14496-15, 5.3.3.1) or a byte stream."""
    if extradata[:1] == b"\x01":
        sps_length = int.from_bytes(extradata[6:8], "big")
        after = 8 + sps_length
        pps_length = int.from_bytes(extradata[after + 1 : after + 3], "big")
        return extradata[8:after], extradata[after + 3 : after + 3 + pps_length]
    units = byte_stream_units(extradata)
    return next(u for u in units if u[0] & 31 == SPS), next(u for u in units if u[0] & 31 == PPS)


def byte_stream_units(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes (ISO/IEC 14496-10, annex B)."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]


def access_unit(units: Iterable[bytes], parameters: Iterable[bytes] = ()) -> bytes:
    """Parameter sets and the slices among these NAL units, with 4-byte lengths."""
    kept = [*parameters, *(unit for unit in units if unit[0] & 31 in (SLICE, IDR))]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept)
