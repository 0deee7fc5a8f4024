"""The intake of a worker: it comes back by itself, and judges no event by an old configuration."""

import time

import pytest
from sqlalchemy import func, select

from broker.codec import encode
from broker.memory import Hub, MemoryBroker
from broker.model.resources import Camera, Server, ServerRole
from broker.process import Health
from broker.replica import Replica
from tests.databases import migrated
from tests.workers.stand_ins import alarm, site, until
from workers.app import make_app
from workers.engine import IntakeEngine
from workers.store.routes import control_url, store_routes
from workers.tables import SCHEMA, SCRIPTS, alarm_event, trigger_event


@pytest.fixture
def runtime(settings):
    migrated(settings.database_url(SCHEMA), SCHEMA, SCRIPTS)
    app = make_app(settings, Health("engine"))
    yield app.vigil.get()
    app.vigil.close()


class Stage:
    """An intake that is not started yet, and those around it."""

    def __init__(self, runtime, smserver, events):
        self.runtime, self.smserver, self.events = runtime, smserver, events
        self.hub = Hub()
        self.intake = IntakeEngine(runtime, MemoryBroker(self.hub))

    def say(self, one):
        self.hub.publish(encode(one, partitions=self.hub.partitions))

    def hold(self, *alarms):
        """What the copy on disk holds."""
        replica = Replica(self.runtime.settings.directory / "replica.json")
        replica.reset(site(*alarms, node_url=self.smserver.url))

    def count(self, table):
        with self.runtime.database.connect() as connection:
            return connection.scalar(select(func.count()).select_from(table))


@pytest.fixture
def stage(runtime, smserver, events):
    one = Stage(runtime, smserver, events)
    yield one
    one.intake.close()


def test_intake_that_has_ended_by_a_mistake_begins_again(stage, monkeypatch):
    monkeypatch.setattr("workers.engine.AGAIN_S", 0.05)
    stage.smserver.configure(alarm())
    mistakes = iter([RuntimeError("a mistake"), OSError("another")])
    run = IntakeEngine._report

    async def report(self, *args):
        for mistake in mistakes:
            raise mistake
        await run(self, *args)

    monkeypatch.setattr(IntakeEngine, "_report", report)
    stage.intake.start()
    stage.say(stage.events.activated())
    until(lambda: stage.count(alarm_event) == 1)
    until(lambda: stage.runtime.health.report()["parts"]["intake"]["ok"])
    assert list(mistakes) == []


@pytest.mark.parametrize("waits", [True, pytest.param(False, id="negative control: it does not wait")])
def test_an_alarm_that_was_configured_while_intake_was_away_is_raised(stage, monkeypatch, waits):
    if not waits:
        monkeypatch.setattr("workers.engine.FRESH_S", 0.0)
    stage.hold()
    stage.smserver.configure(alarm())
    stage.smserver.answer = lambda request: time.sleep(0.5 * ("snapshot" in request["path"])) or 200
    stage.say(stage.events.activated())
    stage.intake.start()
    until(lambda: stage.count(trigger_event) == 1)
    assert stage.count(alarm_event) == (1 if waits else 0)


def test_without_smserver_events_are_judged_by_the_copy_on_disk(stage, monkeypatch):
    monkeypatch.setattr("workers.engine.FRESH_S", 0.3)
    stage.hold(alarm())
    stage.smserver.answer = lambda _request: 503
    stage.say(stage.events.activated())
    stage.intake.start()
    until(lambda: stage.count(alarm_event) == 1)


def _routes(database, revision, url, *, fresh):
    node = Server(id="n", name="N", role=ServerRole.DVRSERVER, control_url=url)
    camera = Camera(id="cam-1", name="C", node_id="n", main_url="rtsp://127.0.0.1:1/main")
    store_routes(database, {"cam-1": camera}, {"n": node}, revision, fresh=fresh)
    return control_url(database, "cam-1")


def test_routes_follow_an_smserver_whose_revisions_went_back(database):
    assert _routes(database, 100, "http://old", fresh=False) == "http://old"
    assert _routes(database, 90, "http://late", fresh=False) == "http://old"  # another worker's old copy
    assert _routes(database, 90, "http://restored", fresh=True) == "http://restored"
    store_routes(database, {}, {}, 80, fresh=True)
    assert control_url(database, "cam-1") is None
