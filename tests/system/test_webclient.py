"""The web client in a real browser, before a real site: SMServer, DVRServer, gateway and simulated cameras.

The alarm engine is played by the test, which says on the broker what the engine would say; `make smoke` has the
whole chain.
"""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import av
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from broker.codec import envelope
from broker.memory import Hub, MemoryBroker
from broker.model.base import Priority
from broker.model.layouts import Layout, Tab
from broker.model.messages import AcknowledgeRequested, AlarmAcknowledged, AlarmEnded, AlarmRaised, TriggerKind
from broker.model.resources import Alarm, Camera, MotionDetection, MotionTrigger, Profile, Right, User
from broker.process import EgressSettings, Health
from broker.topology import queues_of
from clients.sdk import AsyncClient
from clients.simulator.server import Simulator
from clients.simulator.settings import SimulatorGroup, SimulatorSettings
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerGroup, DVRServerSettings
from servers.gateway.server import Gateway
from servers.gateway.settings import GatewayGroup, GatewaySettings
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from tests.databases import migrated

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse battery"
PICTURE = """video => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 64, 36);
  const values = [...context.getImageData(0, 0, 64, 36).data].filter((_, index) => index % 4 === 1);
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  return {
    mean,
    spread: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length),
    time: video.currentTime,
    lag: video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : null,
    width: video.videoWidth,
  };
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not CHROMIUM.exists() and os.environ.get("CI") != "true", reason="needs Chromium: apt-get install chromium"
    ),
]


class Site:
    """A small site with an operator, and the engine's voice."""

    async def start(self, folder, stack):
        small = SimulatorGroup(
            cameras=2, rtsp_port=0, control_port=0, width=640, height=360, fps=15, kbps=600, loop_s=2, audio=False,
        )  # fmt: skip
        self.simulator = Simulator(SimulatorSettings(data_dir=folder, simulator=small))
        stack.push_async_callback(self.simulator.close)
        await self.simulator.start()
        self.settings = SMServerSettings(data_dir=folder, smserver=SMServerGroup(port=0, operations_port=0))
        await asyncio.to_thread(migrated, self.settings.database_url("smserver"), SCHEMA, MIGRATIONS)
        self.broker = MemoryBroker(Hub(self.settings.broker.partitions), health=Health("tests"))
        await self.broker.start()
        stack.push_async_callback(self.broker.close)
        self.smserver = SMServer(self.settings, self.broker, Health("smserver"))
        stack.push_async_callback(self._close_smserver)
        await self.smserver.start()
        password = self.smserver.first_password
        self.folder = folder
        # A copy, because one test changes it as an update does.
        self.webclient = folder / "webclient"
        await asyncio.to_thread(shutil.copytree, GatewaySettings().webclient_path, self.webclient)
        stack.push_async_callback(self._close_dvrserver)
        await self.start_dvrserver()
        self.gateway = Gateway(
            GatewaySettings(
                data_dir=folder,
                smserver_url=self.smserver.url,
                gateway=GatewayGroup(page_port=0, data_port=0, webclient_dir=self.webclient),
            ),
            self.broker,
            Health("gateway"),
        )
        stack.push_async_callback(self.gateway.close)
        await self.gateway.start()
        await self._configure(password)
        answering = asyncio.create_task(self._acknowledge())
        stack.callback(answering.cancel)
        return self

    async def start_dvrserver(self):
        self.dvrserver = DVRServer(
            DVRServerSettings(
                data_dir=self.folder,
                smserver_url=self.smserver.url,
                egress=EgressSettings(allow="127.0.0.0/8"),
                # Short files, so that playback goes from one to the next.
                dvrserver=DVRServerGroup(control_port=0, stream_port=0, reconnect_max_s=0.5, segment_s=5),
            ),
            self.broker,
            Health("dvrserver"),
        )
        await self.dvrserver.start()

    async def _close_dvrserver(self):
        await self.dvrserver.close()

    async def _close_smserver(self):
        await self.smserver.close()  # the one that runs then: a test may have put another in its place

    async def _configure(self, password):
        still = MotionDetection(enabled=False)
        async with AsyncClient(self.smserver.url) as admin:
            await admin.sign_in("admin", password)
            while "node-1" not in {server.id for server in await admin.servers.list()}:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
            for number, name in ((1, "Main gate"), (2, "Loading bay")):
                url = f"{self.simulator.rtsp_url}/camera/{number}"
                await admin.cameras.add(
                    Camera(
                        id=f"cam-{number}",
                        name=name,
                        node_id="node-1",
                        main_url=f"{url}/main",
                        sub_url=f"{url}/sub",
                        motion=still,
                    )
                )
            await admin.alarms.add(
                Alarm(
                    id="gate-motion",
                    name="Motion at the gate",
                    description="Ask who is there.",
                    trigger=MotionTrigger(camera_id="cam-1"),
                )
            )
            rights = {Right.LIVE, Right.PLAYBACK, Right.EXPORT, Right.ACKNOWLEDGE}
            await admin.profiles.add(Profile(id="night", name="Night", rights=rights, everything=True))
            await admin.users.add(User(id="olga", name="Olga Operator", profile_id="night"), password=PASSWORD)
            bay = Profile(id="bay", name="Bay", rights={Right.LIVE}, camera_ids={"cam-2"})
            await admin.profiles.add(bay)
            await admin.users.add(User(id="nils", name="Nils Narrow", profile_id="bay"), password=PASSWORD)

    async def say(self, *messages):
        publisher = self.broker.publisher("engine")
        await asyncio.gather(*(publisher.publish(envelope(m, source="engine/engine-1")) for m in messages))
        await publisher.close()

    async def raise_alarm(self):
        now = datetime.now(UTC)
        event_id = uuid4().hex
        await self.say(
            AlarmRaised(
                alarm_event_id=event_id,
                alarm_id="gate-motion",
                at=now,
                alarm_name="Motion at the gate",
                priority=Priority.HIGH,
                colour="#d92d20",
                trigger=TriggerKind.MOTION,
                source_id="cam-1",
                node_id="node-1",
                occurred_at=now,
                camera_ids=("cam-1",),
            )
        )
        return event_id

    async def _acknowledge(self):
        queues = queues_of("engine", node="engine-1", partitions=2)
        requests = next(queue for queue in queues if queue.row.name == "engine.requests")
        async for batch in self.broker.subscriber(requests).batches(10):
            for delivery in batch:
                asked = delivery.envelope.message
                if isinstance(asked, AcknowledgeRequested):
                    known = {"alarm_event_id": asked.alarm_event_id, "alarm_id": "gate-motion", "at": asked.at}
                    await self.say(
                        AlarmAcknowledged(**known, user_id=asked.user_id, user_name=asked.user_name),
                        AlarmEnded(**known),
                    )
                delivery.done()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    """One site for all tests of this module: each leaves it working, but not empty."""
    async with AsyncExitStack() as stack:
        yield await Site().start(tmp_path_factory.mktemp("site"), stack)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser, **given):
    """A page of a new browser profile; what it complains about fails the test, but for what a test lets fail."""
    complaints = []
    context = await browser.new_context(**given)
    page = await context.new_page()
    page.may_fail = []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if "Content Security Policy" in said.text or said.type in {"error", "warning"}
            else None
        ),
    )
    try:
        yield page
    finally:
        await context.close()
    assert [text for text in complaints if not any(part in text for part in page.may_fail)] == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(site, browser):
    async with opened(browser, viewport={"width": 1280, "height": 760}) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def phone(site, browser):
    async with opened(
        browser, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True, device_scale_factor=2
    ) as page:
        yield page


