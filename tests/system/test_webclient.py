"""The web client in a real browser, before a real site: SMServer, DVRServer, gateway and simulated cameras.

The alarm engine is played by the test, which says on the broker what the engine would say; `make smoke` has the
whole chain.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from broker.codec import envelope
from broker.database import migrate
from broker.memory import Hub, MemoryBroker
from broker.model.base import Priority
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
        await asyncio.to_thread(migrate, self.settings.database_url("smserver"), SCHEMA, MIGRATIONS)
        self.broker = MemoryBroker(Hub(self.settings.broker.partitions), health=Health("tests"))
        await self.broker.start()
        stack.push_async_callback(self.broker.close)
        self.smserver = SMServer(self.settings, self.broker, Health("smserver"))
        stack.push_async_callback(self._close_smserver)
        await self.smserver.start()
        password = self.smserver.first_password
        dvrserver = DVRServer(
            DVRServerSettings(
                data_dir=folder,
                smserver_url=self.smserver.url,
                egress=EgressSettings(allow="127.0.0.0/8"),
                dvrserver=DVRServerGroup(control_port=0, stream_port=0, reconnect_max_s=0.5),
            ),
            self.broker,
            Health("dvrserver"),
        )
        stack.push_async_callback(dvrserver.close)
        await dvrserver.start()
        self.gateway = Gateway(
            GatewaySettings(
                data_dir=folder, smserver_url=self.smserver.url, gateway=GatewayGroup(page_port=0, data_port=0)
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
            rights = {Right.LIVE, Right.ACKNOWLEDGE}
            await admin.profiles.add(Profile(id="night", name="Night", rights=rights, everything=True))
            await admin.users.add(User(id="olga", name="Olga Operator", profile_id="night"), password=PASSWORD)

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


@pytest_asyncio.fixture(loop_scope="module")
async def page(site, browser):
    """A page of a new user; what it complains about fails the test, but for requests that a test lets fail."""
    complaints = []
    context = await browser.new_context(viewport={"width": 1280, "height": 760})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if "Content Security Policy" in said.text or (said.type == "error" and "Failed to load" not in said.text)
            else None
        ),
    )
    yield page
    await context.close()
    assert [text for text in complaints if "WebSocket connection" not in text] == []


async def sign_in(page, site, password=PASSWORD):
    await page.goto(site.gateway.page_url)
    await page.get_by_label("User name").fill("olga")
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
    picture, advanced = await watched(await live(page, "cam-2"))
    assert picture["width"] == 640, "a camera alone shows the main stream"
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
    assert "dim" in (await page.get_attribute("[data-camera-id=cam-1]", "class")), "a frozen picture looks frozen"
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
    await row.get_by_role("button", name="Acknowledge").focus()
    await page.keyboard.press("Enter")
    await row.get_by_text("Olga Operator").wait_for()
    await page.keyboard.press("1")
    await page.wait_for_selector("[data-camera-id=cam-1][data-stream=main][data-status=live]")
    await page.keyboard.press("9")
    await page.wait_for_selector("[data-camera-id=cam-2][data-stream=sub]")
