"""The engine in one process, on the memory broker and SQLite."""

import asyncio
import base64
import json
import urllib.error
import urllib.request

import pytest

from broker.connect import connect
from broker.database import open_database
from broker.process import Health
from broker.topology import queues_of
from broker.trust.http import API
from tests.databases import migrated
from tests.workers.stand_ins import alarm, until
from workers.embedded import EmbeddedEngine
from workers.settings import FlowerSettings
from workers.tables import SCHEMA, SCRIPTS, alarm_event


@pytest.fixture
def embedded(settings, smserver, http):
    smserver.configure(
        alarm(
            actions=[
                {"kind": "http_request", "url": f"{http.url}/hook"},
                {"kind": "record_camera", "camera_id": "cam-1", "pre_s": 5, "post_s": 0},
            ]
        )
    )
    migrated(settings.database_url(SCHEMA), SCHEMA, SCRIPTS)
    health = Health("engine")
    engine = EmbeddedEngine(
        settings,
        connect(settings.broker, name="engine", health=health),
        health,
        flower=FlowerSettings(data_dir=settings.data_dir, flower={"port": 0}),
    )
    engine.start()
    engine.health = health
    yield engine
    engine.close()


def _heard(settings):
    """Listens on SMServer's queue of alarm facts."""
    broker = connect(settings.broker, name="test", health=Health("test"))
    queue = next(queue for queue in queues_of("smserver", node="", partitions=2) if "alarms" in queue.name)
    return broker, broker.subscriber(queue)


async def test_motion_becomes_an_alarm_and_its_actions_are_performed_and_announced(
    embedded, settings, smserver, http, events
):
    broker, subscriber = _heard(settings)
    publisher = broker.publisher("test")
    facts = []

    async def listen():
        async for batch in subscriber.batches(100):
            for delivery in batch:
                facts.append(delivery.envelope.message)
                delivery.done()

    listener = asyncio.create_task(listen())
    await publisher.publish(events.activated())
    await asyncio.to_thread(until, lambda: http.requests and smserver.to(f"{API}/orders/"))
    await publisher.publish(events.ended())
    kinds = {"AlarmRaised", "AlarmEnded", "ActionPerformed"}
    await asyncio.to_thread(until, lambda: len(smserver.to(f"{API}/orders/")) == 2)
    await asyncio.to_thread(until, lambda: len(facts) == 5 and kinds == {fact.kind() for fact in facts})
    orders = smserver.to(f"{API}/orders/")
    listener.cancel()
    await broker.close()

    assert len(http.requests) == 1
    body = json.loads(http.requests[0]["body"])
    assert body["alarm_name"] == "Motion on cam-1"
    assert [json.loads(order["body"])["end"] is None for order in orders] == [True, False]
    assert len({order["path"] for order in orders}) == 1
    assert orders[0]["headers"]["Authorization"] == "Bearer token-1"
    raised = next(fact for fact in facts if fact.kind() == "AlarmRaised")
    assert raised.camera_ids == ("cam-1",)
    assert {fact.outcome for fact in facts if fact.kind() == "ActionPerformed"} == {"succeeded"}
    database = open_database(settings.database_url(SCHEMA), SCHEMA)
    with database.connect() as connection:
        row = connection.execute(alarm_event.select()).one()
    database.dispose()
    assert row.state == "ended"


def test_the_dashboard_lists_worker_and_tasks_behind_its_login(embedded, settings, http, events):
    async def trigger():
        broker = connect(settings.broker, name="test", health=Health("test"))
        await broker.publisher("test").publish(events.activated())
        await broker.close()

    asyncio.run(trigger())
    until(lambda: http.requests)
    base = f"http://127.0.0.1:{embedded.flower_port}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{base}/api/workers")
    assert refused.value.code == 401
    refused.value.close()
    login = base64.b64encode(embedded.flower_login.encode()).decode()

    def ask(path):
        request = urllib.request.Request(f"{base}{path}", headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    until(lambda: any(name.startswith("engine-1@") for name in ask("/api/workers")))
    until(lambda: {"action.http_request", "engine.sweep"} <= {task["name"] for task in ask("/api/tasks").values()})