CUT = ("WebSocket connection", "Failed to load resource: net::ERR", "the server responded with a status of 50")
"""What a browser writes when a server is away, whoever asks."""


async def sign_in(page, site, password=PASSWORD, *, user="olga", path=""):
    await page.goto(site.gateway.page_url + path)
    await page.get_by_label("User name").fill(user)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def live(page, camera_id):
    """The camera's video element, once it shows a picture."""
    cell = page.locator(f"[data-camera-id={camera_id}]")
    await page.wait_for_selector(f"[data-camera-id={camera_id}][data-status=live]")
    return cell.locator("video")


async def watched(video, seconds=1.5):
    """What the picture is like now, and how far the player's time goes meanwhile."""
    before = await video.evaluate(PICTURE)
    await asyncio.sleep(seconds)
    after = await video.evaluate(PICTURE)
    return after, after["time"] - before["time"]


async def _run_inline_script(site, browser):
    async with opened(browser) as page:
        await page.goto(site.gateway.page_url)
        await page.get_by_label("User name").wait_for()
        await page.evaluate(
            """() => {
              const script = document.createElement('script');
              script.textContent = 'window.ran = true';
              document.body.append(script);
            }"""
        )
        assert await page.evaluate("() => window.ran ?? 'no'") == "no", "the script ran"


