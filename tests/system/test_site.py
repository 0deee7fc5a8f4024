"""A whole site as `vigil up` runs it: the main job, what it recorded in other people's players, start and stop."""

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from broker.ports import PORTS
from clients.cli.smoke import CHROMIUM_FLAGS, run_checks
from clients.sdk.client import Client
from vigil.free_ports import free_ports
from vigil.smoke import started_site

pytestmark = pytest.mark.timeout(300)


def required(program):
    found = shutil.which(program)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed")
    if found is None:
        pytest.skip(f"{program} is not installed; `make setup` does it")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with ExitStack() as stack:
        yield started_site(stack, tmp_path_factory.mktemp("site"), "memory")


@pytest.fixture(scope="module")
def segment(site, tmp_path_factory):
    """A recorded segment of at least five seconds, as 5009 serves it."""
    path = tmp_path_factory.mktemp("segment") / "segment.mp4"
    with Client(site.target.api_url) as client:
        client.sign_in(site.target.user, site.target.password)
        node = client.node(next(server for server in client.me().servers if server.id == "node-1"))
        deadline = time.monotonic() + 60
        while True:
            now = datetime.now(UTC)
            found = node.segments("camera-1", now - timedelta(minutes=10), now)
            if found and found[-1].end - found[-1].start > timedelta(seconds=5):
                break
            assert time.monotonic() < deadline, "nothing was recorded"
            time.sleep(0.2)
        node.download("camera-1", found[-1].id, path)
    return path


@pytest.mark.browser
def test_the_main_job_works_from_sign_in_to_acknowledgement(site):
    assert run_checks(site.target) == 0


@pytest.mark.peers
def test_a_recorded_segment_plays_in_ffplay(segment):
    played = subprocess.run(
        [required("ffplay"), "-autoexit", "-loglevel", "error", "-t", "3", str(segment)],
        env={**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (played.returncode, played.stderr) == (0, "")


@pytest.mark.browser
def test_a_recorded_segment_plays_in_chromium(segment):
    chromium = required("chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a laptop without a browser skips before

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    (segment.parent / "page.html").write_text('<video src="segment.mp4" muted autoplay></video>')
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(segment.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/page.html")
            page.wait_for_function("document.querySelector('video').currentTime > 2", timeout=40_000)
            seen = page.evaluate("(v => [v.videoWidth, v.videoHeight, v.error])(document.querySelector('video'))")
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert seen == [1920, 1080, None]


@pytest.fixture
def up(tmp_path):
    """Starts `vigil up` on free ports; its output goes to a file."""
    started = []

    def start(**environment):
        output = (tmp_path / "output").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-m", "vigil", "up"],
            env={**os.environ, **free_ports(), "VIGIL_DATA_DIR": str(tmp_path / "data"), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append((process, output))
        return process, tmp_path / "output"

    yield start
    for process, output in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        output.close()


def test_ctrl_c_stops_everything_cleanly(up):
    environment = free_ports()
    environment["VIGIL_SMSERVER_URL"] = f"http://127.0.0.1:{environment['VIGIL_SMSERVER__PORT']}"
    process, output = up(**environment)
    deadline = time.monotonic() + 60
    while "Ctrl-C stops everything" not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    said = output.read_text()
    assert "Traceback" not in said
    assert "never awaited" not in said
    for port in PORTS:
        if port.process not in ("simulator", "watchdog"):
            socket.create_server(("127.0.0.1", int(environment[port.setting]))).close()


@pytest.mark.parametrize(
    "setting",
    [
        "VIGIL_SMSERVER__PORT",
        "VIGIL_DVRSERVER__CONTROL_PORT",
        "VIGIL_DVRSERVER__STREAM_PORT",
        "VIGIL_GATEWAY__PAGE_PORT",
        "VIGIL_FLOWER__PORT",
    ],
)
def test_a_taken_port_is_named_with_the_setting_that_moves_it(up, setting):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        number = str(holder.getsockname()[1])
        process, output = up(**{setting: number})
        assert process.wait(60) == 1
    said = output.read_text()
    assert f"127.0.0.1:{number} is taken" in said
    assert setting in said
    assert "Traceback" not in said
