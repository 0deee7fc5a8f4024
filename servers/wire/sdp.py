"""Session descriptions (RFC 8866) of H.264 (RFC 6184) and AAC (RFC 3640, AAC-hbr) tracks."""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from servers.wire.h264 import PPS, SPS, picture_size
from servers.wire.media import AACFormat, Format, H264Format
from servers.wire.rtsp.errors import MalformedError

MAX_MEDIA = 32
"""Media sections read; more are damage or malice."""

PAYLOAD_TYPE = 96
"""RTP payload type of our first track, the next has the next; dynamic ones begin here (RFC 3551, section 3)."""

# ISO/IEC 14496-3, 1.6.3.4.
_SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One track that can be taken."""

    format: Format
    payload_type: int
    control: str
    """As written; resolve it against the description's base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a source offers."""

    media: tuple[Media, ...]
    control: str = ""
    """Of the whole."""
    names: tuple[str, ...] = ()
    """All that was offered, taken or not, e.g. ("video H265", "audio PCMU"); for messages."""


@dataclass(slots=True)
class _Section:
    kind: str
    protocol: str
    payload_types: list[int]
    attributes: list[tuple[str, str]]

    def attribute(self, name: str) -> str:
        return next((value for key, value in self.attributes if key == name), "")

    def of_payload(self, name: str, payload_type: int) -> str:
        """The value of `a=<name>:<payload type> <value>`."""
        for key, value in self.attributes:
            number, _, rest = value.partition(" ")
            if key == name and number == str(payload_type):
                return rest.strip()
        return ""


def parse(data: bytes) -> Description:
    """Read a description; what we do not take is only named. Raises `MalformedError`."""
    text = data.decode("utf-8", "replace")
    session = _Section("", "", [], [])
    sections: list[_Section] = []
    known = False
    for raw in text.splitlines():
        line = raw.strip()
        key, equals, value = line[:1], line[1:2], line[2:].strip()
        if equals != "=":
            continue  # Some devices pad with empty or broken lines.
        known = known or key == "v"
        if key == "m":
            if len(sections) >= MAX_MEDIA:
                raise MalformedError(f"a description of more than {MAX_MEDIA} media")
            sections.append(_media_line(value))
        elif key == "a":
            name, _, argument = value.partition(":")
            (sections[-1] if sections else session).attributes.append((name.strip().lower(), argument.strip()))
    if not known and not sections:
        raise MalformedError("a description that is not SDP")
    media, names = [], []
    for section in sections:
        found = [_taken(section, number) for number in section.payload_types]
        names.append(_name(section))
        media += [item for item in found if item][:1]
    return Description(media=tuple(media), control=session.attribute("control"), names=tuple(names))


def _media_line(value: str) -> _Section:
    words = value.split()
    if len(words) < 3:  # noqa: PLR2004 - kind, port, protocol
        raise MalformedError(f"a media line {value[:60]!r} without kind, port and protocol")
    numbers = [int(word) for word in words[3:] if word.isascii() and word.isdigit() and len(word) < 4]  # noqa: PLR2004 - 0 to 127
    return _Section(words[0].lower(), words[2].upper(), numbers, [])


def _name(section: _Section) -> str:
    numbers = section.payload_types
    codec = section.of_payload("rtpmap", numbers[0]).split("/")[0] if numbers else ""
    fallback = {0: "PCMU", 8: "PCMA", 26: "JPEG"}.get(numbers[0], f"payload {numbers[0]}") if numbers else ""
    return f"{section.kind} {codec or fallback}".strip()


def _taken(section: _Section, payload_type: int) -> Media | None:
    if not section.protocol.startswith("RTP/"):
        return None
    codec, _, rest = section.of_payload("rtpmap", payload_type).partition("/")
    rate, _, channels = rest.partition("/")
    parameters = _parameters(section.of_payload("fmtp", payload_type))
    make = partial(Media, payload_type=payload_type, control=section.attribute("control"))
    if section.kind == "video" and codec.strip().upper() == "H264":
        return make(format=_h264(parameters))
    if section.kind == "audio" and codec.strip().lower() == "mpeg4-generic" and _takes_aac(parameters):
        format_ = _aac(parameters, rate.strip(), channels.strip())
        return make(format=format_) if format_ else None
    return None


def _parameters(value: str) -> dict[str, str]:
    found = {}
    for part in value.split(";"):
        name, _, argument = part.partition("=")
        found[name.strip().lower()] = argument.strip()
    return found


