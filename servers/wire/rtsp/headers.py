"""The headers that have a structure: each class reads (`parse`) and writes (`serialise`) one.

`parse` raises `MalformedError`. Peers write these in many ways, so reading is lenient where the meaning is clear.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

from servers.wire.rtsp.errors import MalformedError

# --- Transport (RFC 2326, 12.39) ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """One way to carry a track's packets."""

    protocol: str = "RTP/AVP/TCP"
    unicast: bool = True
    interleaved: tuple[int, int] | None = None
    """Channels of RTP and RTCP."""
    mode: str = ""
    ssrc: int | None = None

    @property
    def tcp(self) -> bool:
        """Whether packets travel inside the RTSP connection."""
        return self.protocol == "RTP/AVP/TCP" and self.unicast

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read one transport specification."""
        protocol, *parameters = (part.strip() for part in value.split(";"))
        if not protocol.upper().startswith("RTP/"):
            raise MalformedError(f"Transport begins with {protocol[:40]!r} instead of a protocol such as RTP/AVP/TCP")
        unicast, interleaved, mode, ssrc = True, None, "", None
        for parameter in parameters:
            name, _, argument = (part.strip() for part in parameter.partition("="))
            match name.lower():
                case "multicast":
                    unicast = False
                case "interleaved":
                    interleaved = _channels(argument)
                case "mode":
                    mode = argument.strip('"').upper()
                case "ssrc":
                    # Eight hexadecimal digits by the book; some devices send spaces, fewer digits or nonsense.
                    digits = argument.split("/")[0].strip()
                    ssrc = int(digits, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,8}", digits) else None
        return cls(protocol=protocol.upper(), unicast=unicast, interleaved=interleaved, mode=mode, ssrc=ssrc)

    @classmethod
    def parse_all(cls, value: str) -> tuple[Self, ...]:
        """Read the whole header: specifications in order of preference."""
        return tuple(cls.parse(part) for part in value.split(",") if part.strip())

    def serialise(self) -> str:
        """The header's value."""
        parts = [self.protocol, "unicast" if self.unicast else "multicast"]
        if self.interleaved is not None:
            parts.append(f"interleaved={self.interleaved[0]}-{self.interleaved[1]}")
        if self.ssrc is not None:
            parts.append(f"ssrc={self.ssrc:08X}")
        if self.mode:
            parts.append(f'mode="{self.mode}"')
        return ";".join(parts)


def _channels(value: str) -> tuple[int, int]:
    first, _, second = value.partition("-")
    try:
        low = int(first)
        high = int(second) if second.strip() else low + 1
    except ValueError:
        raise MalformedError(f"Transport has interleaved={value[:40]!r} instead of two channels such as 0-1") from None
    if not (0 <= low <= 255 and 0 <= high <= 255):  # noqa: PLR2004 - one byte holds the channel, RFC 2326, 10.12
        raise MalformedError(f"Transport has interleaved={value[:40]!r}; channels go from 0 to 255")
    return low, high


# --- Session (12.37) ----------------------------------------------------------------------------------------------

DEFAULT_SESSION_TIMEOUT_S = 60
"""RFC 2326, 12.37: what a server means that names no timeout."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session's id, and after how many seconds of silence it ends."""

    id: str
    timeout_s: int = DEFAULT_SESSION_TIMEOUT_S

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the header."""
        name, *parameters = (part.strip() for part in value.split(";"))
        if not name:
            raise MalformedError("Session is empty")
        for parameter in parameters:
            key, _, argument = (part.strip() for part in parameter.partition("="))
            if key.lower() == "timeout" and argument.isascii() and argument.isdigit() and 0 < int(argument) < 86_400:  # noqa: PLR2004 - a day
                return cls(name, int(argument))
        return cls(name)

    def serialise(self) -> str:
        """The header's value."""
        return f"{self.id};timeout={self.timeout_s}"


# --- Range (12.29) ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A span of time: either on the wall clock (`clock=`), or relative to the stream (`npt=`)."""

    start: datetime | float | None = None
    """An aware datetime (`clock=`), seconds (`npt=`), or none for now."""
    end: datetime | float | None = None
    """None when open."""
    at: datetime | None = None
    """When it is to begin, on the server's clock (`;time=`); none for at once."""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the header; `smpte` is not taken."""
        said, *parameters = value.split(";")
        unit, equals, span = said.strip().partition("=")
        at = None
        for parameter in parameters:
            name, _, argument = (part.strip() for part in parameter.partition("="))
            if name.lower() == "time":
                at = _clock(argument)
        if not equals or "-" not in span:
            raise MalformedError(f"Range {value[:80]!r} is not a span such as npt=0- or clock=20260131T120000Z-")
        first, _, last = (part.strip() for part in span.partition("-"))
        match unit.strip().lower():
            case "npt":
                return cls(start=_npt(first), end=_npt(last), at=at)
            case "clock":
                return cls(start=_clock(first), end=_clock(last), at=at)
        raise MalformedError(f"Range counts in {unit[:20]!r}; npt and clock are understood")

    def serialise(self) -> str:
        """The header's value."""
        when = "" if self.at is None else f";time={_write_clock(self.at)}"
        if isinstance(self.start, datetime) or isinstance(self.end, datetime):
            return f"clock={_write_clock(self.start)}-{_write_clock(self.end)}{when}"
        return f"npt={'now' if self.start is None else _seconds(self.start)}-{_seconds(self.end)}{when}"


