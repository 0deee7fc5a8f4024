"""Stamps: what is drawn is read back, through encoding and scaling, and nothing is read where none is."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.simulator.scene import Scene
from clients.simulator.stamp import Stamp, read, write

TIME_US = 1_767_225_600_123_456


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1))
def test_any_stamp_is_read_back(camera, picture, time_us):
    luma = np.zeros((144, 176), np.uint8)
    stamp = Stamp(camera, picture, time_us)
    write(luma, stamp)
    assert read(luma) == stamp


@pytest.mark.parametrize("size", [(72, 72), (176, 144), (352, 288), (640, 360), (641, 359), (1920, 1080)])
def test_stamps_fit_every_size(size):
    luma = np.zeros((size[1], size[0]), np.uint8)
    write(luma, Stamp(3, 77, TIME_US))
    assert read(luma) == Stamp(3, 77, TIME_US)
    assert read(np.repeat(luma[:, :, None], 3, axis=2)) == Stamp(3, 77, TIME_US)


@pytest.mark.parametrize(("size", "kbps"), [((352, 288), 60), ((640, 360), 150), ((1280, 720), 500)])
def test_every_stamp_survives_x264_at_a_low_bit_rate(size, kbps):
    scene = Scene(*size)
    sent = [Stamp(7, number, TIME_US + number * 40_000) for number in range(40)]
    pictures = []
    for stamp in sent:
        picture = scene.draw(stamp.picture / 40, walkers=True)
        write(picture[: size[1]], stamp)
        pictures.append(picture)
    decoded = list(through_x264(pictures, size, kbps))
    assert [read(luma) for luma in decoded] == sent


def test_a_stamp_survives_being_shown_smaller():
    picture = Scene(640, 360).draw(0, walkers=False)
    write(picture[:360], Stamp(1, 2, TIME_US))
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p").reformat(width=400, height=225, format="rgb24")
    assert read(frame.to_ndarray()) == Stamp(1, 2, TIME_US)


@pytest.mark.parametrize("luma", [0, 128, 255])
def test_a_picture_without_a_stamp_has_none(luma):
    assert read(np.full((288, 352), luma, np.uint8)) is None
    assert read(Scene(352, 288).draw(0.3, walkers=True)[:288]) is None
    assert read(np.zeros((10, 10), np.uint8)) is None


def test_a_damaged_stamp_is_none_rather_than_a_wrong_one():
    luma = np.zeros((288, 352), np.uint8)
    write(luma, Stamp(1, 2, TIME_US))
    luma[16:32] = 255 - luma[16:32]
    assert read(luma) is None


def through_x264(pictures, size, kbps):
    """Encode as the simulator does and decode, brightness only."""
    from clients.simulator.clips import encoder_options  # noqa: PLC0415 - only here

    coder, decoder = av.VideoCodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    coder.width, coder.height = size
    coder.pix_fmt, coder.framerate, coder.time_base = "yuv420p", Fraction(25), Fraction(1, 25)
    coder.bit_rate = kbps * 1000
    coder.options = encoder_options(25, kbps)
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    for packet in (*packets, None):
        for frame in decoder.decode(packet):
            yield frame.to_ndarray()[: size[1]]
