"""How MediaSource and `Content-Type` name the codecs (RFC 6381), and what an SPS says about the picture."""

from collections.abc import Sequence

from servers.wire.media import AACFormat, Format, H264Format

_AAC_ESCAPE = 31
"""An audio object type of 31 continues in six more bits (ISO/IEC 14496-3, section 1.6.2.1)."""
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MAX_GOLOMB_BITS = 32
_CHROMA_444 = 3
_SCALING_8X8_FROM = 6


def codec_string(format: Format) -> str:  # noqa: A002 - the field's name all over the media path
    """A track's codec, e.g. "avc1.42c01f" or "mp4a.40.2"."""
    if isinstance(format, H264Format):
        return f"avc1.{format.sps[1:4].hex()}"
    return f"mp4a.40.{_audio_object_type(format)}"


def mime_type(formats: Sequence[Format]) -> str:
    """What a browser's `MediaSource.isTypeSupported` and `addSourceBuffer` take."""
    kind = "video" if any(format.media == "video" for format in formats) else "audio"
    return f'{kind}/mp4; codecs="{", ".join(codec_string(format) for format in formats)}"'


def _audio_object_type(format: AACFormat) -> int:  # noqa: A002 - see above
    kind = format.config[0] >> 3
    if kind == _AAC_ESCAPE:
        return 32 + (int.from_bytes(format.config[:2], "big") >> 5 & 0x3F)
    return kind


def picture_size(sps: bytes) -> tuple[int, int]:
    """Width and height after cropping, from a sequence parameter set; (0, 0) when it cannot be read."""
    try:
        return _picture_size(_Bits(sps[1:].replace(b"\x00\x00\x03", b"\x00\x00")))
    except IndexError:
        return 0, 0


class _Bits:
    """Bits from the most significant on (ISO/IEC 14496-10, section 7.2)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the parameter set ends early")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """ue(v), section 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _MAX_GOLOMB_BITS:
                raise IndexError("no such number")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v), section 9.1.1."""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _picture_size(bits: _Bits) -> tuple[int, int]:
    """Section 7.3.2.1.1, as far as the cropping rectangle."""
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, separate = 1, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == _CHROMA_444:
            separate = bits.take(1)
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma == _CHROMA_444 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if number < _SCALING_8X8_FROM else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()
    bits.take(1)
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    frames_only = bits.take(1)
    height = map_units * 16 * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        chroma_type = 0 if separate else chroma
        unit_x = 2 if chroma_type in (1, 2) else 1
        unit_y = (2 if chroma_type == 1 else 1) * (2 - frames_only)
        width -= (bits.golomb() + bits.golomb()) * unit_x
        height -= (bits.golomb() + bits.golomb()) * unit_y
    return width, height