async def test_an_inline_script_does_not_run_and_is_noticed(site, browser):
    """The control of all tests here: what breaks the page's policy is a complaint, and a complaint fails a test."""
    with pytest.raises(AssertionError, match="Content Security Policy"):
        await _run_inline_script(site, browser)


async def test_an_operator_signs_in_and_sees_live_pictures_that_move(page, site):
    await sign_in(page, site)
    for camera_id in ("cam-1", "cam-2"):
        picture, advanced = await watched(await live(page, camera_id))
        assert 0.9 <= advanced <= 3, advanced
        assert picture["mean"] > 30, "the picture is black"
        assert picture["spread"] > 5, "the picture is empty"
        assert picture["lag"] < 1.2
        assert picture["width"] == 352, "a grid shows the sub stream"
    await page.get_by_role("button", name="Show Loading bay alone").click()
    # A camera alone shows the main stream; the player begins anew with it.
    async with asyncio.timeout(20):
        while (await (await live(page, "cam-2")).evaluate(PICTURE))["width"] != 640:  # noqa: ASYNC110 - the page tells no event
            await asyncio.sleep(0.1)
    _, advanced = await watched(await live(page, "cam-2"))
    assert advanced > 0.9
    assert await page.locator(".cell").count() == 1
    await page.keyboard.press("Escape")
    await live(page, "cam-1")


