"""An operator's shift in Spotter at a real site: RabbitMQ, PostgreSQL, every server a process of its own.

The cameras draw their time into the picture, so that what is on the screen says when it was.
"""

import asyncio
import os
import statistics
import time
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

from broker.model.resources import Alarm, Mask, MotionDetection, MotionTrigger, Profile, Right, User
from clients.desktop.application import Application
from clients.desktop.session import Link
from clients.desktop.sites import Sites
from clients.desktop.video.live import LiveFeed, State
from clients.sdk import AsyncClient, Client
from clients.simulator import stamp
from clients.spotter.timeline import now_us
from clients.spotter.window import MainWindow
from servers.net.rtsp_client import play
from vigil.children import wait_for_health
from vigil.smoke import started_site

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(240)]

FPS = 10
FRAME_US = 1_000_000 // FPS
STAMP_HIDDEN = MotionDetection(mask=Mask(hidden=tuple(range(7 * 16))))
"""What is drawn into the upper half changes with every picture, which is no motion."""
PASSWORD = "what-olga-knows"
NARROW = Profile(
    id="gate",
    name="Gate",
    rights=frozenset({Right.LIVE, Right.PLAYBACK, Right.ACKNOWLEDGE}),
    camera_ids=frozenset({"camera-1"}),
    alarm_ids=frozenset({"entrance-motion"}),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory, rabbitmq, postgres):
    """Two cameras, an alarm on each, and Olga, who may see the first of them."""
    del rabbitmq, postgres  # asked for so that a laptop without them skips
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        started = started_site(
            stack, folder, "rabbitmq", cameras=2, VIGIL_SIMULATOR__STAMP="true", VIGIL_SIMULATOR__FPS=str(FPS)
        )
        with Client(started.target.api_url) as admin:
            admin.sign_in("admin", started.target.password)
            for number in (1, 2):
                camera = admin.cameras.get(f"camera-{number}")
                admin.cameras.replace(camera.model_copy(update={"motion": STAMP_HIDDEN}))
            admin.alarms.add(
                Alarm(id="park-motion", name="Motion in the car park", trigger=MotionTrigger(camera_id="camera-2"))
            )
            admin.profiles.add(NARROW)
            admin.users.add(User(id="olga", name="Olga", profile_id="gate"), password=PASSWORD)
        yield started


@pytest.fixture
def until(qtbot):
    def until(condition, seconds=30, what=""):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, what or "it did not happen"
            qtbot.wait(20)

    return until


@pytest.fixture
def admin(site):
    with Client(site.target.api_url) as admin:
        admin.sign_in("admin", site.target.password)
        yield admin
        admin.profiles.replace(NARROW)


