"""What is read out of H.264 parameter sets (ISO/IEC 14496-10, 7.3.2)."""

from dataclasses import dataclass

SLICE, IDR, SEI, SPS, PPS, AUD, FILLER = 1, 5, 6, 7, 8, 9, 12
"""NAL unit types (table 7-1)."""

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Those whose SPS says how chroma is sampled (7.3.2.1.1)."""

MAX_PIXELS = 16_384
"""Width or height beyond this is damage, not a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSize:
    """In pixels, after cropping."""

    width: int
    height: int


class _Bits:
    """Reads bits of a NAL unit, without its emulation prevention bytes."""

    def __init__(self, nal: bytes) -> None:
        payload = nal[1:].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the parameter set ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Exp-Golomb, unsigned (9.1)."""
        zeros = 0
        while self.take(1) == 0:
            zeros += 1
            if zeros > 31:  # noqa: PLR2004 - codes have at most 32 bits
                raise ValueError("not an Exp-Golomb code")
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def parameter_set_id(nal: bytes) -> int:
    """The id of an SPS or PPS; 0 when it cannot be read."""
    try:
        bits = _Bits(nal[:16])
        if nal[0] & 31 == SPS:
            bits.take(24)
        return bits.ue()
    except (ValueError, IndexError):
        return 0


def picture_size(sps: bytes) -> PictureSize:
    """The size of the pictures that belong to an SPS; zeros when it cannot be read."""
    try:
        return _picture_size(_Bits(sps))
    except (ValueError, IndexError):
        return PictureSize(width=0, height=0)


def _picture_size(bits: _Bits) -> PictureSize:
    profile = bits.take(8)
    bits.take(16)  # constraint flags and level
    bits.ue()  # id
    chroma = 1
    separate = 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:  # noqa: PLR2004 - 4:4:4
            separate = bits.take(1)
        bits.ue()  # bit depths
        bits.ue()
        bits.take(1)
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):  # noqa: PLR2004 - 4:4:4
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)  # noqa: PLR2004 - six 4x4 lists come first
    bits.ue()  # frame number length
    _skip_order(bits)
    bits.ue()  # reference frames
    bits.take(1)
    width = 16 * (bits.ue() + 1)
    height_units = bits.ue() + 1
    frames_only = bits.take(1)
    height = 16 * height_units * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)  # direct 8x8 inference
    if bits.take(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        planes = 0 if separate else chroma
        across = 2 if planes in (1, 2) else 1
        down = (2 if planes == 1 else 1) * (2 - frames_only)
        width -= across * (left + right)
        height -= down * (top + bottom)
    if not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
        raise ValueError("no picture has this size")
    return PictureSize(width=width, height=height)


def _skip_order(bits: _Bits) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.take(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def split(data: bytes | memoryview) -> list[memoryview]:
    """The NAL units of an access unit with 4-byte lengths; raises ValueError when lengths do not fit."""
    view = memoryview(data)
    units, position, end = [], 0, len(view)
    while position < end:
        start = position + 4
        position = start + int.from_bytes(view[position:start], "big")
        if start > end or position > end:
            raise ValueError("a NAL unit's length points beyond its access unit")
        units.append(view[start:position])
    return units
