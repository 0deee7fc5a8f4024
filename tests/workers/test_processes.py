"""The engine as processes on RabbitMQ and PostgreSQL, and what a kill -9 does to it: nothing."""

import threading

import pytest
from processes import Bus, Processes
from stand_ins import alarm, receiver, until

from broker.database import migrate
from workers.settings import EngineSettings
from workers.tables import SCHEMA, SCRIPTS

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