def _h264(parameters: dict[str, str]) -> H264Format:
    """The format; parameter sets are empty when the source does not describe them: then they come in band."""
    sps = pps = b""
    for word in parameters.get("sprop-parameter-sets", "").split(","):
        nal = _decode(word)
        if nal and nal[0] & 31 == SPS and not sps:
            sps = nal
        elif nal and nal[0] & 31 == PPS and not pps:
            pps = nal
    size = picture_size(sps)
    return H264Format(sps=sps, pps=pps, width=size.width, height=size.height)


def _decode(word: str) -> bytes:
    word = re.sub(r"\s", "", word).rstrip("=")
    try:
        nal = b64decode(word + "=" * (-len(word) % 4), validate=True)
    except ValueError:
        return b""
    # Some devices put the start code of a byte stream before, or its zero bytes after.
    return nal.removeprefix(b"\0\0\0\1").removeprefix(b"\0\0\1").rstrip(b"\0")


def _takes_aac(parameters: dict[str, str]) -> bool:
    # RFC 3640, 3.3.6: AAC-hbr; the lengths may be left out by those who name the mode.
    return (
        parameters.get("mode", "AAC-hbr").lower() == "aac-hbr"
        and parameters.get("sizelength", "13") == "13"
        and parameters.get("indexlength", "3") == "3"
    )


def _aac(parameters: dict[str, str], rate: str, channels: str) -> AACFormat | None:
    try:
        config = bytes.fromhex(parameters.get("config", ""))
    except ValueError:
        config = b""
    described = parse_audio_config(config)
    sample_rate = int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 7 else described[0]  # noqa: PLR2004 - 192000
    count = described[1] or (int(channels) if channels in ("1", "2") else 1)
    if not sample_rate:
        return None
    if not described[0]:
        config = _audio_config(sample_rate, count)
    return AACFormat(config=config, sample_rate=sample_rate, channels=count) if config else None


def parse_audio_config(config: bytes) -> tuple[int, int]:
    """Sample rate and channels of an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1); zeros when it cannot be read."""
    if len(config) < 2:  # noqa: PLR2004 - the shortest there is
        return 0, 0
    bits = int.from_bytes(config[:8].ljust(8, b"\0"), "big")
    position = 59
    if bits >> position == 31:  # noqa: PLR2004 - an escape: six more bits name the object type
        position -= 6
    position -= 4
    index = bits >> position & 15
    if index == 15:  # noqa: PLR2004 - an escape: 24 bits give the rate
        position -= 24
        rate = bits >> position & 0xFFFFFF
    else:
        rate = _SAMPLE_RATES[index] if index < len(_SAMPLE_RATES) else 0
    channels = bits >> position - 4 & 15
    return rate, 8 if channels == 7 else channels  # noqa: PLR2004 - configuration 7 is 7.1


def _audio_config(sample_rate: int, channels: int) -> bytes:
    """An AudioSpecificConfig of AAC-LC for a source that gave none."""
    if sample_rate not in _SAMPLE_RATES:
        return b""
    return (2 << 11 | _SAMPLE_RATES.index(sample_rate) << 7 | channels << 3).to_bytes(2, "big")


def serialise(
    formats: Sequence[Format],
    *,
    session_id: str = "0",
    name: str = "Vigil",
    control: str = "trackID=",
    range_: str = "npt=now-",
) -> bytes:
    """Describe a stream; the control of each track is `control` and its index, relative to Content-Base."""
    lines = ["v=0", f"o=- {session_id} 1 IN IP4 127.0.0.1", f"s={name}", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    lines.append(f"a=range:{range_}")
    for index, format_ in enumerate(formats):
        number = PAYLOAD_TYPE + index
        lines.append(f"m={format_.media} 0 RTP/AVP {number}")
        if isinstance(format_, H264Format):
            lines.append(f"a=rtpmap:{number} H264/90000")
            parameters = "packetization-mode=1"
            if len(format_.sps) > 3:  # noqa: PLR2004 - profile and level are its bytes 1 to 3
                sets = ",".join(b64encode(nal).decode() for nal in (format_.sps, format_.pps))
                parameters += f";profile-level-id={format_.sps[1:4].hex().upper()};sprop-parameter-sets={sets}"
            lines.append(f"a=fmtp:{number} {parameters}")
            if format_.width:
                lines.append(f"a=x-dimensions:{format_.width},{format_.height}")
        else:
            lines.append(f"a=rtpmap:{number} mpeg4-generic/{format_.sample_rate}/{format_.channels}")
            lines.append(
                f"a=fmtp:{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
                f"indexdeltalength=3;config={format_.config.hex().upper()}"
            )
        lines.append(f"a=control:{control}{index}")
    return ("\r\n".join(lines) + "\r\n").encode()
