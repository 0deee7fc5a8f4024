"""`vigil dead-letters` on a real RabbitMQ."""

import pytest
from typer.testing import CliRunner

from broker.codec import Encoded
from broker.dead_letters import app

HEADERS = {
    "kind": "Odd",
    "cloudEvents:id": "letter-1",
    "x-vigil-queue": "smserver.state.v1",
    "x-vigil-reason": "too odd",
}


@pytest.fixture
def run(monkeypatch, rabbitmq_url):
    monkeypatch.setenv("VIGIL_BROKER__URL", rabbitmq_url)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: CliRunner().invoke(app, arguments)


async def test_a_letter_is_listed_shown_replayed_and_dropped(run, amqp):
    broker = await amqp.broker()
    await amqp.publish_raw(broker, Encoded("vigil.dead", "", HEADERS, b'{"a": 1}'))
    await amqp.publish_raw(broker, Encoded("vigil.dead", "", {**HEADERS, "cloudEvents:id": "letter-2"}, b"\xff"))
    listed = run("list")
    assert listed.exit_code == 0
    for word in ("letter-1", "letter-2", "Odd", "smserver.state.v1", "too odd"):
        assert word in listed.stdout
    shown = run("show", "letter-1")
    assert '{"a": 1}' in shown.stdout
    assert "too odd" in shown.stdout
    assert "\\xff" in run("show", "letter-2").stdout
    assert "letter-1 is in smserver.state.v1 again" in run("replay", "letter-1").stdout
    assert run("drop", "letter-2").exit_code == 0
    assert "letter-2" not in run("list").stdout


def test_what_is_not_there_is_named(run, amqp):
    missing = run("show", "letter-9")
    assert missing.exit_code == 2


def test_a_choice_is_needed(run):
    assert run("drop").exit_code == 2
    assert run("replay", "a", "--all").exit_code == 2


def test_memory_has_no_letters_for_other_processes(monkeypatch):
    monkeypatch.setenv("VIGIL_BROKER__URL", "memory://")
    refused = CliRunner().invoke(app, ["list"])
    assert refused.exit_code == 2
    assert "VIGIL_BROKER__URL" in refused.output
