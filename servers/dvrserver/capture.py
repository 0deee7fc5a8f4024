"""One stream of one camera: played for ever, handed on to recorder, viewers and motion detector.

`Capture.received` runs for every read of every camera: it hands a list on to three outlets and counts, nothing more.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from broker.model.messages import CameraCondition
from broker.process import logger
from broker.trust.egress import EgressPolicy
from broker.trust.errors import EgressRefusedError
from broker.trust.tls import client_context
from servers.dvrserver.archive import Archive, SegmentWriter
from servers.dvrserver.backoff import Backoff
from servers.dvrserver.capture_clock import CaptureClock
from servers.dvrserver.condition import Trouble, trouble_of
from servers.dvrserver.settings import DVRServerGroup
from servers.dvrserver.sources import Source
from servers.net.live import LiveStream
from servers.net.rounds import Rounds
from servers.net.rtsp_client import RtspClientError, play
from servers.wire.media import AccessUnit, Format, H264Format

log = logger(__name__)

STEADY_S = 10.0
"""A stream that ran for so long is tried again after the shortest wait when it breaks."""

Motion = Literal["none", "all", "key frames"]
"""What the detector gets of a stream."""


class Watcher(Protocol):
    """Who wants to know how a capture fares."""

    def capture_changed(self, capture: "Capture", before: Trouble) -> None:
        """The condition or its sentence has changed."""
        ...

    def format_changed(self, capture: "Capture", before: tuple[Format, ...]) -> None:
        """The camera sends another picture than before."""
        ...

    def stays_away(self, capture: "Capture") -> None:
        """The first try to have the stream back has failed, too."""
        ...


class Capture:
    """Connects, receives, reconnects, until it is closed. It is the `Sink` of its own connection."""

    def __init__(
        self,
        source: Source,
        settings: DVRServerGroup,
        *,
        egress: EgressPolicy,
        archive: Archive,
        feed: Callable[[str, list[AccessUnit], list[int]], None],
        watcher: Watcher,
        rounds: Rounds,
        ca: Path | None = None,
    ) -> None:
        """Cameras of rtsps:// show a certificate: `ca` is trusted beside the system's authorities."""
        self.source = source
        self.state = Trouble(CameraCondition.CONNECTING)
        self.formats: tuple[Format, ...] = ()
        self.live: LiveStream | None = None
        """What viewers join; there from the first key frame on."""
        self.running = asyncio.Event()
        """Whether pictures come now."""
        self.key_unit: AccessUnit | None = None
        self.motion: Motion = "none"
        self.reconnects = 0
        self.recording_problem = ""
        """Why footage cannot be written, in a sentence."""
        self._settings = settings
        self._egress = egress
        self._archive = archive
        self._feed = feed
        self._watcher = watcher
        self._rounds = rounds
        self._ca = ca
        self._clock = CaptureClock()
        self._writer: SegmentWriter | None = None
        self._video = -1
        self._pictured = False
        self._played = False
        self._recorded_us = self._since_us = self._until_us = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """What is wrong, in a sentence."""
        return self.state.problem

    def start(self, after: "asyncio.Task[None] | None" = None) -> None:
        """Begin, once the capture that this one replaces has ended."""
        name = f"capture-{self.source.camera_id}-{self.source.stream}"
        self._task = asyncio.create_task(self._run(after), name=name)

    def stop(self) -> "asyncio.Task[None] | None":
        """Ask it to end; await the task to see it ended."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    # --- the connection -------------------------------------------------------------------------------------------

    async def _run(self, after: "asyncio.Task[None] | None") -> None:
        if after is not None:
            await asyncio.wait([after])
        backoff = Backoff(self._settings.reconnect_min_s, self._settings.reconnect_max_s)
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                trouble = await self._play()
                if clock() - began > STEADY_S:
                    backoff.reset()
                if self._played and not self.running.is_set():
                    self._played = False
                    self._watcher.stays_away(self)
                self._close_writer()
                self._became(trouble)
                self.reconnects += 1
                wait_s = backoff.next()
                if trouble.condition is CameraCondition.REFUSED:
                    wait_s = max(wait_s, self._settings.refused_retry_s)
                await asyncio.sleep(wait_s)
        finally:
            self._close_writer()
            self.running.clear()
            if self.live is not None:
                self.live.close("the camera is not captured any more")

    async def _play(self) -> Trouble:
        """Play until it breaks; how it broke."""
        source = self.source
        try:
            where = await self._egress.check_async(source.url, field=f"{source.stream}_url")
            await play(
                source.url,
                self,
                username=source.username,
                password=source.password,
                audio=source.audio,
                connect_to=(where.address, where.port),
                tls=client_context(self._ca) if where.scheme == "rtsps" else None,
                timeout_s=self._settings.camera_timeout_s,
                settled=self._rest,
            )
        except (RtspClientError, EgressRefusedError) as error:
            return trouble_of(error, ran=self.running.is_set())
        except Exception as error:
            log.exception("capture failed", camera_id=source.camera_id, stream=source.stream)
            return trouble_of(error, ran=self.running.is_set())
        raise AssertionError("play always ends with an error")

    def _became(self, now: Trouble) -> None:
        before, self.state = self.state, now
        if now.condition is CameraCondition.RUNNING:
            self.running.set()
        else:
            self.running.clear()
        if now != before:
            self._watcher.capture_changed(self, before)

    # --- what the camera sends ------------------------------------------------------------------------------------

    def _rest(self, transport: asyncio.Transport) -> None:
        """While nobody watches: recorder and detector bear a tenth of a second."""
        if self.live is None or not self.live.viewers:
            self._rounds.rest(transport)

    def described(self, formats: tuple[Format, ...]) -> None:
        """The camera has answered; its tracks are these."""
        self._close_writer()
        source = self.source
        if self.live is None:
            self.live = LiveStream(formats)
        else:
            self.live.describe(formats)
        self._video = next((index for index, each in enumerate(formats) if each.media == "video"), -1)
        self._clock.described(formats)
        if source.record:
            self._writer = self._archive.writer(source.camera_id, source.stream, formats)
        self._take(formats)

    def received(self, units: list[AccessUnit]) -> None:
        """Pictures and sound of one read."""
        live = self.live
        assert live is not None
        video = self._video
        for unit in units:
            if unit.key and unit.track == video:
                self._key(unit)
        times_us = self._clock.stamp(units)
        if self._writer is not None:
            self._writer.write(units, times_us)
            self._until_us = times_us[-1]
            self._since_us = self._since_us or times_us[0]
        live.push(units)
        if self.motion != "none":
            self._detect(units, times_us)

    def _key(self, unit: AccessUnit) -> None:
        """A picture with which decoding can begin: from the first one on the stream runs."""
        self.key_unit = unit
        if unit.format is not None:
            self._take(tuple(unit.format if at == unit.track else each for at, each in enumerate(self.formats)))
        if not self._pictured:
            self._pictured = self._played = True
            self._became(Trouble(CameraCondition.RUNNING))

    def key_picture(self) -> tuple[H264Format, AccessUnit] | None:
        """The newest key frame and its format; none while no pictures come."""
        format_ = self.formats[self._video] if self.running.is_set() else None
        return (format_, self.key_unit) if isinstance(format_, H264Format) and self.key_unit is not None else None

    def _detect(self, units: list[AccessUnit], times_us: list[int]) -> None:
        if self.motion == "key frames" or len(self.formats) > 1:
            video, all_ = self._video, self.motion == "all"
            wanted = [
                (unit, time_us)
                for unit, time_us in zip(units, times_us, strict=True)
                if unit.track == video and (all_ or unit.key)
            ]
            if not wanted:
                return
            units, times_us = [unit for unit, _ in wanted], [time_us for _, time_us in wanted]
        self._feed(self.source.camera_id, units, times_us)

    def _take(self, formats: tuple[Format, ...]) -> None:
        before, self.formats = self.formats, formats
        if before and before != formats:
            self._watcher.format_changed(self, before)

    # --- recording ------------------------------------------------------------------------------------------------

    @property
    def recording(self) -> bool:
        """Whether footage is being written now."""
        return self._writer is not None and self.running.is_set() and not self.recording_problem

    def _close_writer(self) -> None:
        """Write the last pictures before a gap."""
        self._pictured = False
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            self._recorded_us += self._until_us - self._since_us
            self._since_us = self._until_us = 0

    @property
    def recorded_s(self) -> float:
        """Seconds of footage handed to the archive since this capture began."""
        return (self._recorded_us + self._until_us - self._since_us) / 1_000_000
