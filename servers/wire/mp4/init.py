"""The initialisation segment: what the tracks are, before any of their samples (ISO/IEC 14496-12, section 8)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from uuid import UUID

from servers.wire.h264 import picture_size
from servers.wire.media import AACFormat, Format, H264Format
from servers.wire.mp4.boxes import Mp4Error, box, full_box

KEY_FLAGS = 0x0200_0000
"""A sample on which decoding can begin: it depends on no other (section 8.8.3.1)."""
LABEL_ID = UUID("6b1d61b2-5a35-4b0e-9a53-5649474c0001").bytes
"""Names the project's own box, which holds a `Label`."""
MOVIE_TIMESCALE = 1000
UNITY_MATRIX = Struct(">9I").pack(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)
_UNDETERMINED = 0x55C4
"""The language "und", five bits a letter."""
_HIGH_PROFILES = frozenset({100, 110, 122, 144})
_MAX_DESCRIPTOR = 127
_LONGEST = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Whose footage a segment file holds, so that an index can be rebuilt from files alone."""

    camera_id: str
    stream: str

    def encode(self) -> bytes:
        """The label's box."""
        text = json.dumps({"camera_id": self.camera_id, "stream": self.stream}, separators=(",", ":"))
        return box(b"uuid", LABEL_ID, text.encode())

    @classmethod
    def decode(cls, body: bytes) -> "Label | None":
        """The label in a `uuid` box's content; none when it is somebody else's box."""
        if body[:16] != LABEL_ID:
            return None
        try:
            fields = json.loads(body[16:])
            return cls(camera_id=str(fields["camera_id"]), stream=str(fields["stream"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Mp4Error("the label of the segment cannot be read") from error


def init_segment(formats: Sequence[Format], *, label: Label | None = None) -> bytes:
    """`ftyp` and `moov`; track n of the formats is track id n + 1, at the format's clock rate."""
    tracks = b"".join(_track(number, track) for number, track in enumerate(formats, 1))
    extends = b"".join(
        full_box(b"trex", 0, 0, Struct(">5I").pack(number, 1, 0, 0, KEY_FLAGS)) for number in range(1, len(formats) + 1)
    )
    movie_header = Struct(">4IIH10x36s24xI").pack(
        0, 0, MOVIE_TIMESCALE, 0, 0x10000, 0x100, UNITY_MATRIX, len(formats) + 1
    )
    return b"".join(
        (
            # iso5 is the first brand whose readers know default-base-is-moof, which our fragments use.
            box(b"ftyp", b"iso5", (512).to_bytes(4, "big"), b"iso5iso6mp41"),
            label.encode() if label else b"",
            box(b"moov", full_box(b"mvhd", 0, 0, movie_header), tracks, box(b"mvex", extends)),
        )
    )


def _track(number: int, format: Format) -> bytes:  # noqa: A002 - the field's name all over the media path
    tables = box(
        b"stbl",
        full_box(b"stsd", 0, 0, (1).to_bytes(4, "big"), sample_entry(format)),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    return box(b"trak", track_header(number, format, 0), media_box(format, 0, tables))


def track_header(number: int, format: Format, duration: int) -> bytes:  # noqa: A002 - see above
    """The header of a track (section 8.3.2); `duration` in ticks of the movie's clock."""
    width, height = _size(format)
    volume = 0 if isinstance(format, H264Format) else 0x100
    return full_box(
        b"tkhd",
        0,
        3,
        Struct(">2II4xI8x2HH2x36s2I").pack(
            0, 0, number, min(duration, _LONGEST), 0, 0, volume, UNITY_MATRIX, width << 16, height << 16
        ),
    )


def media_box(format: Format, duration: int, tables: bytes) -> bytes:  # noqa: A002 - see above
    """What a track holds (section 8.4), around its sample table; `duration` in ticks of the track's clock."""
    if isinstance(format, H264Format):
        handler, media_header = b"vide", full_box(b"vmhd", 0, 1, bytes(8))
    else:
        handler, media_header = b"soun", full_box(b"smhd", 0, 0, bytes(4))
    media = Struct(">QQIQ2H").pack(0, 0, format.clock_rate, duration, _UNDETERMINED, 0)
    if duration <= _LONGEST:
        media = Struct(">4I2H").pack(0, 0, format.clock_rate, duration, _UNDETERMINED, 0)
    data_is_here = box(b"dinf", full_box(b"dref", 0, 0, (1).to_bytes(4, "big"), full_box(b"url ", 0, 1)))
    return box(
        b"mdia",
        full_box(b"mdhd", int(duration > _LONGEST), 0, media),
        full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"Vigil\0"),
        box(b"minf", media_header, data_is_here, tables),
    )


def sample_entry(format: Format) -> bytes:  # noqa: A002 - see above
    """What decoders need to know before the first sample (section 8.5.2)."""
    return _avc_entry(format, *_size(format)) if isinstance(format, H264Format) else _aac_entry(format)


def _size(format: Format) -> tuple[int, int]:  # noqa: A002 - see above
    if not isinstance(format, H264Format):
        return 0, 0
    if format.width and format.height:
        return format.width, format.height
    size = picture_size(format.sps)
    return size.width, size.height


def _avc_entry(format: H264Format, width: int, height: int) -> bytes:  # noqa: A002 - see above
    """ISO/IEC 14496-15, section 5.3.3.1, for access units with 4-byte lengths."""
    sps, pps = format.sps, format.pps
    if len(sps) < 4:  # noqa: PLR2004 - profile, constraints and level are bytes 1 to 3
        raise Mp4Error("the track has no sequence parameter set")
    configuration = b"".join((
        b"\x01", sps[1:4], b"\xff\xe1", len(sps).to_bytes(2, "big"), sps, b"\x01", len(pps).to_bytes(2, "big"), pps,
        # Chroma 4:2:0 at 8 bits, which is what cameras send in the high profile.
        b"\xfd\xf8\xf8\x00" if sps[1] in _HIGH_PROFILES else b"",
    ))  # fmt: skip
    visual = Struct(">6xH16x2H2I4xH32xHh").pack(1, width, height, 0x48_0000, 0x48_0000, 1, 24, -1)
    return box(b"avc1", visual, box(b"avcC", configuration))


def _descriptor(tag: int, body: bytes) -> bytes:
    if len(body) > _MAX_DESCRIPTOR:
        raise Mp4Error("the audio configuration is too long")
    return bytes((tag, len(body))) + body


def _aac_entry(format: AACFormat) -> bytes:  # noqa: A002 - see above
    """ISO/IEC 14496-14, section 5.6, around an elementary stream descriptor of ISO/IEC 14496-1."""
    decoder = _descriptor(4, b"\x40\x15" + bytes(11) + _descriptor(5, format.config))
    elementary = _descriptor(3, b"\x00\x00\x00" + decoder + _descriptor(6, b"\x02"))
    # The field holds 16 bits; above that rate readers go by the configuration.
    rate = format.sample_rate if format.sample_rate < 1 << 16 else 0
    audio = Struct(">6xH8x2H4xI").pack(1, format.channels, 16, rate << 16)
    return box(b"mp4a", audio, full_box(b"esds", 0, 0, elementary))
