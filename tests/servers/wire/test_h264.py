import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire import h264


@pytest.mark.parametrize(
    ("sps", "width", "height"),
    [
        pytest.param("6742c00dda0507e840000003004000000ca3c50aa8", 320, 240, id="x264 baseline 320x240"),
        pytest.param(
            "67640028acd940780227e5c05a808080a0000003002000000781e30632c0",
            1920,
            1080,
            id="x264 high 1920x1080, cropped",
        ),
    ],
)
def test_sizes_are_read(sps, width, height):
    size = h264.picture_size(bytes.fromhex(sps))
    assert (size.width, size.height) == (width, height)


@given(st.binary(max_size=60))
def test_damaged_parameter_sets_have_no_size(data):
    size = h264.picture_size(b"\x67" + data)
    assert 0 <= size.width <= h264.MAX_PIXELS
    assert h264.parameter_set_id(b"\x67" + data) >= 0


def test_an_access_unit_is_split_into_nal_units():
    assert [bytes(nal) for nal in h264.split(b"\0\0\0\1a\0\0\0\2bc")] == [b"a", b"bc"]
    with pytest.raises(ValueError, match="beyond"):
        h264.split(b"\0\0\0\5a")
