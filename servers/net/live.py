"""One camera's stream, given to all who watch it.

An access unit is packetised once and every viewer is handed the same bytes object, so a viewer costs little more than
the system call. One who joins gets the current group of pictures (GOP) at once; one who is too slow skips to the next
key frame. Nothing here waits for a viewer.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from broker.process import logger
from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.rtp.aac import AACPacketiser
from servers.wire.rtp.h264 import H264Packetiser
from servers.wire.rtp.packet import DOLLAR
from servers.wire.rtp.rtcp import SenderReport, us_to_ntp
from servers.wire.rtsp.headers import Range, Replaying
from servers.wire.sdp import PAYLOAD_TYPE

log = logger(__name__)

MAX_BACKLOG = 4 * 1024 * 1024
"""Bytes that may wait for one viewer: some seconds of a good stream. Beyond, it skips to the next key frame."""
MAX_GOP = 32 * 1024 * 1024
"""Bytes kept for those who join. Beyond, they wait for the next key frame."""
REPORT_US = 5_000_000
"""Time between sender reports of a track."""
JUMP_US = 10_000_000
"""How far RTP time may leave arrival time before it counts as a new time line, e.g. of a camera that was restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayOptions:
    """What a viewer asked for with PLAY."""

    tracks: frozenset[int] | None = None
    """Indices that it set up; none for all."""
    range: Range | None = None
    scale: float | None = None
    speed: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """All headers of the request, by lower-case name (rate-control, require…)."""
    replaying: Replaying = field(default_factory=Replaying)
    extension: bool = False
    """Whether the session has asked for the RTP header extension of replay."""
    cseq: int = 0
    base: str = ""
    """What the addresses of tracks begin with."""


class Viewer(Protocol):
    """Who takes interleaved frames."""

    def send(self, data: bytes) -> None:
        """Take the `$` frames of one or more access units, never a part of one."""

    def backlog(self) -> int:
        """Bytes taken that the network has not taken yet."""

    def ended(self, reason: str) -> None:
        """No more will come."""


class Source(Protocol):
    """What RtspServer plays from: a LiveStream, later a recording."""

    def join(self, viewer: Viewer, options: PlayOptions | None = None) -> Mapping[str, str]:
        """Begin to send; returns headers for the answer to PLAY, which reaches the viewer before any frame does."""

    def leave(self, viewer: Viewer) -> None:
        """Send no more; harmless for one who is not there."""


@runtime_checkable
class Recording(Source, Protocol):
    """A source that has to look for the beginning of each PLAY, and keeps its place from PAUSE to PLAY."""

    async def prepare(self, options: PlayOptions) -> None:
        """Find where PLAY begins; raises as a Provider's methods do. `join` follows."""

    def close(self) -> None:
        """The session is over; `leave` came before."""


class _Track:
    """One track on its way out: its packets, its time line, its reports."""

    def __init__(self, index: int, format_: Format) -> None:
        make = H264Packetiser if isinstance(format_, H264Format) else AACPacketiser
        self.packetiser = make(
            channel=2 * index,
            payload_type=PAYLOAD_TYPE + index,
            ssrc=secrets.randbits(32),
            sequence=secrets.randbits(16),
        )
        self.shape = shape(format_)
        self._report_channel = 2 * index + 1
        self._rate = format_.clock_rate
        self._offset = secrets.randbits(31)
        self._last: tuple[int, int] | None = None
        """RTP time sent and arrival, µs, of the last access unit."""
        self._clock = (0, 0)
        """RTP time sent and the wall clock that belongs to it, µs."""
        self._reported_us = -REPORT_US
        self.restarted = False

    def frames(self, unit: AccessUnit) -> bytes:
        """The access unit's frames, behind a sender report when one is due."""
        timestamp = unit.timestamp + self._offset
        if self._last is not None:
            before, before_us = self._last
            should = before + (unit.received_us - before_us) * self._rate // 1_000_000
            if self.restarted or abs(timestamp - should) > JUMP_US * self._rate // 1_000_000:
                self._offset += max(should, before + 1) - timestamp
                timestamp = unit.timestamp + self._offset
        self.restarted = False
        self._last = (timestamp, unit.received_us)
        self._clock = (timestamp, unit.received_us if unit.camera_time_us is None else unit.camera_time_us)
        if 0 <= unit.received_us - self._reported_us < REPORT_US:
            return self.packetiser.packetise(unit.data, timestamp)
        self._reported_us = unit.received_us
        return self.report() + self.packetiser.packetise(unit.data, timestamp)

    def report(self, first: AccessUnit | None = None) -> bytes:
        """A sender report in its frame; nothing before the first access unit.

        It tells the moment of the last access unit or, for one who joins, of the first that he gets: players count
        from the moment of the first report, and what lies before it would have negative times.
        """
        if self._last is None:
            return b""
        timestamp, time_us = self._clock
        if first is not None:
            ahead = timestamp - (first.timestamp + self._offset)
            timestamp, time_us = timestamp - ahead, time_us - ahead * 1_000_000 // self._rate
        report = SenderReport(
            ssrc=self.packetiser.ssrc,
            ntp=us_to_ntp(time_us),
            timestamp=timestamp,
            packets=self.packetiser.packets,
            octets=self.packetiser.octets,
        ).serialise()
        return bytes((DOLLAR, self._report_channel)) + len(report).to_bytes(2, "big") + report


@dataclass(slots=True, eq=False)
class _Place:
    """One viewer's place."""

    viewer: Viewer
    tracks: frozenset[int] | None
    waiting: bool = False
    """For a key frame: because none was there at joining, or because the viewer was too slow."""


