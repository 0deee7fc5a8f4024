"""The engine as processes on RabbitMQ and PostgreSQL, and what a kill -9 does to it: nothing."""

import socket
import threading
from pathlib import Path

import httpx
import pytest
from processes import Bus, Processes
from sqlalchemy import func, select
from stand_ins import alarm, receiver, until

from broker.database import migrate, open_database
from workers.settings import EngineSettings
from workers.tables import SCHEMA, SCRIPTS, alarm_event, outbox, trigger_event

ACTIONS = "actions.high,actions.average,actions.low"


@pytest.fixture
def cluster(tmp_path, smserver, rabbitmq_url, postgres_url):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "join-secret").write_text("join")
    migrate(postgres_url, SCHEMA, SCRIPTS)
    return EngineSettings(
        data_dir=tmp_path,
        smserver_url=smserver.url,
        broker={"url": rabbitmq_url},
        database={"url": postgres_url},
        engine={"lease_s": 2, "wake_s": 1, "sweep_s": 0.5},
    )


@pytest.fixture
def processes(cluster):
    one = Processes(cluster)
    yield one
    one.close()


@pytest.fixture
def bus(cluster):
    one = Bus(cluster)
    yield one
    one.close()


def test_a_killed_worker_loses_no_action_and_repeats_none_that_is_keyed(processes, bus, smserver, events):
    begun = threading.Event()
    gone = threading.Event()

    def answer(_request):
        if not begun.is_set():
            begun.set()
            gone.wait(20)  # the first request is in the middle when its worker dies
        return 200

    with receiver(answer) as http:
        smserver.configure(alarm(actions=[{"kind": "http_request", "url": f"{http.url}/hook"}]))
        processes.worker("engine", "engine")
        processes.start("beat")
        victim = processes.worker("actions-1", ACTIONS)
        bus.publish(events.activated("cam-1"))
        begun.wait(60)
        processes.kill(victim)
        gone.set()
        processes.worker("actions-2", ACTIONS)
        performed = bus.wait_for("ActionPerformed", 1, 60)

    assert len(bus.heard("AlarmRaised")) == 1
    assert [one.outcome for one in performed] == ["succeeded"]
    assert performed[0].repeated
    assert performed[0].attempts == 2
    # Two requests came, and the receiver can tell that they are one action.
    assert len(http.requests) == 2
    assert set(http.keys) == {performed[0].action_id}
    assert [request["headers"]["Vigil-Attempt"] for request in http.requests] == ["1", "2"]


def test_the_dashboard_of_its_own_process_is_on_loopback_behind_a_login_and_sees_the_workers(
    processes, cluster, smserver
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dashboard = processes.start("flower", f"--port={port}")
    processes.worker("actions", ACTIONS)
    base = f"http://127.0.0.1:{port}"

    def ask(**options):
        try:
            return httpx.get(f"{base}/api/workers?refresh=1", trust_env=False, **options)
        except httpx.TransportError:
            return None

    until(ask, 40)
    assert ask().status_code == 401
    password = (cluster.data_dir / "keys" / "flower-password").read_text()
    until(lambda: "actions@" in ask(auth=("vigil", password)).text, 40, 0.5)
    listening = Path(f"/proc/{dashboard.pid}/net/tcp").read_text()
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_the_operations_port_of_each_worker_says_how_it_is(processes, cluster, smserver, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = server.getsockname()[1]
    ports = {"VIGIL_ENGINE__OPERATIONS_PORT": str(first)}
    smserver.configure(alarm())
    processes.worker("engine", "engine", **ports)

    def parts():
        try:
            return httpx.get(f"http://127.0.0.1:{first}/health", trust_env=False).json()["parts"]
        except httpx.TransportError:
            return {}

    until(lambda: all(part["ok"] for part in parts().values()) and "configuration" in parts(), 40, 0.2)
    assert parts()["configuration"]["detail"] == "revision 7"
    other = processes.worker("actions", ACTIONS, **ports)
    until(lambda: "operations_url" in processes.log_of(other), 40)
    assert f"127.0.0.1:{first}\x1b" not in processes.log_of(other)
    assert "vigil_actions_performed" in httpx.get(f"http://127.0.0.1:{first}/metrics", trust_env=False).text


@pytest.fixture
def database(cluster):
    engine = open_database(cluster.database_url(SCHEMA), SCHEMA)
    yield engine
    engine.dispose()


def number_of(database, table, *conditions):
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table).where(*conditions))


