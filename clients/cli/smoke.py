"""The main job, checked from outside: what a person would try first on a new site, a line per check."""

import base64
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import uuid4

import av
import httpx

from broker.model.actions import HttpRequestSettings, RecordCameraSettings
from broker.model.base import Priority
from broker.model.log import AlarmEvent
from broker.model.messages import AlarmState
from broker.model.resources import Alarm, Camera, MotionTrigger, Server
from clients.sdk.client import Client

T = TypeVar("T")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PRE_S = 5


class Target(NamedTuple):
    """A running site and how to reach its parts; an empty address skips the check that needs it."""

    api_url: str
    user: str
    password: str
    simulator_url: str = ""
    page_url: str = ""
    flower_url: str = ""
    flower_login: str = ""


class SkippedError(Exception):
    """A check that cannot be made here, and why."""


class Receiver:
    """A web address that counts what it is asked, by idempotency key."""

    def __init__(self) -> None:
        self.keys: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        lock = Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with lock:
                    receiver.keys[self.headers.get("Idempotency-Key", "none")] += 1
                    receiver.bodies.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alarm"

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        """Answer while the block runs."""
        Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def wait_for(what: str, ask: Callable[[], T | None], *, timeout_s: float = 30.0) -> T:
    """Ask until there is an answer; name what was missing when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"no {what} within {timeout_s:.0f} s")


class MainJob:
    """The checks, in order; later ones build on what earlier ones found."""

    def __init__(self, target: Target, client: Client, receiver: Receiver) -> None:
        self.target = target
        self.client = client
        self.receiver = receiver
        self.alarm_id = f"smoke-{uuid4().hex[:8]}"
        self.began = datetime.now(UTC)
        self.camera: Camera
        self.server: Server
        self.event: AlarmEvent

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Each check with its sentence; it returns what it saw, or raises."""
        yield "an administrator signs in and sees cameras", self.sign_in
        yield "an outside client decodes the live stream of 5011", self.live
        yield "a recorded segment is readable by PyAV", self.recorded
        yield "motion raises an alarm", self.motion
        yield "its action is seen by a web receiver exactly once", self.action
        yield "its footage is protected", self.protected
        yield "it is listed and acknowledged", self.acknowledged
        yield "the page shows moving video in Chromium", self.page
        yield "Flower lists worker and tasks", self.flower

    def sign_in(self) -> str:
        """Sign in, choose the first camera that runs, and add an alarm of our own."""
        self.client.sign_in(self.target.user, self.target.password)
        me = self.client.me()
        self.camera = next(camera for camera in me.cameras if camera.enabled)
        self.server = next(server for server in me.servers if server.id == self.camera.node_id)
        self.client.alarms.add(
            Alarm(
                id=self.alarm_id,
                name="Smoke test",
                priority=Priority.HIGH,
                trigger=MotionTrigger(camera_id=self.camera.id),
                until_acknowledged=True,
                actions=(
                    HttpRequestSettings(url=self.receiver.url),
                    RecordCameraSettings(camera_id=self.camera.id, pre_s=PRE_S, post_s=2),
                ),
            )
        )
        return f"{len(me.cameras)} cameras"

    def live(self) -> str:
        """Play with a stream secret, as an ordinary player does."""
        secret = self.client.stream_secret()
        url = self.server.stream_url.replace("rtsp://", f"rtsp://{quote(secret.user)}:{quote(secret.secret)}@", 1)
        url += f"/camera/{self.camera.id}/main"

        def play() -> str | None:
            try:
                with av.open(url, options={"rtsp_transport": "tcp"}, timeout=10) as stream:
                    frames: list[int] = []
                    for frame in stream.decode(video=0):
                        frames.append(frame.pts or 0)
                        if len(frames) == 10:  # noqa: PLR2004 - enough to see that time goes on
                            break
                    assert frames == sorted(set(frames)), f"frames out of order: {frames}"
                    return f"{frame.width}x{frame.height}, 10 frames"
            except av.FFmpegError:
                return None  # the camera may still be connecting

        return wait_for("live picture", play, timeout_s=45)

    def recorded(self) -> str:
        """Download a segment from 5009 and read it to its end."""
        node = self.client.node(self.server)

        def newest() -> str | None:
            now = datetime.now(UTC)
            found = node.segments(self.camera.id, now - timedelta(hours=1), now)
            return found[-1].id if found else None

        segment_id = wait_for("recorded segment", newest)

        def read() -> str | None:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "segment.mp4"
                size = node.download(self.camera.id, segment_id, path)
                if not size:
                    return None
                with av.open(path) as file:
                    packets = sum(1 for packet in file.demux(video=0) if packet.size)
                return f"{packets} pictures in {size} bytes" if packets >= 10 else None  # noqa: PLR2004 - as above

        return wait_for("segment with pictures", read)

    def motion(self) -> str:
        """Ask the simulator for motion, or wait for some where there is none."""
        number = self.client.cameras.get(self.camera.id).main_url.rstrip("/").split("/")[-2]
        if self.target.simulator_url:
            answer = httpx.post(
                f"{self.target.simulator_url}/cameras/{number}/motion?seconds=5", timeout=10, trust_env=False
            )
            answer.raise_for_status()
        began = time.monotonic()
        self.event = wait_for(
            "alarm event",
            lambda: next(iter(self.client.alarm_events(alarm_id=self.alarm_id, limit=1)), None),
            timeout_s=40,
        )
        return f"after {time.monotonic() - began:.1f} s"

    def action(self) -> str:
        """One call with one key; a moment later it is still one."""
        wait_for("call of the action", self.receiver.keys.total)

        def stored() -> bool:
            runs = self.client.alarm_event(self.event.id).actions
            return any(run.kind == "http_request" and run.outcome == "succeeded" for run in runs)

        wait_for("stored outcome of the action", stored)
        assert self.receiver.keys.total() == 1, f"seen {self.receiver.keys.total()} times"
        return f"alarm event {self.receiver.bodies[0].get('alarm_event_id')}"

    def protected(self) -> str:
        """The timeline says so, before and after the trigger."""
        node = self.client.node(self.server)
        at = self.event.occurred_at

        def covering() -> str | None:
            spans = node.timeline(self.camera.id, at - timedelta(seconds=PRE_S), at + timedelta(seconds=2))
            kept = [span for span in spans if span.protected and span.start <= at <= span.end]
            return f"from {(at - kept[0].start).total_seconds():.1f} s before the trigger" if kept else None

        return wait_for("protected span", covering)

    def acknowledged(self) -> str:
        """The list has it; after the acknowledgement it ends."""
        assert any(event.id == self.event.id for event in self.client.alarm_events(limit=100)), "not listed"
        self.client.acknowledge(self.event.id)
        event = wait_for(
            "acknowledgement",
            lambda: next(
                (
                    e
                    for e in [self.client.alarm_event(self.event.id)]
                    if e.acknowledged and e.state != AlarmState.ACTIVE
                ),
                None,
            ),
        )
        assert event.acknowledged is not None
        return f"by {event.acknowledged.user_name}, now {event.state}"

    def page(self) -> str:
        """Sign in with a real browser and see time go on in a picture that is not black."""
        if not self.target.page_url:
            raise SkippedError("no page address was given")
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        try:
            from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a development package
        except ImportError:
            chromium = None
        if chromium is None:
            if os.environ.get("CI") == "true":
                raise AssertionError("Chromium or Playwright is not installed")
            raise SkippedError("Chromium or Playwright is not installed; `make setup` does it")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
            page = browser.new_page()
            page.goto(self.target.page_url)
            page.get_by_label("User").fill(self.target.user)
            page.get_by_label("Password").fill(self.target.password)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_function(MOVING, timeout=40_000)
            cells = page.locator("video").count()
            browser.close()
        return f"{cells} cells"

    def flower(self) -> str:
        """Ask the dashboard's API, with its login."""
        if not self.target.flower_url:
            raise SkippedError("no address of Flower was given")
        login = base64.b64encode(self.target.flower_login.encode()).decode()
        with httpx.Client(
            base_url=self.target.flower_url, headers={"Authorization": f"Basic {login}"}, timeout=10, trust_env=False
        ) as flower:
            stranger = httpx.get(f"{self.target.flower_url}/api/workers", trust_env=False)
            assert stranger.status_code == httpx.codes.UNAUTHORIZED, "Flower asks for no login"
            workers = wait_for("worker", lambda: flower.get("/api/workers", params={"refresh": "1"}).json())
            tasks = wait_for(
                "task",
                lambda: {task["name"] for task in flower.get("/api/tasks").json().values()} & {"action.http_request"},
            )
        return f"{', '.join(sorted(workers))}: {', '.join(sorted(tasks))}"


CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

MOVING = """() => {
  const moves = (video) => {
    if (!video.videoWidth || video.currentTime <= 0) return false;
    const canvas = document.createElement("canvas");
    canvas.width = 32; canvas.height = 18;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 32, 18);
    const pixels = pen.getImageData(0, 0, 32, 18).data;
    const lit = pixels.some((value, index) => index % 4 !== 3 && value > 24);
    const before = video.dataset.seen;
    video.dataset.seen = String(video.currentTime);
    return lit && before !== undefined && Number(before) < video.currentTime;
  };
  return [...document.querySelectorAll("video")].some(moves);
}"""


def run_checks(target: Target) -> int:
    """Make all checks, print a line for each, and return the number of failures."""
    failures = 0
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver().listening())
        client = stack.enter_context(Client(target.api_url))
        job = MainJob(target, client, receiver)
        for sentence, check in job.checks():
            began = time.monotonic()
            try:
                word, seen = "ok", check()
            except SkippedError as reason:
                word, seen = "skip", str(reason)
            except Exception as error:  # noqa: BLE001 - a check may fail in any way; each is a line and a count
                word, seen = "FAIL", f"{type(error).__name__}: {error}"
                failures += 1
            sys.stdout.write(f"{word:<5} {sentence} ({time.monotonic() - began:.1f} s): {seen}\n")
            sys.stdout.flush()
        _tidy(client, job)
    sys.stdout.write(f"{failures} failed\n" if failures else "The main job works.\n")
    return failures


def _tidy(client: Client, job: MainJob) -> None:
    """Take our alarm off a site that goes on without us."""
    try:
        client.alarms.remove(job.alarm_id)
    except Exception as error:  # noqa: BLE001 - the checks have spoken; this is courtesy
        sys.stdout.write(f"      the alarm {job.alarm_id} could not be removed: {error}\n")
