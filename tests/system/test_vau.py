"""VAU against a real SMServer, from `vigil release keygen` to an application that goes back by itself."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection

import pytest

from broker.database import migrate
from clients.release.applications import BUILTIN, gather
from clients.release.build import build
from clients.release.publish import to_server
from clients.sdk import AsyncClient, Client
from servers.smserver.store import MIGRATIONS, SCHEMA
from tests.clients.vau.site import FAILS, WORKS, Computer, Publisher
from vigil.free_ports import free_ports

pytestmark = pytest.mark.timeout(300)

STEPS = (
    "contacted",
    "version known",
    "prepared",
    "reused",
    "receiving",
    "fetched",
    "listed",
    "placed",
    "switched",
    "configured",
    "started",
    "watching",
)
"""Where VAU is killed; each is an audit event of its own (`sys.addaudithook`)."""

KILLED_AT = """
import os, signal, sys
step, sys.argv = sys.argv[1], ["vigil", "vau", *sys.argv[2:]]
def hear(name, given):
    if name == "vigil.vau.step" and given[0] == step:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hear)
from vigil.__main__ import main
main()
"""


class RealSite:
    """SMServer as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, **free_ports(), "VIGIL_DATA_DIR": str(folder / "data")}
        self.port = int(self.environment["VIGIL_SMSERVER__PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment["VIGIL_SMSERVER_URL"] = self.url
        (folder / "data").mkdir(parents=True)
        migrate(f"sqlite:///{folder}/data/smserver.db", SCHEMA, MIGRATIONS)
        self.output = (folder / "smserver.out").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vigil", "smserver"],
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.DEVNULL,
        )
        self.password = self._first_password()

    def _first_password(self) -> str:
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None
            assert time.monotonic() < deadline, "SMServer did not start"
            said = (self.folder / "smserver.out").read_text()
            if "one-time password" in said:
                with suppress(OSError):
                    create_connection(("127.0.0.1", self.port)).close()
                    return said.split("one-time password ")[1].split()[0]
            time.sleep(0.05)

    def publish(self, publisher) -> None:
        with Client(self.url) as client:
            client.sign_in("admin", self.password)
            to_server(publisher.repository, client)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.output.close()


@pytest.fixture
def site(tmp_path):
    site = RealSite(tmp_path / "site")
    yield site
    site.close()


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path / "publisher")


@pytest.fixture
def computer(tmp_path, publisher, site, monkeypatch):
    (tmp_path / "computer").mkdir()
    computer = Computer(tmp_path / "computer", publisher, site.port)
    monkeypatch.setenv("VIGIL_TEST_REPORT", str(computer.report))
    return computer


def shape(marker: bytes) -> dict[str, bytes]:
    """An application of 60 files and 3 MB; `marker` is in two of them."""
    files = {f"lib/part{number}.bin": bytes([number]) * 10_000 for number in range(58)}
    return {**files, "data/version": marker, "data/long.bin": bytes(range(256)) * 10_000 + marker}


def test_an_application_comes_is_kept_up_to_date_and_goes_back_by_itself(site, publisher, computer):
    release = publisher.release("1.0", WORKS, shape(b"1.0"))
    site.publish(publisher)
    first = computer.start()
    assert computer.ran == ["1.0"]
    assert first.transport.received >= sum({file.sha256: file.length for file in release.files}.values())

    publisher.release("1.1", WORKS, shape(b"1.1"))
    site.publish(publisher)
    second = computer.start()
    assert computer.ran == ["1.0", "1.1"]
    lists = len(second.place.list_of(second.place.state().current).read_bytes())
    assert second.transport.received - lists < 150_000  # a small file, a piece of a long one, metadata

    third = computer.start()
    assert computer.ran == ["1.0", "1.1", "1.1"]
    assert third.transport.requests == 4  # contact, next root, timestamp, configuration
    assert third.transport.received < 5_000

    publisher.release("1.2", FAILS, shape(b"1.2"))
    site.publish(publisher)
    computer.start()
    assert computer.ran == ["1.0", "1.1", "1.1", "broken", "1.1"]
    assert "does not work here" in computer.told[0]
    computer.start()
    assert computer.ran[-1] == "1.1"

    publisher.release("1.3", WORKS, shape(b"1.3"))
    site.publish(publisher)
    computer.start()
    assert computer.ran[-1] == "1.3"


