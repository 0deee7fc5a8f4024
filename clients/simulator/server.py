"""The simulator: RTSP cameras on one port, their control on another."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from broker.process import logger
from broker.trust.tls import server_context
from clients.simulator.camera import SimulatedCamera
from clients.simulator.clips import AudioClip, ClipSpec, prepare, prepare_audio
from clients.simulator.control import control_app
from clients.simulator.playback import ClipChannel, StampChannel, Timer, Views
from clients.simulator.settings import SimulatorSettings
from servers.net.errors import NotFoundError, UnauthorisedError, UnavailableError
from servers.net.http import HttpServer
from servers.net.live import LiveStream
from servers.net.rtsp_server import RtspServer, StreamRequest
from servers.wire.media import Format
from servers.wire.rtsp.auth_headers import Authorization
from servers.wire.rtsp.digest import DigestAuthority, ha1
from servers.wire.rtsp.errors import MalformedError

log = logger(__name__)

REALM = "simulator"
LAGS = 4
"""Cameras send in so many groups, a hundredth of a second apart."""


class Simulator:
    """All cameras of one simulator."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.cameras = [SimulatedCamera(number) for number in range(1, settings.simulator.cameras + 1)]
        self._digest = DigestAuthority(REALM, secrets.token_bytes(16))
        self._encoder: ThreadPoolExecutor | None = None
        self._timer: Timer | None = None
        self._calls: set[asyncio.TimerHandle] = set()
        self._rtsp: RtspServer | None = None
        self._control: HttpServer | None = None

    @property
    def rtsp_url(self) -> str:
        """Where the cameras are, as bound: append /camera/1/main."""
        assert self._rtsp
        scheme = "rtsps" if self._rtsp.tls else "rtsp"
        return f"{scheme}://{self.settings.simulator.host}:{self._rtsp.port}"

    @property
    def control_url(self) -> str:
        """Where the control is, as bound."""
        assert self._control
        return self._control.url

    async def start(self) -> None:
        """Render what is not in the cache, then listen.

        Raises:
            PortTakenError: names the setting that moves the port.
            PlainRefusedError: others could reach it and there is no certificate.
        """
        wanted = self.settings.simulator
        tls = server_context(self.settings.tls, wanted.host, "VIGIL_SIMULATOR__HOST")
        self._rtsp = RtspServer(self, wanted.host, wanted.rtsp_port, tls=tls, setting="VIGIL_SIMULATOR__RTSP_PORT")
        self._control = HttpServer(
            control_app(self),
            wanted.host,
            wanted.control_port,
            tls=self.settings.tls,
            setting="VIGIL_SIMULATOR__CONTROL_PORT",
        )
        await asyncio.to_thread(self._equip)
        channels = [channel for camera in self.cameras for channel in camera.channels.values()]
        lags = [(camera.number % LAGS) / 100 for camera in self.cameras for _ in camera.channels]
        try:
            await self._rtsp.start()
            await self._control.start()
        except BaseException:
            await self.close()
            raise
        self._timer = Timer(channels, lags)
        self._timer.start()
        log.info("simulated cameras answer", cameras=len(self.cameras), url=f"{self.rtsp_url}/camera/1/main")

    async def close(self) -> None:
        """Hang up on everybody and free the ports. Safe to call twice."""
        for call in self._calls:
            call.cancel()
        self._calls.clear()
        if self._timer:
            self._timer.close()
        for listener in (self._control, self._rtsp):
            if listener:
                await listener.close()
        if self._encoder:
            self._encoder.shutdown(cancel_futures=True)
            self._encoder = None

    # --- What the control does ----------------------------------------------------------------------------------

    def camera(self, number: int) -> SimulatedCamera | None:
        """The camera of that number."""
        return self.cameras[number - 1] if 1 <= number <= len(self.cameras) else None

    def send_away(self, camera: SimulatedCamera, seconds: float, *, silent: bool) -> None:
        """Hang up on all who watch a camera and refuse them for a while, or with `silent` keep them waiting."""
        if silent:
            camera.hush(silent=True)
            self._later(seconds, camera)
            return
        camera.leave(seconds)
        assert self._rtsp
        self._rtsp.end_where(lambda who: who == camera.number, "the camera goes away")

    async def resize(self, camera: SimulatedCamera, width: int, height: int) -> None:
        """Change the main stream's size at its next key frame; renders clips of that size first."""
        channel = camera.channels["main"]
        if not isinstance(channel, ClipChannel):
            raise TypeError("a stamped camera keeps its size")
        wanted = self.settings.simulator
        scene = (camera.number - 1) % wanted.scenes
        specs = self._pair(scene, (width, height), wanted.fps, wanted.kbps)
        channel.change(Views(*await asyncio.to_thread(prepare, specs, self.settings.clips_dir)))

    def _later(self, seconds: float, camera: SimulatedCamera) -> None:
        def speak() -> None:
            camera.hush(silent=False)
            self._calls.discard(call)

        call = asyncio.get_running_loop().call_later(seconds, speak)
        self._calls.add(call)

    # --- What the cameras send ----------------------------------------------------------------------------------

    def _equip(self) -> None:
        """Give each camera its streams."""
        if self.settings.simulator.stamp:
            self._equip_stamped()
            return
        wanted, folder = self.settings.simulator, self.settings.clips_dir
        sound = prepare_audio(folder) if wanted.audio else None
        scenes = min(wanted.scenes, wanted.cameras)
        main = (wanted.width, wanted.height), wanted.fps, wanted.kbps
        sub = (wanted.sub_width, wanted.sub_height), wanted.sub_fps, wanted.sub_kbps
        specs = [spec for scene in range(scenes) for how in (main, sub) for spec in self._pair(scene, *how)]
        clips = iter(prepare(specs, folder))
        views = [(Views(next(clips), next(clips)), Views(next(clips), next(clips))) for _ in range(scenes)]
        for camera in self.cameras:
            of_main, of_sub = views[(camera.number - 1) % scenes]
            for profile, view, heard in (("main", of_main, sound), ("sub", of_sub, None)):
                camera.channels[profile] = self._clip_channel(camera, view, heard)

    def _clip_channel(self, camera: SimulatedCamera, views: Views, sound: AudioClip | None) -> ClipChannel:
        offset = (camera.number - 1) // self.settings.simulator.scenes * 3
        return ClipChannel(views, sound, camera.in_motion, offset_s=offset)

    def _pair(self, scene: int, size: tuple[int, int], fps: int, kbps: int) -> list[ClipSpec]:
        loop_s = self.settings.simulator.loop_s
        return [
            ClipSpec(width=size[0], height=size[1], fps=fps, kbps=kbps, loop_s=loop_s, walkers=walkers, scene=scene)
            for walkers in (False, True)
        ]

    def _equip_stamped(self) -> None:
        wanted = self.settings.simulator
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="stamp")
        for camera in self.cameras:
            for profile, size, fps, kbps in (
                ("main", (wanted.stamp_width, wanted.stamp_height), wanted.fps, min(wanted.kbps, 2000)),
                ("sub", (wanted.sub_width, wanted.sub_height), wanted.sub_fps, wanted.sub_kbps),
            ):
                camera.channels[profile] = StampChannel(
                    camera.number, size, fps=fps, kbps=kbps, in_motion=camera.in_motion, encoder=self._encoder
                )

    # --- What the RTSP server asks ------------------------------------------------------------------------------

    async def authorise(self, request: StreamRequest) -> int:
        """Who may watch: anybody, or who knows the password. Gives the camera's number."""
        camera, _ = self._find(request.path)
        wanted = self.settings.simulator
        if not wanted.username:
            return camera.number
        now = time.time()
        stale = False
        given = request.headers.get("Authorization")
        if given:
            password = wanted.password.get_secret_value()
            with suppress(MalformedError):
                verdict = self._digest.verify(
                    Authorization.parse(given),
                    request.method,
                    request.uri,
                    now,
                    lambda user, algorithm: ha1(user, REALM, password, algorithm) if user == wanted.username else None,
                )
                if verdict.ok:
                    return camera.number
                stale = verdict.stale
        raise UnauthorisedError("user name and password are needed", self._digest.challenges(now, stale=stale))

    async def describe(self, path: str, query: dict[str, str], who: int) -> tuple[Format, ...]:
        """The tracks of a camera's stream."""
        return self.open(path, query, who).formats

    def open(self, path: str, query: dict[str, str], who: int) -> LiveStream:
        """A camera's stream."""
        del query, who
        camera, profile = self._find(path)
        return camera.channels[profile].stream

    def _find(self, path: str) -> tuple[SimulatedCamera, str]:
        words = path.strip("/").split("/")
        camera = None
        match words:
            case ["camera", number, "main" | "sub"] if number.isascii() and number.isdigit():
                camera = self.camera(int(number))
        if camera is None:
            raise NotFoundError(f"there are /camera/1/main to /camera/{len(self.cameras)}/main, and …/sub")
        if camera.away:
            raise UnavailableError("the camera is away for a while")
        return camera, words[2]


def addresses(simulator: Simulator) -> Sequence[str]:
    """One line per camera, for people."""
    return [f"{simulator.rtsp_url}/camera/{camera.number}/main" for camera in simulator.cameras]
