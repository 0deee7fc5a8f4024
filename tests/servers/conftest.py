"""Real video and sound for tests of the media path, encoded by PyAV."""

import re
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import CodecContext

from servers.wire.h264 import picture_size
from servers.wire.media import AACFormat, AccessUnit, H264Format

START_US = 1_763_862_000_000_000


def _bars(width: int, height: int, pictures: int) -> Iterable[np.ndarray]:
    for number in range(pictures):
        picture = np.full((height, width), 90, np.uint8)
        left = number * 4 % (width - 32)
        picture[:, left : left + 32] = 220
        yield picture


class Film:
    """Encodes grey pictures as a camera would send them: 4-byte lengths, parameter sets in band."""

    def bars(self, pictures=50, *, width=320, height=240, fps=25, gop=25, start_us=START_US):
        """A bright bar that moves over a grey wall."""
        return self.encode(_bars(width, height, pictures), fps=fps, gop=gop, start_us=start_us)

    def encode(self, pictures: Iterable[np.ndarray], *, fps=25, gop=25, b_frames=0, start_us=START_US):
        """In coding order, which with B frames is not that of the pictures."""
        encoder, packets, units, format_ = None, [], [], None
        for number, luma in enumerate(pictures):
            if encoder is None:
                encoder = CodecContext.create("libx264", "w")
                encoder.height, encoder.width = luma.shape
                encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, fps), fps
                encoder.thread_count = 1
                encoder.options = {"preset": "ultrafast", "g": str(gop), "keyint_min": str(gop), "bf": str(b_frames)}
                if not b_frames:
                    encoder.options = {**encoder.options, "tune": "zerolatency"}
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            frame.pts = number
            packets += encoder.encode(frame)
        assert encoder is not None
        packets += encoder.encode(None)
        for packet in packets:
            nals = [nal.rstrip(b"\0") for nal in re.split(b"\0\0\1", bytes(packet))[1:]]
            kinds = {nal[0] & 31: nal for nal in nals}
            if format_ is None:
                size = picture_size(kinds[7])
                format_ = H264Format(sps=kinds[7], pps=kinds[8], width=size.width, height=size.height)
            units.append(
                AccessUnit(
                    track=0,
                    timestamp=len(units) * 90_000 // fps,
                    key=5 in kinds,
                    data=b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals),
                    received_us=start_us + len(units) * 1_000_000 // fps,
                )
            )
        return format_, units

    def sound(self, seconds=2.0, *, rate=48_000, start_us=START_US):
        """A tone, one AAC frame per access unit, on track 1."""
        encoder = CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "fltp"
        encoder.open()
        config, packets = bytes(encoder.extradata), []
        for number in range(int(seconds * rate / 1024) + 2):
            tone = np.sin(np.arange(number * 1024, (number + 1) * 1024) * 440 * 2 * np.pi / rate).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, number * 1024
            packets += [bytes(packet) for packet in encoder.encode(frame)]
        units = [
            AccessUnit(
                track=1,
                timestamp=number * 1024,
                key=True,
                data=data,
                received_us=start_us + number * 1024 * 1_000_000 // rate,
            )
            for number, data in enumerate(packets)
        ]
        return AACFormat(config=config, sample_rate=rate, channels=1), units


@pytest.fixture(scope="session")
def film() -> Film:
    return Film()