async def test_an_alarm_appears_colours_its_camera_and_is_acknowledged(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    title = await page.title()
    event_id = await site.raise_alarm()
    row = page.locator(f"[data-alarm-event-id='{event_id}']")
    await row.get_by_text("Motion at the gate").wait_for()
    await page.wait_for_selector("[data-camera-id=cam-1].alarmed")
    assert await page.locator("[data-camera-id=cam-2].alarmed").count() == 0
    assert await page.title() != title
    assert await row.evaluate("row => getComputedStyle(row).borderLeftColor") == "rgb(217, 45, 32)"
    await row.get_by_text("Ask who is there.").wait_for()
    await row.get_by_role("button", name="Acknowledge").click()
    await row.get_by_text("Olga Operator").wait_for()
    await row.get_by_text("Ended").wait_for()
    await page.wait_for_selector("[data-camera-id=cam-1]:not(.alarmed)")
    assert await row.get_by_role("button", name="Acknowledge").count() == 0
    assert await page.title() == title


async def test_what_happened_while_smserver_was_away_is_there_when_it_is_back(page, site):
    page.may_fail += CUT
    await sign_in(page, site)
    await live(page, "cam-1")
    port = int(site.smserver.url.rsplit(":", 1)[1])
    await site.smserver.close()
    await page.get_by_text("The connection to the server is lost").wait_for()
    picture, advanced = await watched(await live(page, "cam-1"))
    assert advanced > 0.9, "pictures go on without SMServer"
    assert picture["mean"] > 30
    event_id = await site.raise_alarm()
    own = SMServerGroup(port=port, operations_port=0)
    site.smserver = SMServer(site.settings.model_copy(update={"smserver": own}), site.broker, Health("smserver"))
    await site.smserver.start()
    row = page.locator(f"[data-alarm-event-id='{event_id}']")
    await row.wait_for()
    await page.get_by_text("The connection to the server is lost").wait_for(state="hidden")
    await row.get_by_role("button", name="Acknowledge").click()
    await row.get_by_text("Ended").wait_for()


async def test_a_camera_that_goes_away_says_so_and_comes_back_by_itself(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    site.simulator.send_away(site.simulator.camera(1), 5.0, silent=False)
    await page.wait_for_selector("[data-camera-id=cam-1]:not([data-status=live]) .cover")
    shown = await page.get_attribute("[data-camera-id=cam-1] .picture", "class")
    assert "dim" in shown or "dark" in shown, "a frozen picture looks frozen"
    picture, advanced = await watched(await live(page, "cam-1"))
    assert advanced > 0.9
    assert picture["mean"] > 30


async def test_a_session_outlives_a_reload_and_ends_with_sign_out(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await page.reload()
    await live(page, "cam-1")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("User name").wait_for()
    await page.reload()
    await page.get_by_label("User name").wait_for()
    assert await page.evaluate("Object.keys(sessionStorage).length") == 0


async def test_everything_can_be_done_with_the_keyboard(page, site):
    await page.goto(site.gateway.page_url)
    await page.get_by_label("User name").wait_for()
    for keys in ("olga", "Tab", PASSWORD, "Enter"):
        await (page.keyboard.press(keys) if keys in {"Tab", "Enter"} else page.keyboard.type(keys))
    await live(page, "cam-1")
    event_id = await site.raise_alarm()
    row = page.locator(f"[data-alarm-event-id='{event_id}']")
    await row.wait_for()
    await page.locator(".popup").get_by_role("button", name="Close this alarm's window").focus()
    await page.keyboard.press("Escape")
    await page.wait_for_selector(".popup", state="detached")
    await row.get_by_role("button", name="Acknowledge").focus()
    await page.keyboard.press("Enter")
    await row.get_by_text("Olga Operator").wait_for()
    await page.locator("[data-cell='0'] .pick").focus()
    await page.keyboard.press("ArrowRight")
    await page.wait_for_selector("[data-cell='1'].picked")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("1")
    await page.wait_for_selector("[data-camera-id=cam-1][data-stream=main][data-status=live]")
    await page.keyboard.press("9")
    await page.wait_for_selector("[data-camera-id=cam-2][data-stream=sub][data-status=live]")
    await page.locator(".track").focus()
    await page.keyboard.press("ArrowLeft")
    await page.wait_for_selector("[data-camera-id=cam-1][data-status=playing]")
    before = await page.get_attribute(".track", "data-from"), await page.get_attribute(".track", "data-to")
    await page.keyboard.press("+")
    await page.wait_for_function("given => document.querySelector('.track').dataset.from !== given", arg=before[0])
    await page.keyboard.press("End")
    await live(page, "cam-1")
    await page.locator("[data-device=cam-1]").focus()
    await page.keyboard.press("ArrowDown")
    assert await page.evaluate("document.activeElement.dataset.device") == "cam-2"


# --- looking back -----------------------------------------------------------------------------------------------------


async def recorded(page, seconds):
    """Wait until the timeline shows that much footage, so that there is something to look back at."""
    track = page.locator(".track")
    await track.focus()
    for _ in range(4):
        await page.keyboard.press("+")
    await page.wait_for_function(
        """async seconds => {
          const { spans } = await import('/recordings.js');
          const items = spans.value['cam-1']?.items ?? [];
          return items.reduce((sum, { start, end }) => sum + end - start, 0) > seconds * 1000;
        }""",
        arg=seconds,
        polling=500,
        timeout=40_000,
    )


async def click_time(page, seconds_ago):
    """Click the timeline where that moment is; its time in s since 1970."""
    track = page.locator(".track")
    box = await track.bounding_box()
    start, end = [float(await track.get_attribute(name) or 0) for name in ("data-from", "data-to")]
    wanted = datetime.now(UTC).timestamp() * 1000 - seconds_ago * 1000
    await track.click(position={"x": (wanted - start) / (end - start) * box["width"], "y": box["height"] / 2})
    return wanted / 1000


async def playing(page, *camera_ids):
    for camera_id in camera_ids:
        await page.wait_for_selector(f"[data-camera-id={camera_id}][data-status=playing]")


TIMES = """() => [Number(document.querySelector('.at time').dataset.time) / 1000,
  ...[...document.querySelectorAll('.grid video')].map(({ currentTime }) => currentTime)]"""


async def test_the_grid_looks_back_on_one_clock_and_returns_to_live(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await recorded(page, 8)
    wanted = await click_time(page, 6)
    await playing(page, "cam-1", "cam-2")
    clock, *pictures = await page.evaluate(TIMES)
    assert wanted - 1.5 < clock < wanted + 6, "it begins where one clicked"
    assert max(abs(picture - clock) for picture in pictures) < 0.6
    assert abs(pictures[0] - pictures[1]) < 0.5, "both cameras show the same moment"
    picture, advanced = await watched(page.locator("[data-camera-id=cam-1] video"))
    assert 0.8 <= advanced <= 2.4, advanced
    assert picture["mean"] > 30
    assert picture["width"] == 640, "footage is the main stream"
    await page.get_by_role("button", name="Pause", exact=True).click()
    stood = await page.evaluate(TIMES)
    await asyncio.sleep(0.7)
    still = await page.evaluate(TIMES)
    assert max(abs(a - b) for a, b in zip(stood, still, strict=True)) < 0.3, "paused is still"
    await page.get_by_role("button", name="One picture back").click()
    await page.wait_for_function(
        "before => Number(document.querySelector('.at time').dataset.time) / 1000 < before", arg=still[0]
    )
    await page.get_by_role("button", name="10 seconds back").click()
    await page.get_by_label("Speed").select_option("4")
    await page.get_by_role("button", name="Play", exact=True).click()
    await playing(page, "cam-1", "cam-2")
    began = await page.evaluate(TIMES)
    await asyncio.sleep(1)
    went = (await page.evaluate(TIMES))[0] - began[0]
    assert 2 < went < 6.5, "four times as fast"
    await page.get_by_role("button", name="Live", exact=True).click()
    picture, advanced = await watched(await live(page, "cam-1"))
    assert advanced > 0.9
    assert picture["lag"] < 1.2


async def test_time_without_footage_is_said_and_skipped(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await recorded(page, 6)
    await page.evaluate("import('/clock.js').then(clock => clock.seek(Date.now() - 3600e3))")
    await playing(page, "cam-1")
    first = await page.evaluate("import('/recordings.js').then(({ spans }) => spans.value['cam-1'].items[0].start)")
    clock, *_ = await page.evaluate(TIMES)
    assert clock >= first / 1000 - 0.5, "the clock goes on where there is footage again"


async def test_a_snapshot_is_a_jpeg_of_what_is_seen(page, site):
    await sign_in(page, site)
    await live(page, "cam-2")
    async with page.expect_download() as caught:
        await page.get_by_role("button", name="Snapshot of Loading bay").click()
    download = await caught.value
    assert download.suggested_filename.startswith("Loading-bay-2")
    with av.open(str(await download.path())) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (640, 360)
    await page.get_by_text("Snapshot saved as").wait_for()


async def test_a_clip_is_one_file_that_plays(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await recorded(page, 8)
    await page.get_by_role("button", name="Clip", exact=True).click()
    form = page.get_by_role("form", name="Clip of Main gate")
    begin, end = form.get_by_label("From"), form.get_by_label("To")
    later, sooner = await end.input_value(), await begin.input_value()
    await begin.fill(later)
    await form.get_by_role("button", name="Download the clip").click()
    await form.get_by_text("The end must be later than the beginning.").wait_for()
    await begin.fill(sooner)
    async with page.expect_download() as caught:
        await form.get_by_role("button", name="Download the clip").click()
    download = await caught.value
    assert download.suggested_filename.startswith("Main-gate-2")
    with av.open(str(await download.path())) as clip:
        frames = sum(1 for _ in clip.decode(video=0))
        assert clip.streams.video[0].width == 640
    assert frames > 30
    await page.get_by_text("Clip saved as").wait_for()


async def test_an_arrangement_is_made_by_hand_and_kept_on_the_server(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await page.get_by_role("button", name="Show 4 cameras").click()
    await page.drag_and_drop("[data-device=cam-1]", "[data-cell='3']")
    await page.wait_for_selector("[data-cell='3'][data-camera-id=cam-1][data-status=live]")
    await page.get_by_role("button", name="Take Main gate out").first.click()
    await page.wait_for_selector("[data-cell='0'].vacant")
    await page.drag_and_drop("[data-cell='1'] .pick", "[data-cell='2']")
    await page.wait_for_selector("[data-cell='2'][data-camera-id=cam-2]")
    arranged = [None, None, "cam-2", "cam-1"]
    await page.get_by_role("button", name="Layouts").click()
    await page.get_by_label("Save this arrangement as").fill("Night shift")
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.get_by_text("Layout Night shift is saved.").wait_for()
    shown = "() => [...document.querySelectorAll('.grid [data-cell]')].map(cell => cell.dataset.cameraId ?? null)"
    await page.reload()
    await page.wait_for_selector("[data-cell='3'][data-camera-id=cam-1]")
    assert await page.evaluate(shown) == arranged
    await page.evaluate("localStorage.clear()")
    await page.reload()
    await page.wait_for_selector("[data-cell='0'][data-camera-id=cam-1]")
    await page.get_by_role("button", name="Layouts").click()
    await page.get_by_role("button", name="Night shift 4 cells").click()
    await page.wait_for_selector("[data-cell='3'][data-camera-id=cam-1]")
    assert await page.evaluate(shown) == arranged
    async with AsyncClient(site.smserver.url) as olga:
        await olga.sign_in("olga", PASSWORD)
        saved = await olga.layouts.get("Night shift")
        assert saved.tabs[0].cameras == (None, None, "cam-2", "cam-1")
        gate, bay = Tab(name="Gate", cells=1, cameras=("cam-1",)), Tab(name="Bay", cells=1, cameras=("cam-2",))
        await olga.layouts.save(Layout(name="Of Spotter", tabs=(gate, bay)))
    await page.locator(".layouts .menu").click()
    await page.get_by_role("button", name="Of Spotter 1 + 1 cells").click()
    await page.get_by_role("tab", name="Bay").click()
    await page.wait_for_selector("[data-cell='0'][data-camera-id=cam-2][data-status=live]")


async def test_an_alarm_opens_a_window_with_its_camera_and_is_replayed(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await recorded(page, 8)
    event_id = await site.raise_alarm()
    popup = page.locator(f"[data-popup='{event_id}']")
    await popup.locator("[data-status=live]").wait_for()
    picture, advanced = await watched(popup.locator("video"))
    assert advanced > 0.9
    assert picture["mean"] > 30
    await popup.get_by_role("button", name="Acknowledge").click()
    await popup.wait_for(state="detached")
    row = page.locator(f"[data-alarm-event-id='{event_id}']")
    await row.get_by_text("Olga Operator").wait_for()
    await row.get_by_text("Ended").wait_for()
    raised = await row.locator("time").get_attribute("datetime")
    await row.get_by_role("button", name="Play").click()
    await playing(page, "cam-1")
    clock, *_ = await page.evaluate(TIMES)
    assert -6 <= clock - datetime.fromisoformat(raised).timestamp() <= 5
    await row.get_by_text("Details").click()
    await row.get_by_text("high").wait_for()


async def test_one_camera_is_heard(page, site):
    await sign_in(page, site)
    await live(page, "cam-1")
    await page.get_by_role("button", name="Listen to Main gate").click()
    await page.get_by_role("status").get_by_text("This camera sends no sound.").wait_for()


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_narrower_profile_sees_nothing_else(page, site):
    await sign_in(page, site, user="nils")
    await live(page, "cam-2")
    event_id = await site.raise_alarm()
    assert await page.locator("[data-device]").count() == 1
    assert await page.locator("[data-camera-id=cam-1]").count() == 0
    assert await page.get_by_role("button", name="Clip").count() == 0
    await page.get_by_text("Your profile shows no footage.").wait_for()
    assert await page.locator(f"[data-alarm-event-id='{event_id}'], .popup").count() == 0
    page.may_fail += ["the server responded with a status of 40"]
    refused = await page.evaluate(
        """async () => {
          const { cameraPath, open, ask } = await import('/api.js');
          const camera = (id) => ({ id, node_id: 'node-1' });
          const now = new Date().toISOString();
          const status = (asked) => asked.then(() => 200, ({ status }) => status);
          return Promise.all([
            status(open('GET', cameraPath(camera('cam-1'), 'snapshot'))),
            status(open('GET', cameraPath(camera('cam-1'), 'media', { from: now }))),
            status(open('GET', cameraPath(camera('cam-2'), 'media', { from: now }))),
            status(open('GET', cameraPath(camera('cam-2'), 'timeline', { from: now, to: now }))),
            status(ask('POST', '/stream-tickets', { camera_id: 'cam-1' })),
          ]);
        }"""
    )
    assert refused == [404, 404, 403, 403, 404]


async def test_pictures_and_footage_return_when_the_dvrserver_does(page, site):
    page.may_fail += CUT
    await sign_in(page, site)
    await live(page, "cam-1")
    await site.dvrserver.close()
    await page.wait_for_selector("[data-camera-id=cam-1]:not([data-status=live]) .cover")
    await page.wait_for_selector("[data-camera-id=cam-2]:not([data-status=live]) .cover")
    await site.start_dvrserver()
    for camera_id in ("cam-1", "cam-2"):
        _, advanced = await watched(await live(page, camera_id), 1)
        assert advanced > 0.5
    await recorded(page, 3)
    await page.get_by_role("button", name="10 seconds back").click()
    await playing(page, "cam-1")


async def test_a_session_that_ends_leaves_the_view_and_is_taken_up_again(page, site):
    page.may_fail += ["the server responded with a status of 401"]
    await sign_in(page, site)
    await live(page, "cam-1")
    await page.get_by_role("button", name="Show 2 cameras").click()
    await page.drag_and_drop("[data-cell='0'] .pick", "[data-cell='1']")
    await page.wait_for_selector("[data-cell='0'][data-camera-id=cam-2][data-status=live]")
    for old, new in ((PASSWORD, PASSWORD + " 2"), (PASSWORD + " 2", PASSWORD)):
        async with AsyncClient(site.smserver.url) as olga:
            await olga.sign_in("olga", old)
            await olga.change_password(old, new)  # which ends all other sessions
        again = page.get_by_role("dialog", name="Sign in again")
        await again.wait_for()
        assert await page.locator("[data-cell='0'][data-camera-id=cam-2]").count() == 1, "the view stays"
        await again.get_by_label("Password").fill(new)
        await again.get_by_role("button", name="Sign in").click()
        await again.wait_for(state="detached")
        await page.wait_for_selector("[data-cell='0'][data-camera-id=cam-2][data-status=live]")


# --- on a phone -------------------------------------------------------------------------------------------------------


async def swipe(page, selector, by):
    await page.locator(selector).evaluate(
        """(element, by) => {
          const touch = (clientX) => new Touch({ identifier: 1, target: element, clientX, clientY: 200 });
          element.dispatchEvent(new TouchEvent('touchstart', { bubbles: true, touches: [touch(200)] }));
          element.dispatchEvent(new TouchEvent('touchend', { bubbles: true, changedTouches: [touch(200 + by)] }));
        }""",
        by,
    )


async def test_an_operators_round_on_a_phone(phone, site):
    page = phone
    await sign_in(page, site, path="/m")
    picture, advanced = await watched(await live(page, "cam-1"))
    assert advanced > 0.9
    assert picture["width"] == 640, "one camera alone is worth the main stream"
    await swipe(page, ".pictures-of", -120)
    await live(page, "cam-2")
    assert await page.locator("[data-camera-id=cam-1]").count() == 0
    await swipe(page, ".pictures-of", 120)
    await live(page, "cam-1")
    thumbs = page.get_by_role("navigation", name="Views")
    await thumbs.get_by_role("button", name="Cameras").tap()
    await page.locator("[data-device=cam-2]").tap()
    await live(page, "cam-2")
    await recorded(page, 8)
    event_id = await site.raise_alarm()
    popup = page.locator(f"[data-popup='{event_id}']")
    await popup.locator("[data-status=live]").wait_for()
    await popup.get_by_role("button", name="Acknowledge").tap()
    await popup.wait_for(state="detached")
    await thumbs.get_by_role("button", name="Alarms").tap()
    row = page.locator(f"[data-alarm-event-id='{event_id}']")
    await row.get_by_text("Olga Operator").wait_for()
    await row.get_by_role("button", name="Play").tap()
    await playing(page, "cam-1")
    await page.get_by_role("button", name="Pause", exact=True).tap()
    async with page.expect_download() as caught:
        await page.get_by_role("button", name="Snapshot of Main gate").tap()
    with av.open(str(await (await caught.value).path())) as saved:
        assert saved.streams.video[0].width == 640
    await page.get_by_role("button", name="Live", exact=True).tap()
    await live(page, "cam-1")
    small = await page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, summary')]
          .filter(({ offsetWidth: wide, offsetHeight: high }) => wide && Math.min(wide, high) < 44)
          .map(({ className, ariaLabel, textContent }) => `${className} ${ariaLabel} ${textContent}`)"""
    )
    assert small == [], "everything can be touched"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"


async def test_a_phone_keeps_the_shell_and_nothing_else(phone, site):
    page = phone
    page.may_fail += CUT
    await sign_in(page, site, path="/m")
    await live(page, "cam-1")
    await page.wait_for_function("async () => (await caches.keys()).length === 1")
    keeps = "async () => (await (await caches.open((await caches.keys())[0])).keys()).map(({ url }) => url)"
    await page.wait_for_function(f"async () => (await ({keeps})()).length > 20")
    kept = await page.evaluate(keeps)
    shell = await page.evaluate("async () => (await (await fetch('/shell.json')).json()).files")
    origin = site.gateway.page_url
    assert sorted(kept) == sorted(origin + path for path in shell)
    assert not any("config" in url or "/api/" in url or "/live/" in url for url in kept)
    await page.reload()
    await live(page, "cam-1")
    await page.context.set_offline(True)
    await page.reload()
    await page.get_by_text("The gateway does not answer").wait_for()
    await page.context.set_offline(False)
    await live(page, "cam-1")  # it tries again by itself


async def test_a_new_version_of_the_shell_is_offered_and_loaded(phone, site):
    page = phone
    await sign_in(page, site, path="/m")
    await live(page, "cam-1")
    version = "async () => (await caches.keys())[0]"
    await page.wait_for_function(f"async () => Boolean(await ({version})())")
    before = await page.evaluate(version)
    extra = site.webclient / "later.js"
    extra.write_text("// a change\n")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.get_by_text("A new version of this page is ready.").wait_for()
    await page.get_by_role("button", name="Reload").tap()
    await live(page, "cam-1")
    await page.wait_for_function(
        "async before => { const names = await caches.keys(); return names.length === 1 && names[0] !== before; }",
        arg=before,
    )