def _crash_before_announcing(processes, bus, database, events, broken):
    """An alarm is committed by an engine that is killed before it announces anything; another takes over."""
    victim = processes.worker("engine-1", "engine", app="broken_engine", BROKEN=broken)
    bus.publish(events.activated("cam-1"))
    until(lambda: number_of(database, alarm_event), 60)
    processes.kill(victim)
    assert bus.heard("AlarmRaised") == []
    processes.worker("engine-2", "engine")


def test_what_was_committed_is_announced_though_its_worker_was_killed_before(
    processes, bus, smserver, events, database
):
    smserver.configure(alarm())
    _crash_before_announcing(processes, bus, database, events, "relay")
    (raised,) = bus.wait_for("AlarmRaised", 1)
    assert raised.alarm_id == "alarm-1"
    until(lambda: number_of(database, outbox) == 0)


def test_without_the_outbox_the_announcement_is_lost(processes, bus, smserver, events, database):
    """The negative control of the test above."""
    smserver.configure(alarm(), alarm("alarm-2", "cam-2"))
    _crash_before_announcing(processes, bus, database, events, "relay,outbox")
    bus.publish(events.activated("cam-2"))
    assert [fact.alarm_id for fact in bus.wait_for("AlarmRaised", 1)] == ["alarm-2"]


def _crash_before_acknowledging(processes, bus, database, events, broken=""):
    """Motion that began and ended is committed, and the engine killed before it has acknowledged the events."""
    hang = ",".join(filter(None, ("acknowledge", broken)))
    victim = processes.worker("engine-1", "engine", app="broken_engine", BROKEN=hang)
    bus.publish(events.activated("cam-1"))
    until(lambda: number_of(database, alarm_event), 60)
    processes.kill(victim)
    victim = processes.worker("engine-2", "engine", app="broken_engine", BROKEN=broken or "nothing")
    bus.publish(events.ended("cam-1"))
    until(lambda: number_of(database, alarm_event, alarm_event.c.state == "ended"), 60)


@pytest.mark.parametrize(("broken", "noted"), [("", 1), ("inbox", 2)])
def test_an_event_that_was_committed_and_not_acknowledged_counts_once_thanks_to_the_inbox(
    broken, noted, processes, bus, smserver, events, database
):
    smserver.configure(alarm())
    _crash_before_acknowledging(processes, bus, database, events, broken)
    with database.connect() as connection:
        row = connection.execute(select(alarm_event).where(alarm_event.c.source_id == "cam-1")).one()
    assert row.triggered == noted


@pytest.mark.parametrize(("broken", "taken_in"), [("", 1), ("lateness", 0)])
def test_what_a_killed_worker_had_in_hand_comes_again_thanks_to_the_late_acknowledgement(
    broken, taken_in, *, processes, bus, smserver, events, database
):
    smserver.configure(alarm())
    hang = ",".join(filter(None, ("commit", broken)))
    victim = processes.worker("engine-1", "engine", app="broken_engine", BROKEN=hang)
    bus.publish(events.activated("cam-1"))
    until(lambda: "hangs before its commit" in processes.log_of(victim), 60)
    processes.kill(victim)
    processes.worker("engine-2", "engine")
    bus.publish(events.ended("cam-1"))  # the same queue: when it is there, what was before it is there or lost
    until(lambda: number_of(database, trigger_event, trigger_event.c.kind == "TriggerEnded"), 60)
    assert number_of(database, trigger_event, trigger_event.c.kind == "TriggerActivated") == taken_in
