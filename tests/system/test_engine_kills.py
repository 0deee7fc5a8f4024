"""kill -9 of the engine's processes at the worst moments: nothing is lost or doubled, and each protection is needed."""

import threading

import pytest
from sqlalchemy import func, select

from broker.database import open_database
from tests.system.engine_processes import ACTIONS
from tests.workers.stand_ins import alarm, receiver, until
from workers.tables import SCHEMA, alarm_event, outbox, trigger_event


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
    victim = processes.worker("engine-1", "engine", app="tests.system.broken_engine", BROKEN=broken)
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
    victim = processes.worker("engine-1", "engine", app="tests.system.broken_engine", BROKEN=hang)
    bus.publish(events.activated("cam-1"))
    until(lambda: number_of(database, alarm_event), 60)
    processes.kill(victim)
    victim = processes.worker("engine-2", "engine", app="tests.system.broken_engine", BROKEN=broken or "nothing")
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
    victim = processes.worker("engine-1", "engine", app="tests.system.broken_engine", BROKEN=hang)
    bus.publish(events.activated("cam-1"))
    until(lambda: "hangs before its commit" in processes.log_of(victim), 60)
    processes.kill(victim)
    processes.worker("engine-2", "engine")
    bus.publish(events.ended("cam-1"))  # the same queue: when it is there, what was before it is there or lost
    until(lambda: number_of(database, trigger_event, trigger_event.c.kind == "TriggerEnded"), 60)
    assert number_of(database, trigger_event, trigger_event.c.kind == "TriggerActivated") == taken_in
