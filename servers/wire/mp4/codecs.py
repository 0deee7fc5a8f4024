"""How MediaSource and `Content-Type` name the codecs (RFC 6381)."""

from collections.abc import Sequence

from servers.wire.media import AACFormat, Format, H264Format

_AAC_ESCAPE = 31
"""An audio object type of 31 continues in six more bits (ISO/IEC 14496-3, section 1.6.2.1)."""


def codec_string(format: Format) -> str:  # noqa: A002 - the field's name all over the media path
    """A track's codec, e.g. "avc1.42c01f" or "mp4a.40.2"."""
    if isinstance(format, H264Format):
        return f"avc1.{format.sps[1:4].hex()}"
    return f"mp4a.40.{_audio_object_type(format)}"


def mime_type(formats: Sequence[Format]) -> str:
    """What a browser's `MediaSource.isTypeSupported` and `addSourceBuffer` take."""
    kind = "video" if any(track.media == "video" for track in formats) else "audio"
    return f'{kind}/mp4; codecs="{", ".join(codec_string(track) for track in formats)}"'


def _audio_object_type(format: AACFormat) -> int:  # noqa: A002 - see above
    kind = format.config[0] >> 3
    if kind == _AAC_ESCAPE:
        return 32 + (int.from_bytes(format.config[:2], "big") >> 5 & 0x3F)
    return kind
