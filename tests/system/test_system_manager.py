"""An administrator sets up a site, in the window and by `vigil sm`; a guard then sees what is meant and no more."""

import os
import time
import urllib.request
from contextlib import ExitStack

import pytest

from clients.sdk import Client, NotFoundError
from tests.system.administered import Plan, configure_by_command, configure_by_window, sm
from vigil.smoke import started_site

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytestmark = pytest.mark.timeout(300)

SMALL = {
    "VIGIL_SIMULATOR__WIDTH": "640",
    "VIGIL_SIMULATOR__HEIGHT": "360",
    "VIGIL_SIMULATOR__FPS": "15",
    "VIGIL_SIMULATOR__KBPS": "600",
    "VIGIL_SIMULATOR__LOOP_S": "4",
    "VIGIL_SIMULATOR__SCENES": "2",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A running site with two simulated cameras; the second one's address is free for the plan."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        yield started_site(stack, folder, "memory", VIGIL_SIMULATOR__CLIPS_DIR=str(folder / "clips"), **SMALL)


def plan_for(site, number, **names):
    address = f"rtsp://127.0.0.1:{site.environment['VIGIL_SIMULATOR__RTSP_PORT']}/camera/{number}"
    return Plan(camera_url=f"{address}/main", sub_url=f"{address}/sub", **names)


@pytest.fixture
def until(qtbot):
    def until(condition, seconds=20):
        qtbot.waitUntil(lambda: bool(condition()), timeout=seconds * 1000)

    return until


def make_motion(site, number):
    url = f"{site.target.simulator_url}/cameras/{number}/motion?seconds=4"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
        pass


def guard_sees_only(site, plan):
    """The guard of a plan signs in, sees one camera and one alarm, hears of motion there and acknowledges it."""
    with Client(site.target.api_url) as guard:
        guard.sign_in(plan.user_id, plan.password)
        me = guard.me()
        assert [camera.id for camera in me.cameras] == [plan.camera_id]
        assert [alarm.id for alarm in me.alarms] == [plan.alarm_id]
        with pytest.raises(NotFoundError):
            guard.cameras.get("camera-1")
        deadline = time.monotonic() + 60
        make_motion(site, 2)
        while not (events := guard.alarm_events()):
            assert time.monotonic() < deadline, "no alarm came of motion"
            time.sleep(0.2)
        assert {event.alarm_id for event in events} == {plan.alarm_id}
        guard.acknowledge(events[0].id)
        while guard.alarm_event(events[0].id).acknowledged is None:
            assert time.monotonic() < deadline, "the acknowledgement was not applied"
            time.sleep(0.1)
        guard.sign_out()


def test_a_site_is_set_up_in_the_window_and_its_guard_sees_nothing_else(site, qapp, until, tmp_path, monkeypatch):
    from clients.desktop.application import Application  # noqa: PLC0415 - Qt, once it knows that there is no screen
    from clients.desktop.sites import Sites  # noqa: PLC0415 - the same
    from clients.system_manager.window import TITLE, MainWindow  # noqa: PLC0415 - the same

    monkeypatch.setenv("VIGIL_SMSERVER_URL", site.target.api_url)
    application = Application(TITLE, MainWindow, sites=Sites(tmp_path / "desktop.json"))
    try:
        application.start()
        application.sign_in.user.setText(site.target.user)
        application.sign_in.password.setText(site.target.password)
        application.sign_in.submit()
        until(lambda: application.window is not None and application.window.site.loaded)
        plan = plan_for(site, 2)
        configure_by_window(application.window, plan, until)
        guard_sees_only(site, plan)
    finally:
        application.close()


def test_the_same_by_the_command_line(site, tmp_path):
    administrator = {
        "VIGIL_SMSERVER_URL": site.target.api_url,
        "VIGIL_USER": site.target.user,
        "VIGIL_PASSWORD": site.target.password,
    }
    plan = plan_for(
        site, 2, server_id="node-3", camera_id="dock", alarm_id="dock-motion", profile_id="dock-guards", user_id="otto"
    )
    said = configure_by_command(administrator, plan)
    assert "640 by 360 pixels" in said
    guard_sees_only(site, plan)
    assert "dock" in sm(administrator, "states")
    assert "otto" in sm(administrator, "audit", "--kind", "user")
    shown = sm(administrator, "alarms", "show", plan.alarm_id, "--json")
    assert '"record_camera"' in shown
    picture = sm(
        administrator, "cameras", "snapshot", plan.camera_id, "--out", str(site.children.log_of("up").parent / "x.jpg")
    )
    assert "bytes" in picture
    assert "48 of 192 cells hidden" in sm(administrator, "cameras", "mask", plan.camera_id, "--hide", "0-15,0-2")
