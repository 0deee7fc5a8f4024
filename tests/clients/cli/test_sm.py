"""`vigil sm` and `vigil alarms` against a real SMServer."""

import asyncio

import pytest
from typer.testing import CliRunner

from broker.model.resources import Camera
from clients.cli import alarm_log as alarms
from clients.cli import sm


@pytest.fixture
def vigil(site, monkeypatch):
    """Runs a command as the first administrator; returns its exit code, output and complaints."""
    monkeypatch.setenv("VIGIL_SMSERVER_URL", site.url)
    monkeypatch.setenv("VIGIL_USER", "admin")
    monkeypatch.setenv("VIGIL_PASSWORD", site.password)

    async def run(app, *words):
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        return result.exit_code, result.stdout, result.stderr

    return run


async def test_cameras_are_added_listed_and_removed(vigil, node, admin, monkeypatch):
    monkeypatch.setenv("VIGIL_CAMERA_PASSWORD", "hidden")
    code, said, _ = await vigil(
        sm.app, "cameras", "add", "gate", "rtsp://192.0.2.7/main", "--name", "Main gate", "--username", "root"
    )
    assert (code, said) == (0, "Camera gate is added.\n")
    assert (await admin.cameras.get("gate")).secret_ref
    code, said, _ = await vigil(sm.app, "cameras", "list")
    assert code == 0
    assert said.split("\t")[:4] == ["gate", "Main gate", "node-1", "yes"]
    assert (await vigil(sm.app, "cameras", "remove", "gate"))[0] == 0
    assert await admin.cameras.list() == ()


async def test_users_are_added_without_a_password_on_the_command_line(vigil, admin, monkeypatch):
    monkeypatch.setenv("VIGIL_NEW_PASSWORD", "correct horse battery")
    code, _, complaints = await vigil(sm.app, "users", "add", "olga", "--profile", "administrators")
    assert (code, complaints) == (0, "")
    assert "olga" in (await vigil(sm.app, "users", "list"))[1]
    assert "node-1" not in (await vigil(sm.app, "servers", "list"))[1]


async def test_an_error_is_a_sentence_on_standard_error_and_an_exit_code(vigil, node, admin):
    code, said, complaints = await vigil(sm.app, "cameras", "add", "Gate!", "rtsp://192.0.2.7/main")
    assert (code, said) == (1, "")
    assert complaints.startswith("id: ")
    await admin.cameras.add(Camera(id="gate", name="Gate", node_id="node-1", main_url="rtsp://192.0.2.7/main"))
    code, _, complaints = await vigil(sm.app, "cameras", "add", "gate", "rtsp://192.0.2.7/main")
    assert code == 1
    assert "gate" in complaints
    code, _, complaints = await vigil(alarms.app, "acknowledge", "nothing")
    assert code == 1
    assert complaints


async def test_a_wrong_password_is_refused_in_words(vigil, monkeypatch):
    monkeypatch.setenv("VIGIL_PASSWORD", "wrong")
    code, said, complaints = await vigil(alarms.app, "list")
    assert (code, said) == (1, "")
    assert complaints


async def test_the_alarm_log_may_be_empty(vigil):
    assert (await vigil(alarms.app, "list"))[:2] == (0, "")