@pytest.fixture
def window(site, tmp_path, monkeypatch, until, admin):
    """Olga has signed in; the first camera is in the first cell."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    application = Application("Vigil Spotter", MainWindow, sites=Sites(tmp_path / "sites.json"))
    application.start()
    application.sign_in.address.setCurrentText(site.target.api_url.removeprefix("http://"))
    application.sign_in.user.setText("olga")
    application.sign_in.password.setText(PASSWORD)
    application.sign_in.submit()
    until(lambda: application.window is not None, what="signing in")
    window = application.window
    until(lambda: window.site.cameras and window.layouts.ready, what="the profile")
    window.page.grid.set_cameras(("camera-1",))
    yield window
    application.close()


def drawn(cell):
    """The moment that is drawn into the picture on the screen, µs; none when it cannot be read."""
    image = cell.frame.image
    view = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    found = stamp.read(view[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[:, :, 2::-1])
    return found and found.time_us


def move(site, number=1, seconds=3):
    httpx.post(f"{site.target.simulator_url}/cameras/{number}/motion", json={"seconds": seconds}).raise_for_status()


def test_an_operator_sees_replays_and_acknowledges_what_the_profile_shows_and_nothing_else(
    site, window, until, qtbot, admin
):
    cell = window.page.grid.cells[0]
    until(lambda: cell.frame is not None and cell.state is State.PLAYING, what="the live picture")
    assert now_us() - drawn(cell) < 3_000_000

    # Nothing else: neither in the list, nor by asking for it.
    assert window.tree.camera_names() == ["Entrance"]
    window.page.grid.place("camera-2", 1)
    qtbot.wait(500)
    assert window.page.grid.cells[1].frame is None
    assert window.page.grid.cells[1].sentence == "Your profile does not show this camera any more."
    window.page.grid.remove(1)

    # The alarm of the camera that Olga sees, with sound and a window of its own; not the other one's.
    move(site, 2, 12)
    move(site, 1)
    until(lambda: window.alarms.book.active, what="the alarm")
    (event,) = window.alarms.book.active
    assert event.alarm_id == "entrance-motion"
    assert window.bell.rung or window.bell.muted
    assert window.popup.isVisible()
    until(lambda: window.popup.grid.cells[0].frame is not None, what="the picture in the alarm's window")
    window.panel.choose(event.id)
    window.panel.acknowledge()
    until(lambda: window.alarms.book.get(event.id).acknowledged is not None, what="the acknowledgement")
    assert window.alarms.book.get(event.id).acknowledged.user_name == "Olga"
    assert admin.alarm_event(event.id).acknowledged.user_id == "olga"
    until(lambda: any(each.alarm_id == "park-motion" for each in admin.alarm_events()), what="the other alarm")
    qtbot.wait(500)
    assert {each.alarm_id for each in window.alarms.book.listed("All")} == {"entrance-motion"}
    window.popup.close()

    # Recorded: what is on the screen was drawn when it was asked for.
    until(lambda: len(window.page.footage.rows().get("Entrance", [])) > 0, what="the timeline")
    until(lambda: now_us() - window.page.footage.rows()["Entrance"][0].start_us > 12_000_000, 30, "some footage")
    away = []
    for seconds in (4, 6, 5, 7, 3.5):
        asked = now_us() - round(seconds * 1_000_000)
        window.page.go_to(asked, playing=False)
        until(lambda asked=asked: 0 <= asked - shown_us(cell) < 2 * FRAME_US, what="the moment asked for")
        away.append(abs(asked - drawn(cell)))
    assert statistics.median(away) < 2 * FRAME_US

    before = cell.frame.time_us
    window.page.step(1)
    until(lambda: cell.frame.time_us > before, what="a step forward")
    assert cell.frame.time_us - before < 2 * FRAME_US
    window.page.step(-1)
    until(lambda: cell.frame.time_us <= before, what="a step back")
    assert before - cell.frame.time_us < 2 * FRAME_US

    window.page.player.play()
    began, at = time.monotonic(), window.page.player.clock.position_us
    until(lambda: cell.frame.time_us - at > 1_000_000, what="playing on")
    assert time.monotonic() - began < 10
    window.page.set_speed(-1)
    turned = cell.frame.time_us
    until(lambda: cell.frame.time_us < turned - 500_000, what="playing backwards")
    window.page.go_live()
    until(lambda: cell.frame is not None and now_us() - cell.frame.time_us < 3_000_000, what="the present")


def shown_us(cell):
    """The moment of the recorded picture on the screen; far away while there is none."""
    return cell.frame.time_us if cell.frame is not None and cell.recorded else 0


def test_the_check_of_what_is_seen_fails_for_a_profile_that_shows_more(window, until, admin):
    admin.profiles.replace(NARROW.model_copy(update={"everything": True}))
    until(lambda: window.tree.camera_names() == ["Car park", "Entrance"], what="the wider profile")


def restart(site, name, setting):
    site.children.start(name, ["-m", "vigil", name])
    wait_for_health(f"http://127.0.0.1:{site.environment[setting]}", site.children.running[name])


def test_a_stream_returns_by_itself_when_its_server_does(site, window, until):
    cell = window.page.grid.cells[0]
    until(lambda: cell.frame is not None, what="the live picture")
    site.children.kill("dvrserver")
    until(lambda: cell.state is State.BROKEN, what="the sentence in the cell")
    assert cell.sentence == "The recording server does not answer; trying again."
    last = cell.frame.time_us
    restart(site, "dvrserver", "VIGIL_DVRSERVER__OPERATIONS_PORT")
    until(lambda: cell.state is State.PLAYING and cell.frame.time_us > last, 40, "the picture")
    assert cell.sentence == ""


def test_without_reconnecting_the_stream_stays_away(site, window, until, qtbot, monkeypatch):
    async def once(feed):
        feed._report(State.CONNECTING, "")
        address = await feed._opener(feed._stream)
        await play(address.url, feed, audio=False)

    monkeypatch.setattr(LiveFeed, "run", once)
    cell = window.page.grid.cells[0]
    window.page.grid.refill()
    until(lambda: cell.frame is not None, what="the live picture")
    site.children.kill("dvrserver")
    restart(site, "dvrserver", "VIGIL_DVRSERVER__OPERATIONS_PORT")
    qtbot.wait(1000)  # what had arrived before is still decoded
    last = cell.frame.time_us
    qtbot.wait(6000)
    assert cell.frame.time_us == last


def test_alarms_return_when_the_management_server_does_and_none_is_missed(site, window, until, admin):
    until(lambda: window.session.standing.link is Link.CONNECTED, what="the event stream")
    cell = window.page.grid.cells[0]
    until(lambda: cell.frame is not None, what="the live picture")
    known = {event.id for event in window.alarms.book.listed("All")}
    for event_id in known:
        window.alarms.acknowledge(event_id)
    until(lambda: window.alarms.book.unacknowledged == 0, what="quiet")
    until(lambda: not window.alarms.book.active, what="the end of earlier alarms")
    site.children.kill("smserver")
    until(lambda: window.session.standing.link is Link.RECONNECTING, what="the sentence in the status bar")
    last = cell.frame.time_us
    move(site, 1)
    until(lambda: cell.frame.time_us > last + 2_000_000, what="the picture, which does not pass through it")
    restart(site, "smserver", "VIGIL_SMSERVER__OPERATIONS_PORT")
    until(lambda: {event.id for event in window.alarms.book.active} - known, 60, "the alarm of meanwhile")
    assert window.session.standing.link is Link.CONNECTED


def test_rights_that_are_taken_away_are_gone_at_once(site, window, until, admin):
    cell = window.page.grid.cells[0]
    until(lambda: cell.frame is not None, what="the live picture")
    admin.profiles.replace(NARROW.model_copy(update={"rights": frozenset({Right.PLAYBACK})}))
    until(lambda: cell.sentence == "Your profile does not let you watch live pictures.", what="the sentence")
    assert cell.frame is None
    admin.profiles.replace(NARROW.model_copy(update={"camera_ids": frozenset()}))
    until(lambda: window.tree.camera_names() == [], what="the empty list")
    assert cell.frame is None
    admin.profiles.replace(NARROW)
    until(lambda: cell.frame is not None and cell.state is State.PLAYING, what="the picture again")


def test_an_arrangement_is_there_at_the_next_sign_in(site, window, until, qtbot):
    window.page.grid.set_cells(9)
    window.page.grid.set_cameras((None, "camera-1"))
    window.add_tab()
    window.layouts.save_now()

    async def kept():
        async with AsyncClient(site.target.api_url) as client:
            await client.sign_in("olga", PASSWORD)
            return await client.layouts.get("Last session")

    until(lambda: len(asyncio.run(kept()).tabs) == 2, what="the layout on the server")
    window._user_id = ""  # as if somebody else had been here
    window._signed_in()
    until(lambda: len(window.pages) == 2, what="the tabs")
    assert len(window.pages[0].grid.cells) == 9
    assert window.pages[0].grid.cameras[1] == "camera-1"


def test_a_session_that_is_revoked_leaves_nothing_on_the_screen(site, window, until, admin):
    cell = window.page.grid.cells[0]
    until(lambda: cell.frame is not None, what="the live picture")
    admin.users.replace(User(id="olga", name="Olga", profile_id="gate", enabled=False))
    try:
        until(lambda: window.session.standing.link is Link.OVER, what="the end of the session")
        assert cell.frame is None
        assert window.application.sign_in.isVisible()
        assert window.application.sign_in.user.text() == "olga"
    finally:
        admin.users.replace(User(id="olga", name="Olga", profile_id="gate"))
