"""All tracks of one source: runs of interleaved frames in, access units out."""

from collections.abc import Sequence
from typing import Protocol

from servers.wire.media import AACFormat, AccessUnit, Format, H264Format
from servers.wire.rtp.aac import AACDepacketiser
from servers.wire.rtp.clock import TrackClock
from servers.wire.rtp.h264 import H264Depacketiser
from servers.wire.rtp.packet import DOLLAR, HEADER_SIZE
from servers.wire.rtp.reception import Reception
from servers.wire.rtp.rtcp import receiver_report, sender_reports


class Depacketiser(Protocol):
    """What H264Depacketiser and AACDepacketiser have in common."""

    @property
    def format(self) -> Format:
        """The track's format as known now."""

    reception: Reception
    clock: TrackClock

    def feed(self, run: memoryview, position: int, end: int, now_us: int, units: list[AccessUnit]) -> int:
        """Take the frames that belong to its channel; returns where the first other one begins."""


def depacketiser(format_: Format, *, track: int, channel: int, payload_type: int) -> Depacketiser:
    """The depacketiser of a format."""
    match format_:
        case H264Format():
            return H264Depacketiser(format_, track=track, channel=channel, payload_type=payload_type)
        case AACFormat():
            return AACDepacketiser(format_, track=track, channel=channel, payload_type=payload_type)


class StreamReceiver:
    """Depacketises a source. `tracks` gives format, payload type and RTP channel of each."""

    def __init__(self, tracks: Sequence[tuple[Format, int, int]], *, ssrc: int) -> None:
        self._ssrc = ssrc
        self._types = {payload_type: index for index, (_, payload_type, _) in enumerate(tracks)}
        self._channels = [channel for _, _, channel in tracks]
        self._tracks = [
            depacketiser(format_, track=index, channel=channel, payload_type=payload_type)
            for index, (format_, payload_type, channel) in enumerate(tracks)
        ]
        self._on: list[Depacketiser | None] = [None] * 256
        self._reports: list[Depacketiser | None] = [None] * 256
        for track, channel in zip(self._tracks, self._channels, strict=True):
            self._on[channel] = track
        for track, channel in zip(self._tracks, self._channels, strict=True):
            if self._on[channel ^ 1] is None:
                self._reports[channel ^ 1] = track

    @property
    def formats(self) -> tuple[Format, ...]:
        """Of all tracks, as known now."""
        return tuple(track.format for track in self._tracks)

    @property
    def gaps(self) -> int:
        """Times that packets were missing, over all tracks."""
        return sum(track.reception.gaps for track in self._tracks)

    def feed(self, run: memoryview, now_us: int) -> list[AccessUnit]:
        """Take whole frames; returns the access units that they complete. `now_us` is the wall clock."""
        units: list[AccessUnit] = []
        position, end = 0, len(run)
        while position + 4 <= end:
            channel = run[position + 1]
            if track := self._on[channel]:
                position = track.feed(run, position, end, now_us, units)
                continue
            after = position + 4 + (run[position + 2] << 8 | run[position + 3])
            self._other(channel, run[position:after], now_us)
            if self._on[channel] is None:
                position = after
        return units

    def report(self, now_us: int) -> bytes:
        """Interleaved receiver reports, one for each track that was heard."""
        frames = []
        for track, channel in zip(self._tracks, self._channels, strict=True):
            if block := track.reception.block(now_us):
                report = receiver_report(self._ssrc, [block])
                frames.append(bytes((DOLLAR, channel ^ 1)) + len(report).to_bytes(2, "big") + report)
        return b"".join(frames)

    def _other(self, channel: int, frame: memoryview, now_us: int) -> None:
        """A frame that is on none of the tracks' channels: a report, or a source that mixes channels up."""
        packet = frame[4:]
        if len(packet) < 8 or packet[0] >> 6 != 2:  # noqa: PLR2004 - the smallest report; the version
            return
        if 192 <= packet[1] <= 223:  # noqa: PLR2004 - RFC 5761, 4: these are RTCP
            self._report(self._reports[channel], packet, now_us)
            return
        index = self._types.get(packet[1] & 0x7F)
        if len(packet) >= HEADER_SIZE and index is not None and self._tracks[index].reception.expected < 0:
            # Nothing ever came on the agreed channel: the source uses another one, and the payload type tells whose.
            old, track = self._channels[index], self._tracks[index]
            format_, payload_type = track.format, packet[1] & 0x7F
            moved = depacketiser(format_, track=index, channel=channel, payload_type=payload_type)
            self._on[old] = None
            self._reports[old ^ 1] = None
            self._channels[index], self._tracks[index], self._on[channel] = channel, moved, moved
            self._reports[channel ^ 1] = moved

    def _report(self, track: Depacketiser | None, packet: memoryview, now_us: int) -> None:
        for report in sender_reports(packet):
            # The SSRC tells whose report it is when the channel does not.
            owner = next((each for each in self._tracks if each.reception.ssrc == report.ssrc), track)
            if owner is not None:
                owner.clock.report(report)
                owner.reception.reported(report, now_us)
