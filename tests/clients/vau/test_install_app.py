import hashlib
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from clients.vau.install_app import install_app

APP = typer.Typer()
APP.command()(install_app)


@pytest.fixture
def run(tmp_path):
    def run(*arguments, status=0):
        result = CliRunner().invoke(APP, ["--prefix", str(tmp_path / "home"), *arguments])
        assert result.exit_code == status, result.output
        return result.output

    return run


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_launchers_start_vau_and_go_again_without_a_trace(run, publisher, mirror, tmp_path):
    home = tmp_path / "home"
    root = publisher.repository.metadata / "1.root.json"
    run("--server", "vms.example.org", "--root", str(root), "--pin", "AB" * 32)
    assert files(home) == [
        "bin/vigil-spotter",
        "bin/vigil-system-manager",
        "share/applications/vigil-spotter.desktop",
        "share/applications/vigil-system-manager.desktop",
        "share/icons/hicolor/scalable/apps/vigil.svg",
        "share/vigil/vau/root.json",
    ]
    script = (home / "bin/vigil-spotter").read_text()
    assert "vigil vau" in script
    assert "--app spotter" in script
    assert "ab" * 32 in script
    assert f'Exec="{home}/bin/vigil-spotter"' in (home / "share/applications/vigil-spotter.desktop").read_text()
    (home / "bin/other").write_text("not ours")
    run("--remove", "--app", "spotter")
    assert "bin/vigil-system-manager" in files(home)
    run("--remove")
    assert files(home) == ["bin/other"]


def test_the_installed_command_brings_the_application_up_to_date_and_starts_it(run, tmp_path, monkeypatch):
    from tests.clients.vau.site import Publisher, SiteMirror  # noqa: PLC0415 - another application's name

    publisher = Publisher(tmp_path / "spotter", "spotter")
    publisher.release("1.0")
    mirror = SiteMirror(publisher.repository.folder)
    monkeypatch.setenv("VIGIL_TEST_REPORT", str(tmp_path / "report"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    try:
        run("--server", f"127.0.0.1:{mirror.port}", "--root-sha256", hashlib.sha256(publisher.root).hexdigest())
        done = subprocess.run(
            [tmp_path / "home/bin/vigil-spotter"], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        mirror.close()
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report").read_text() == "1.0\n"


def test_a_root_from_smserver_needs_the_hash_that_somebody_has_told(run, publisher, mirror):
    publisher.release("1.0")
    found = hashlib.sha256(publisher.root).hexdigest()
    server = ("--server", f"127.0.0.1:{mirror.port}")
    assert found in run(*server, status=1)
    assert "another SHA-256" in run(*server, "--root-sha256", "0" * 64, status=1)


def test_what_is_no_root_is_not_trusted(run, publisher, tmp_path):
    publisher.release("1.0")
    (tmp_path / "garbage").write_text("{}")
    for path in (tmp_path / "garbage", publisher.repository.metadata / "timestamp.json"):
        assert "is none" in run("--server", "x", "--root", str(path), status=1)


def test_a_wrong_wish_is_one_sentence(run, tmp_path):
    assert "say where SMServer is" in run(status=1)
    assert "is no address" in run("--server", "http://a b", status=1)
    assert "is none of spotter" in run("--server", "x", "--app", "calculator", status=1)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--server", "a b", "--app", "demo"), 2, "is no address of an SMServer"),
        (("--server", "127.0.0.1:1", "--app", "demo", "--root", "/nowhere"), 1, "cannot be read"),
        (("--server", "127.0.0.1:1", "--app", "Up/..", "--root", "/nowhere"), 2, "--app"),
        (("--server", "127.0.0.1:1", "--app", "demo", "--pin", "abc"), 2, "--pin"),
    ],
)
def test_vau_says_what_is_wrong_in_a_line(tmp_path, arguments, status, said):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vigil", "vau", "--folder", str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_vau_and_its_seam_load_neither_qt_nor_a_web_framework():
    heavy = ("fastapi", "PySide6", "av", "numpy", "httpx", "joserfc", "rich.progress", "structlog")
    code = "import sys, clients.vau.update, clients.vau.launched, clients.vau.command;"
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