@pytest.mark.parametrize("empty", [True, False], ids=["from an empty folder", "on an update"])
def test_vau_killed_at_any_step_starts_the_application_the_next_time(site, publisher, computer, empty):
    publisher.release("1.0", WORKS, shape(b"1.0"))
    site.publish(publisher)
    if not empty:
        computer.start()
    steps = ("prepared", "receiving", "listed", "placed", "switched", "started") if empty else STEPS
    for number, step in enumerate(steps, 1):
        version = "1.0" if empty else f"1.{number}"
        if empty:
            computer.folder = computer.folder.parent / f"computer-{number}"
        else:
            publisher.release(version, WORKS, shape(version.encode()))
            site.publish(publisher)
        arguments = ["--server", f"127.0.0.1:{site.port}", "--app", "demo", "--folder", str(computer.folder / "vau")]
        arguments += ["--root", str(publisher.repository.metadata / "1.root.json")]
        killed = subprocess.run([sys.executable, "-c", KILLED_AT, step, *arguments], check=False, timeout=60)
        assert killed.returncode == -signal.SIGKILL, step
        before = len(computer.ran)
        computer.start()
        assert computer.ran[before:][-1] == version, step
        assert computer.told == [], step
        state = computer.vau().place.state()
        assert (state.current, state.failed) == (state.good, ()), step


def test_the_command_line_makes_signs_publishes_and_starts_an_application(site, tmp_path):
    """As somebody types it who has read the page about updates; a signed-in client hears of each version."""
    environment = {**site.environment, "VIGIL_USER": "admin", "VIGIL_PASSWORD": site.password}
    environment |= {"VIGIL_TEST_REPORT": str(tmp_path / "report"), "VIGIL_RELEASE_PASSPHRASE": "correct horse"}
    (tmp_path / "app/lib").mkdir(parents=True)

    def vigil(*arguments, status=0):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "vigil", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    async def told(version):
        async with AsyncClient(site.url) as client:
            await client.sign_in("admin", site.password)
            async for event in client.events(since=0):
                if event.kind == "UpdateAvailable" and event.data["version_name"] == version:
                    return event.data["application"]
        return None

    vigil("release", "keygen", "keys")
    for version in ("1.0", "1.1"):
        (tmp_path / "app/lib/demo.py").write_text(WORKS + f"# {version}\n")
        vigil("release", "build", "demo", version, "app")
        vigil("release", "sign", "--keys", "keys")
        assert f"demo {version} is what clients find now" in vigil("release", "publish")
        assert asyncio.run(asyncio.wait_for(told(version), 20)) == "demo"
        said = vigil(
            "vau", "--server", f"127.0.0.1:{site.port}", "--app", "demo", "--folder", "vau",
            "--root", "releases/metadata/1.root.json",
        )  # fmt: skip
        assert said == ""
    assert (tmp_path / "report").read_text().split() == ["1.0", "1.1"]


@pytest.mark.parametrize("application", ["spotter", "system-manager"])
def test_the_real_application_starts_through_vau_and_reports_healthy(site, tmp_path, application):
    pytest.importorskip("PySide6")
    if find_spec(f"clients.{application.replace('-', '_')}") is None:
        pytest.skip(f"{application} is not part of this tree")
    publisher = Publisher(tmp_path / "publisher", application)
    known = BUILTIN[application]
    build(
        publisher.repository,
        gather(application, libraries=False),
        application=application,
        version="1.0",
        module=known.module,
        arguments=known.arguments,
    )
    publisher.sign()
    site.publish(publisher)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "vigil", "vau", "--app", application, "--server", f"127.0.0.1:{site.port}"]
    command += ["--folder", str(tmp_path / "vau"), "--root", str(publisher.repository.metadata / "1.root.json")]
    with (tmp_path / "stderr").open("w") as stderr:  # a file: the application keeps it open when VAU has ended
        done = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, timeout=200, check=False
        )
    said = (tmp_path / "stderr").read_text()
    assert done.returncode == 0, said
    home = tmp_path / "vau" / f"127.0.0.1_{site.port}" / application
    state = json.loads((home / "state.json").read_text())
    assert state["good"] == state["current"], said
    running = _processes_of(home)
    assert running, "the application runs on when VAU has ended"
    for pid in running:
        os.kill(pid, signal.SIGTERM)


class SpotterComputer(Computer):
    """A computer on which VAU starts the real Spotter; its start is over when Spotter's window is on the screen."""

    showed: list[str]

    def start(self, **more):
        """Start Spotter and close it again once it has reported healthy; `showed` has the version that did."""
        vau = self.vau(**{"health_s": 60.0, **more})
        started = vau.run()
        try:
            deadline = time.monotonic() + 60
            while not started.healthy.exists():
                assert started.process.poll() is None, self.told
                assert time.monotonic() < deadline, "Spotter did not show its window"
                time.sleep(0.05)
            tree = vau.place.folder_of(vau.place.state().current)
            assert started.process.pid in _processes_of(tree)
            launch = json.loads((started.healthy.parent / "launch.json").read_text())
            self.showed.append(launch["version"])
        finally:
            started.process.terminate()
            started.process.wait(20)
        return vau


