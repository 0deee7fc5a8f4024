"""The tracks of one viewer of recorded video on their way out: packets, reports and farewells."""

from collections.abc import Callable, Sequence

from servers.wire.media import Format, H264Format
from servers.wire.replay import Due
from servers.wire.rtp.aac import AACPacketiser
from servers.wire.rtp.h264 import H264Packetiser
from servers.wire.rtp.packet import DOLLAR
from servers.wire.rtp.replay import BREAK, Mark, goodbye, marked
from servers.wire.rtp.rtcp import SenderReport, us_to_ntp
from servers.wire.sdp import PAYLOAD_TYPE

REPORT_US = 5_000_000
"""Time of watching between sender reports of a track."""
STEP_US = 40_000
"""Between the last unit of one PLAY and the first of the next, where nothing else says it."""


class _Track:
    def __init__(self, index: int, format_: Format, random: Callable[[int], int]) -> None:
        make = H264Packetiser if isinstance(format_, H264Format) else AACPacketiser
        self._random = random
        self.packetiser = make(
            channel=2 * index, payload_type=PAYLOAD_TYPE + index, ssrc=random(32), sequence=random(16)
        )
        self.rate = format_.clock_rate
        self.report_channel = 2 * index + 1
        self.base = random(31)
        """RTP time at which the PLAY under way begins."""
        self.media_us = -STEP_US
        """Where the last unit stood."""
        self.reported_us: int | None = None
        self.parted = False

    def begin(self) -> None:
        """Another PLAY: RTP time goes on where it was (RFC 2326, appendix B)."""
        self.base = self.timestamp(self.media_us + STEP_US)
        self.media_us, self.reported_us = -STEP_US, None
        if self.parted:
            self.packetiser.ssrc, self.parted = self._random(32), False

    def timestamp(self, media_us: int) -> int:
        return self.base + media_us * self.rate // 1_000_000

    def report(self, media_us: int, time_us: int) -> bytes:
        self.reported_us = media_us
        packetiser = self.packetiser
        return self.control(
            SenderReport(
                ssrc=packetiser.ssrc,
                ntp=us_to_ntp(time_us),
                timestamp=self.timestamp(media_us) & 0xFFFFFFFF,
                packets=packetiser.packets,
                octets=packetiser.octets,
            ).serialise()
        )

    def control(self, packet: bytes) -> bytes:
        return bytes((DOLLAR, self.report_channel)) + len(packet).to_bytes(2, "big") + packet


class ReplaySender:
    """Makes interleaved frames of what is due. `tracks` are the indices that were set up, `random(n)` gives n bits."""

    def __init__(self, formats: Sequence[Format], random: Callable[[int], int]) -> None:
        self._tracks = [_Track(index, format_, random) for index, format_ in enumerate(formats)]
        self._wanted: frozenset[int] = frozenset()
        self._extension = False
        self._cseq = 0

    def begin(self, tracks: frozenset[int], *, extension: bool, cseq: int) -> list[tuple[int, int, int]]:
        """Another PLAY; of each track its index, the next sequence number and the RTP time of the first unit."""
        self._wanted, self._extension, self._cseq = tracks, extension, cseq
        for track in self._tracks:
            track.begin()
        return self.places(tracks)

    def resume(self, *, cseq: int) -> None:
        """The same PLAY goes on after a pause."""
        self._cseq = cseq

    def places(self, tracks: frozenset[int]) -> list[tuple[int, int, int]]:
        """Of each track its index, the next sequence number and the RTP time at which the PLAY begins."""
        return [
            (index, track.packetiser.sequence, track.base & 0xFFFFFFFF)
            for index, track in enumerate(self._tracks)
            if index in tracks
        ]

    def frames(self, due: Due) -> bytes:
        """The frames of one unit, behind a report when one is due; nothing for a track that was not set up."""
        unit = due.unit
        if unit.track not in self._wanted:
            return b""
        track = self._tracks[unit.track]
        report = b""
        # After a gap, RTP time and the time of the recording go together in another way than before.
        if track.reported_us is None or due.flags & BREAK or due.media_us - track.reported_us >= REPORT_US:
            report = track.report(due.media_us, unit.time_us)
        track.media_us = due.media_us
        frames = track.packetiser.packetise(unit.data, track.timestamp(due.media_us))
        if self._extension:
            frames = marked(frames, Mark(unit.time_us, due.flags, self._cseq))
        return report + frames

    def goodbye(self) -> bytes:
        """That nothing more comes on any track; the next PLAY has new senders (RFC 3550, 6.6)."""
        parts = []
        for index, track in enumerate(self._tracks):
            if index in self._wanted:
                track.parted = True
                parts.append(track.control(goodbye(track.packetiser.ssrc)))
        return b"".join(parts)
