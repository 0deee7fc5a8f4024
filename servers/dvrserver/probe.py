"""What an address is: dialled once, for a few seconds, before a camera is saved.

A stranger's answer is hostile input: it goes through the same state machines as a camera's, with bounds on time and
bytes of its own, and its picture is decoded where all pictures are, in a restricted process.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints

from broker.model.base import Value, Word
from broker.model.resources import Camera, RtspUrl
from broker.process import logger
from broker.trust.egress import DEFAULT_PORTS, EgressPolicy
from broker.trust.tls import client_context
from servers.dvrserver.motion import MotionPool
from servers.dvrserver.snapshot import SnapshotError, snapshot
from servers.net.rtsp_client import RtspClientError, play
from servers.wire.media import VIDEO_CLOCK_RATE, AACFormat, AccessUnit, Format, H264Format

log = logger(__name__)

LONGEST_S = 12.0
"""All of it: dialling, waiting for a key frame, watching."""
SILENCE_S = 5.0
"""Silence after which the address counts as away."""
WATCH_S = 1.5
"""How long pictures are counted once the first has come, for their rate."""
MAX_BYTES = 32 << 20
"""Media taken at most; a good camera sends a tenth of it in this time."""
AT_ONCE = 2
"""Probes of one node at the same time; others wait their turn."""
SNAPSHOT_WIDTH = 640


class ProbeWanted(Value):
    """An address, and who signs in there."""

    url: RtspUrl = Field(description="The stream, e.g. rtsp://192.0.2.10:554/stream1.")
    username: Annotated[str, StringConstraints(max_length=120)] = Field("", description="Who signs in at the camera.")
    password: SecretStr | None = Field(
        None, max_length=200, description="Their password; none: the one kept for `camera_id`, if that is given."
    )
    camera_id: Word | None = Field(
        None,
        description="A camera of this node whose kept password is to be used; only for an address on the same host"
        " and port, so that the password goes nowhere else.",
    )


class VideoFound(Value):
    """The pictures that came."""

    codec: str
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    fps: float | None = Field(description="Pictures a second; none where too few came to tell.")


class AudioFound(Value):
    """The sound that is offered."""

    codec: str
    sample_rate: int = Field(description="Hertz.")
    channels: int


class ProbeFound(Value):
    """What an address is, or what is wrong with it."""

    problem: str = Field("", description="What is wrong and how to mend it, in a sentence; empty when pictures come.")
    video: VideoFound | None = None
    audio: AudioFound | None = None
    kbps: float | None = Field(None, description="Kilobits a second of all tracks.")
    snapshot: str = Field("", description="A JPEG of the first key frame, base64.")


class _Looker:
    """The `Sink` of a probe."""

    def __init__(self) -> None:
        self.formats: tuple[Format, ...] = ()
        self.key: AccessUnit | None = None
        self.pictures = 0
        self.bytes = 0
        self.first = 0.0
        self.ticks: list[int] = []
        self.done = asyncio.Event()

    def described(self, formats: tuple[Format, ...]) -> None:
        self.formats = formats

    def received(self, units: list[AccessUnit]) -> None:
        if self.done.is_set():
            return
        now = time.monotonic()
        for unit in units:
            self.bytes += len(unit.data)
            format_ = self.formats[unit.track]
            if format_.media != "video":
                continue
            if unit.format is not None:
                self.formats = tuple(unit.format if at == unit.track else each for at, each in enumerate(self.formats))
            if self.key is None and not unit.key:
                continue
            self.key = self.key or unit
            self.first = self.first or now
            self.pictures += 1
            self.ticks.append(unit.timestamp)
        if self.bytes >= MAX_BYTES or (self.first and now - self.first >= WATCH_S):
            self.done.set()

    @property
    def video(self) -> H264Format | None:
        return next((format_ for format_ in self.formats if isinstance(format_, H264Format)), None)

    @property
    def audio(self) -> AACFormat | None:
        return next((format_ for format_ in self.formats if isinstance(format_, AACFormat)), None)

    def found(self, problem: str, jpeg: bytes) -> ProbeFound:
        video, audio = self.video, self.audio
        # By the camera's own time: at first it may send a burst of what it has kept.
        span = (max(self.ticks) - min(self.ticks)) / VIDEO_CLOCK_RATE if self.ticks else 0.0
        fps = round((self.pictures - 1) / span, 1) if self.pictures > 2 and span > 0 else None  # noqa: PLR2004 - two say nothing
        return ProbeFound(
            problem=problem,
            video=VideoFound(codec=video.codec, width=video.width, height=video.height, fps=fps) if video else None,
            audio=AudioFound(codec=audio.codec, sample_rate=audio.sample_rate, channels=audio.channels)
            if audio
            else None,
            kbps=round(self.bytes * 8 / 1000 / span, 1) if span > 0 else None,
            snapshot=base64.b64encode(jpeg).decode(),
        )


class Probe:
    """Looks at addresses, a few at a time."""

    def __init__(
        self,
        egress: EgressPolicy,
        pool: MotionPool,
        credentials: Callable[[str], tuple[Camera, str] | None],
        ca: Path | None = None,
    ) -> None:
        """`credentials` gives a camera of this node and the password that is kept for it."""
        self._egress = egress
        self._pool = pool
        self._credentials = credentials
        self._ca = ca
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def look(self, wanted: ProbeWanted) -> ProbeFound:
        """Dial, watch for a moment, hang up.

        Raises:
            EgressRefusedError: this node may not call that address.
        """
        url, username, password = wanted.url, wanted.username, self._password(wanted)
        async with self._turn:
            where = await self._egress.check_async(url, field="url")
            looker = _Looker()
            playing = asyncio.create_task(
                play(
                    url,
                    looker,
                    username=username,
                    password=password,
                    connect_to=(where.address, where.port),
                    tls=client_context(self._ca) if where.scheme == "rtsps" else None,
                    timeout_s=SILENCE_S,
                ),
                name="probe",
            )
            problem = await _until_enough(playing, looker)
            jpeg, why_not = await self._picture(looker)
        return looker.found(problem or why_not, jpeg)

    def _password(self, wanted: ProbeWanted) -> str:
        if wanted.password is not None:
            return wanted.password.get_secret_value()
        known = self._credentials(wanted.camera_id) if wanted.camera_id is not None else None
        if known is None:
            return ""
        camera, password = known
        own = {_place(url) for url in (camera.main_url, camera.sub_url) if url}
        return password if _place(wanted.url) in own and wanted.username == camera.username else ""

    async def _picture(self, looker: _Looker) -> tuple[bytes, str]:
        if looker.video is None or looker.key is None:
            return b"", ""
        try:
            return await snapshot(self._pool, looker.video, looker.key, width=SNAPSHOT_WIDTH), ""
        except SnapshotError as error:
            return b"", f"Pictures come, but this one cannot be decoded: {error}"


def _place(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: where a password that was given for one address may go."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


async def _until_enough(playing: "asyncio.Task[None]", looker: _Looker) -> str:
    """Wait until enough has come; what was wrong, in a sentence, where nothing did."""
    enough = asyncio.create_task(looker.done.wait())
    try:
        await asyncio.wait({playing, enough}, timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        enough.cancel()
        playing.cancel()
        await asyncio.gather(playing, enough, return_exceptions=True)
    if looker.key is not None:
        return ""
    error = None if playing.cancelled() else playing.exception()
    if isinstance(error, RtspClientError):
        return str(error)
    if error is not None:
        log.warning("probe failed", reason=repr(error))
        return f"the source sends what cannot be used ({type(error).__name__})"
    return (
        f"the source answers, but no picture with which decoding can begin came within {LONGEST_S:.0f} s;"
        " set a shorter key frame interval in the camera"
    )