@pytest.fixture
def spotter(tmp_path, site, monkeypatch):
    pytest.importorskip("PySide6")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "computer").mkdir()
    computer = SpotterComputer(tmp_path / "computer", Publisher(tmp_path / "publisher", "spotter"), site.port)
    computer.showed = []
    yield computer
    for pid in _processes_of(computer.folder.parent):  # whose VAU was killed
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


HEALTHY = "QTimer.singleShot(HEALTHY_MS, launched.report_healthy)"
CHANGED = ("lib/clients/spotter/help_page.py", "lib/clients/desktop/application.py")


def publish_spotter(site, publisher, version, *, works=True) -> int:
    """Build a Spotter with `vigil release build`, sign and publish it; the bytes of the files that are its own."""
    repository = publisher.repository
    arguments = ["spotter", version, "--repository", str(repository.folder)]
    changed = 0
    if version == "1.0":
        arguments += ["--no-libraries"]
    else:
        tree = publisher.folder / f"spotter-{version}"
        for name, path in gather("spotter", libraries=False).items():
            content = path.read_bytes()
            if name in CHANGED:
                content += f"# {version}\n".encode()
                if not works:
                    assert HEALTHY.encode() in content or name == CHANGED[0]
                    content = content.replace(HEALTHY.encode(), b"pass")
                changed += len(content)
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        arguments += [str(tree), "--module", "vigil", "--argument", "spotter"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vigil", "release", "build", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    publisher.sign()
    site.publish(publisher)
    return changed


def test_spotter_comes_is_kept_up_to_date_and_goes_back_by_itself(site, spotter):
    publisher = spotter.publisher
    publish_spotter(site, publisher, "1.0")
    first = spotter.start()
    assert spotter.showed == ["1.0"]
    before = _inodes(first.place.folder_of(first.place.state().current))

    changed = publish_spotter(site, publisher, "1.1")
    second = spotter.start()
    assert spotter.showed == ["1.0", "1.1"]
    lists = len(second.place.list_of(second.place.state().current).read_bytes())
    assert second.transport.received - lists < changed + 20_000  # the two files and the metadata
    after = _inodes(second.place.folder_of(second.place.state().current))
    assert {name for name in after if after[name] != before.get(name)} == set(CHANGED)  # the rest was linked

    third = spotter.start()
    assert spotter.showed == ["1.0", "1.1", "1.1"]
    assert third.transport.requests == 4  # contact, next root, timestamp, configuration
    assert third.transport.received < 5_000
    assert spotter.told == []

    publish_spotter(site, publisher, "1.2", works=False)
    fourth = spotter.start(health_s=4.0)
    assert spotter.showed[3:] == ["1.1"]
    assert "did not report within 4 seconds" in spotter.told[0]
    state = fourth.place.state()
    assert (state.current.version, state.good.version) == ("1.1", "1.1")
    assert [failed.why for failed in state.failed] == ["it did not report within 4 seconds that it works"]
    spotter.start()
    assert spotter.showed[3:] == ["1.1", "1.1"]


def _inodes(tree: Path) -> dict[str, int]:
    return {
        path.relative_to(tree).as_posix(): path.stat().st_ino
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(
    ("empty", "steps"),
    [
        pytest.param(True, ("receiving",), id="from an empty folder"),
        pytest.param(False, ("placed",), id="on an update"),
        pytest.param(True, ("prepared", "listed", "placed", "switched", "started"), marks=pytest.mark.long, id="all"),
        pytest.param(False, STEPS, marks=pytest.mark.long, id="all on an update"),
    ],
)
def test_vau_killed_in_the_middle_starts_spotter_the_next_time(site, spotter, empty, steps):
    publisher = spotter.publisher
    publish_spotter(site, publisher, "1.0")
    if not empty:
        spotter.start()
    for number, step in enumerate(steps, 1):
        version = "1.0" if empty else f"1.{number}"
        if empty:
            spotter.folder = spotter.folder.parent / f"computer-{number}"
        else:
            publish_spotter(site, publisher, version)
        arguments = ["--server", f"127.0.0.1:{site.port}", "--app", "spotter", "--folder", str(spotter.folder / "vau")]
        arguments += ["--root", str(publisher.repository.metadata / "1.root.json")]
        killed = subprocess.run([sys.executable, "-c", KILLED_AT, step, *arguments], check=False, timeout=60)
        assert killed.returncode == -signal.SIGKILL, step
        vau = spotter.start()
        assert spotter.showed[-1] == version, step
        assert spotter.told == [], step
        state = vau.place.state()
        assert (state.current, state.failed) == (state.good, ()), step


def _processes_of(home: Path) -> list[int]:
    """The processes that run from a tree below this folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if f"PYTHONPATH={home}/".encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
    return found