class LiveStream:
    """One camera's stream: access units go in, every viewer gets the same interleaved frames.

    All calls belong to one event loop.
    """

    def __init__(self, formats: Sequence[Format]) -> None:
        self._formats = tuple(formats)
        self._tracks: list[_Track] = []
        self._video: int | None = None
        self._places: dict[int, _Place] = {}
        self._gop: list[AccessUnit] = []
        self._gop_bytes = 0
        self._frames: list[bytes] = []
        """Of the first access units of the GOP: those that somebody watched."""
        self._skipped = 0
        self._lay_tracks()

    @property
    def formats(self) -> tuple[Format, ...]:
        """The tracks as they are now."""
        return self._formats

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._places)

    @property
    def skipped(self) -> int:
        """Access units that slow viewers missed, all together."""
        return self._skipped

    def describe(self, formats: Sequence[Format]) -> None:
        """The camera was connected (again), before its first access unit.

        Viewers stay, and see time go on, when the tracks are of the same kinds as before; else they are ended.
        """
        before, self._formats = self._formats, tuple(formats)
        self._clear_gop()
        if [shape(each) for each in before] == [shape(each) for each in self._formats]:
            for track in self._tracks:
                track.restarted = True
            for place in self._places.values():
                place.waiting = self._video is not None
            return
        self.close("the camera's tracks have changed")
        self._lay_tracks()

    def push(self, units: Sequence[AccessUnit]) -> None:
        """Hand on what the camera sent."""
        for unit in units:
            self._keep(unit)
        if not self._places:
            return
        frames = [self._frames_of(unit) for unit in units]
        whole = frames[0] if len(frames) == 1 else b"".join(frames)
        for place in tuple(self._places.values()):
            if place.waiting or place.tracks is not None or place.viewer.backlog() > MAX_BACKLOG:
                self._send_some(place, units, frames)
            else:
                place.viewer.send(whole)

    def join(self, viewer: Viewer, options: PlayOptions | None = None) -> Mapping[str, str]:
        """Send the current group of pictures at once, then all that follows. Range and Scale have no meaning live."""
        all_tracks = frozenset(range(len(self._tracks)))
        wanted = all_tracks if options is None or options.tracks is None else options.tracks & all_tracks
        sees = self._video in wanted
        place = _Place(viewer, None if wanted == all_tracks else wanted, waiting=sees and not self._gop)
        self._places[id(viewer)] = place
        for unit in self._gop[len(self._frames) :]:
            self._frames.append(self._tracks[unit.track].frames(unit))
        # The clock first, so that a player knows from the first frame on how sound and picture belong together.
        begins = {unit.track: unit for unit in reversed(self._gop)}
        parts = [self._tracks[index].report(begins.get(index)) for index in sorted(wanted)]
        if sees:
            gop = zip(self._gop, self._frames, strict=True)
            parts += [frames for unit, frames in gop if unit.track in wanted]
        if data := b"".join(parts):
            viewer.send(data)
        return {"Range": "npt=now-"}

    def leave(self, viewer: Viewer) -> None:
        """Send no more to this viewer."""
        self._places.pop(id(viewer), None)

    def close(self, reason: str) -> None:
        """End all viewers."""
        places, self._places = self._places, {}
        for place in places.values():
            place.viewer.ended(reason)

    def _lay_tracks(self) -> None:
        self._tracks = [_Track(index, format_) for index, format_ in enumerate(self._formats)]
        video = [index for index, format_ in enumerate(self._formats) if format_.media == "video"]
        self._video = video[0] if video else None
        self._clear_gop()

    def _clear_gop(self) -> None:
        self._gop, self._frames, self._gop_bytes = [], [], 0

    def _keep(self, unit: AccessUnit) -> None:
        """Keep the GOP for those who join later."""
        if unit.format is not None:
            self._formats = tuple(
                unit.format if index == unit.track else format_ for index, format_ in enumerate(self._formats)
            )
        if unit.track == self._video and unit.key:
            self._clear_gop()
        elif not self._gop:
            return
        if self._gop_bytes > MAX_GOP:
            self._clear_gop()
            return
        self._gop.append(unit)
        self._gop_bytes += len(unit.data)

    def _frames_of(self, unit: AccessUnit) -> bytes:
        frames = self._tracks[unit.track].frames(unit)
        # Those who join later get the same packets.
        at = len(self._frames)
        if at < len(self._gop) and self._gop[at] is unit:
            self._frames.append(frames)
        return frames

    def _send_some(self, place: _Place, units: Sequence[AccessUnit], frames: Sequence[bytes]) -> None:
        """A viewer that is slow, waits for a key frame, or wants some tracks only."""
        full = place.viewer.backlog() > MAX_BACKLOG
        if full and not place.waiting:
            place.waiting = True
            log.info("slow viewer skips to the next key frame", backlog_bytes=place.viewer.backlog())
        parts = []
        for unit, part in zip(units, frames, strict=True):
            if place.waiting and not full and (unit.track == self._video or self._video is None) and unit.key:
                place.waiting = False
            if place.waiting:
                self._skipped += 1
            elif place.tracks is None or unit.track in place.tracks:
                parts.append(part)
        if parts:
            place.viewer.send(b"".join(parts))


def shape(format_: Format) -> tuple[object, ...]:
    """What a player cannot follow a change of within a session. H.264 parameter sets also travel in band."""
    return (format_.codec, format_.clock_rate, None if isinstance(format_, H264Format) else format_.config)
