"""What flows through the media path: formats of tracks, and the access units on them."""

from dataclasses import dataclass, field
from typing import Literal

VIDEO_CLOCK_RATE = 90_000
"""RTP ticks a second of all video payloads in use here (RFC 6184, section 8.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Format:
    """An H.264 video track (ISO/IEC 14496-10). Parameter sets are NAL units without length or start code."""

    sps: bytes
    pps: bytes
    width: int = 0
    """In pixels, after cropping; 0 while unknown."""
    height: int = 0
    codec: Literal["h264"] = "h264"
    media: Literal["video"] = "video"
    clock_rate: int = VIDEO_CLOCK_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class AACFormat:
    """An AAC audio track (ISO/IEC 14496-3), one raw frame without ADTS header per access unit."""

    config: bytes
    """AudioSpecificConfig."""
    sample_rate: int
    channels: int
    codec: Literal["aac"] = "aac"
    media: Literal["audio"] = "audio"

    @property
    def clock_rate(self) -> int:
        """RTP ticks a second: the sample rate (RFC 3640, section 3.3.6)."""
        return self.sample_rate


Format = H264Format | AACFormat


@dataclass(slots=True, kw_only=True, eq=False)
class AccessUnit:
    """One picture or one audio frame.

    Video holds NAL units with 4-byte lengths, as MP4 stores them; a key frame begins with its parameter sets
    (SPS, PPS) in band. Created once per picture and shared by recorder, viewers and detectors: never change one.
    """

    track: int
    """Index into the stream's formats."""
    timestamp: int
    """RTP ticks at the track's clock rate, unwrapped: it does not overflow at 2**32."""
    key: bool
    """Whether decoding can begin here. Always true for audio."""
    data: bytes = field(repr=False)
    received_us: int
    """Arrival by this machine's clock, µs since 1970 UTC."""
    camera_time_us: int | None = None
    """Capture by the camera's clock, from its RTCP sender report; none before the first one."""
    format: Format | None = field(default=None, repr=False)
    """Set on a video key frame whose parameter sets differ from those before: the track's new format."""