def _seconds(value: datetime | float | None) -> str:
    assert not isinstance(value, datetime)
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _npt(value: str) -> float | None:
    if value in ("", "now"):
        return None
    parts = value.split(":")
    try:
        seconds = 0.0
        for part in parts:
            seconds = seconds * 60 + float(part)
    except ValueError:
        raise MalformedError(f"Range has {value[:40]!r} where seconds or h:mm:ss stand") from None
    if len(parts) > 3 or not 0 <= seconds < 1e9:  # noqa: PLR2004 - hours, minutes, seconds; and some 30 years
        raise MalformedError(f"Range has {value[:40]!r} where seconds or h:mm:ss stand")
    return seconds


def parse_clock(value: str) -> datetime:
    """Read a UTC time such as 20260131T120000.5Z; raises `MalformedError`."""
    moment = _clock(value)
    if moment is None:
        raise MalformedError("an empty time where one such as 20260131T120000.5Z stands")
    return moment


def _clock(value: str) -> datetime | None:
    if not value:
        return None
    found = re.fullmatch(r"(\d{8}T\d{6})(?:\.(\d{1,6})\d*)?Z", value)
    try:
        moment = datetime.strptime(found[1] if found else "", "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise MalformedError(f"Range has {value[:40]!r} where a time such as 20260131T120000.5Z stands") from None
    return moment.replace(microsecond=int(((found and found[2]) or "").ljust(6, "0")))


def _write_clock(value: datetime | float | None) -> str:
    if not isinstance(value, datetime):
        return ""
    moment = value.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


# --- Scale, Speed (12.34, 12.35) ----------------------------------------------------------------------------------


def parse_number(name: str, value: str) -> float | None:
    """Read Scale or Speed; none when the header is absent."""
    if not value:
        return None
    if not re.fullmatch(r"\s*-?\d{1,4}(\.\d{0,6})?\s*", value):
        raise MalformedError(f"{name} is {value[:40]!r} instead of a number such as 1.0")
    return float(value)


# --- Rate-Control, Frames (ONVIF Streaming Specification, 6.4 and 6.5) -----------------------------------------------

MAX_INTERVAL_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """How recorded video is to be sent."""

    paced: bool = True
    """Rate-Control: by the server's clock; else as fast as the client reads."""
    key_frames: bool = False
    """Frames: intra."""
    interval_us: int = 0
    """Between two key frames, at least."""

    @classmethod
    def parse(cls, rate_control: str, frames: str) -> Self:
        """Read both headers; empty ones are absent. `Frames: predicted` is what is sent anyway."""
        kind, _, interval = (part.strip() for part in frames.lower().partition("/"))
        if rate_control.strip().lower() not in ("", "yes", "no"):
            raise MalformedError(f"Rate-Control is {rate_control[:40]!r} instead of yes or no")
        if kind not in ("", "all", "predicted", "intra") or not (
            not interval or (interval.isascii() and interval.isdigit())
        ):
            raise MalformedError(f"Frames is {frames[:40]!r} instead of intra, intra/1000 or predicted")
        milliseconds = min(int(interval[:9] or "0"), MAX_INTERVAL_MS)
        return cls(
            paced=rate_control.strip().lower() != "no", key_frames=kind == "intra", interval_us=1000 * milliseconds
        )


# --- RTP-Info (12.33) ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RTPInfo:
    """Where a track begins: the first packet's sequence number, and the RTP time of the range's start."""

    url: str
    seq: int | None = None
    rtptime: int | None = None

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read one track's part."""
        url, seq, rtptime = "", None, None
        for parameter in value.split(";"):
            name, _, argument = (part.strip() for part in parameter.partition("="))
            match name.lower():
                case "url":
                    url = argument.strip('"')
                case "seq" if argument.isascii() and argument.isdigit():
                    seq = int(argument) & 0xFFFF
                case "rtptime" if argument.isascii() and argument.isdigit():
                    rtptime = int(argument) & 0xFFFFFFFF
        return cls(url=url, seq=seq, rtptime=rtptime)

    @classmethod
    def parse_all(cls, value: str) -> tuple[Self, ...]:
        """Read the whole header, one part for each track."""
        return tuple(cls.parse(part) for part in re.split(r",\s*(?=url\s*=)", value) if part.strip())

    def serialise(self) -> str:
        """One track's part; join several with commas."""
        parts = [f"url={quote(self.url, safe=':/?=&%@[]*+!$')}"]
        if self.seq is not None:
            parts.append(f"seq={self.seq}")
        if self.rtptime is not None:
            parts.append(f"rtptime={self.rtptime}")
        return ";".join(parts)
