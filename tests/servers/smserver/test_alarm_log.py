import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest

from broker.codec import envelope
from broker.model import messages as m
from broker.model.access import Access
from broker.model.actions import Outcome
from broker.model.base import Priority
from broker.model.resources import Profile, Right, User
from servers.smserver import alarm_log
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from tests.databases import migrated

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALL = Access(
    User(id="u", name="U", profile_id="p"), Profile(id="p", name="P", everything=True, rights=frozenset(Right))
)


def at(seconds):
    return START + timedelta(seconds=seconds)


def raised(event_id="e1", alarm_id="door", seconds=0, cameras=("cam-1",)):
    return m.AlarmRaised(
        alarm_event_id=event_id,
        alarm_id=alarm_id,
        at=at(seconds),
        alarm_name="Door",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger=m.TriggerKind.MOTION,
        source_id="cam-1",
        node_id="node-1",
        occurred_at=at(seconds),
        camera_ids=cameras,
        trace_id="f" * 32,
    )


def life(event_id="e1", alarm_id="door"):
    fact = {"alarm_event_id": event_id, "alarm_id": alarm_id}
    return [
        raised(event_id, alarm_id),
        m.AlarmAcknowledged(**fact, at=at(1), user_id="olga", user_name="Olga"),
        m.ActionPerformed(**fact, at=at(2), action_id="a1", action_kind="email", outcome=Outcome.SUCCEEDED, attempts=1),
        m.AlarmPostRecordingStarted(**fact, at=at(3), until=at(13)),
        m.AlarmEnded(**fact, at=at(13)),
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    migrated(url, SCHEMA, MIGRATIONS)
    store = Store(url)
    yield store
    store.close()


def take_in(store, envelopes):
    with store.write() as connection:
        return alarm_log.take_in(connection, envelopes)


def listed(store, access=ALL, **filters):
    with store.read() as connection:
        return alarm_log.listed(connection, access, **filters)


def test_facts_in_any_order_and_twice_give_the_same_log(store):
    orders = list(itertools.permutations(range(5)))[::7]
    rows = []
    for number, order in enumerate(orders):
        envelopes = [envelope(fact, source="engine/engine-1") for fact in life(f"e{number}")]
        envelopes = [
            envelope_
            if not isinstance(envelope_.message, m.ActionPerformed)
            else envelope(envelope_.message.model_copy(update={"action_id": f"a{number}"}), source="engine/engine-1")
            for envelope_ in envelopes
        ]
        for index in order:
            take_in(store, [envelopes[index], envelopes[index]])
        take_in(store, envelopes)
    for row in listed(store, limit=500):
        assert [action["outcome"] for action in row["actions"]] == ["succeeded"]
        rows.append({name: value for name, value in row.items() if name not in {"id", "actions"}})
    assert len(rows) == len(orders)
    assert all(row == rows[0] for row in rows)
    assert rows[0]["state"] == "ended"
    assert rows[0]["acknowledged_by"] == "olga"
    assert rows[0]["ended_at"] == at(13)


def test_a_batch_may_hold_a_whole_life_and_the_same_message_twice(store):
    envelopes = [envelope(fact, source="engine/engine-1") for fact in life()]
    assert take_in(store, envelopes + envelopes) == 5
    assert take_in(store, envelopes) == 0
    (row,) = listed(store)
    assert row["state"] == "ended"


def test_an_event_of_which_only_later_facts_are_known_is_not_listed_yet(store):
    first, *later = life()
    take_in(store, [envelope(fact, source="engine/engine-1") for fact in later])
    assert listed(store) == []
    take_in(store, [envelope(first, source="engine/engine-1")])
    assert [row["state"] for row in listed(store)] == ["ended"]


def test_the_log_is_newest_first_in_pages_without_overlap_or_gap(store):
    facts = [raised(f"e{number:02}", seconds=number // 3) for number in range(20)]
    take_in(store, [envelope(fact, source="engine/engine-1") for fact in facts])
    ids, before = [], None
    while page := listed(store, before=before, limit=6):
        ids += [row["id"] for row in page]
        before = page[-1]["id"]
    expected = sorted((fact.at, fact.alarm_event_id) for fact in facts)[::-1]
    assert ids == [event_id for _, event_id in expected]
    assert [row["id"] for row in listed(store, before=at(1))] == ["e02", "e01", "e00"]


def test_the_log_shows_the_alarms_and_cameras_of_the_profile_only(store):
    facts = [raised("e1", "door", cameras=("cam-1", "cam-2")), raised("e2", "gate")]
    take_in(store, [envelope(fact, source="engine/engine-1") for fact in facts])
    profile = Profile(id="p", name="P", alarm_ids=frozenset({"door"}), camera_ids=frozenset({"cam-2"}))
    (row,) = listed(store, Access(ALL.user, profile))
    assert (row["id"], row["camera_ids"]) == ("e1", ["cam-2"])
    assert listed(store, Access(ALL.user, Profile(id="p", name="P"))) == []


def test_hundreds_of_messages_a_second_are_taken_in(store):
    facts = [fact for number in range(400) for fact in life(f"e{number}")]
    facts = [
        fact.model_copy(update={"action_id": f"a-{fact.alarm_event_id}"})
        if isinstance(fact, m.ActionPerformed)
        else fact
        for fact in facts
    ]
    envelopes = [envelope(fact, source="engine/engine-1") for fact in facts]
    began = time.monotonic()
    for start in range(0, len(envelopes), 500):
        take_in(store, envelopes[start : start + 500])
    assert len(envelopes) / (time.monotonic() - began) > 300
    assert len(listed(store, limit=500)) == 400


async def test_messages_of_the_bus_appear_in_the_log(site, admin):
    await site.say(*life())
    rows = await site.eventually(lambda: _items(admin, lambda row: row["state"] == "ended" and row["actions"]))
    assert rows[0]["acknowledged"]["user_name"] == "Olga"
    assert (await admin.get("/alarm-events/e1"))["id"] == "e1"


async def test_the_log_can_be_asked_for_one_state_one_alarm_and_a_time(site, admin):
    await site.say(*life("e1"), raised("e2", "gate", seconds=60))
    await site.eventually(lambda: _items(admin, lambda row: row["id"] == "e2"))

    async def ids(query):
        return [row["id"] for row in (await admin.get(f"/alarm-events?{query}"))["items"]]

    assert await ids("") == ["e2", "e1"]
    assert await ids("state=active") == ["e2"]
    assert await ids("alarm_id=door") == ["e1"]
    assert await ids("before=2026-01-31T12:00:30Z") == ["e1"]
    assert await ids("before=e2") == ["e1"]
    assert await ids("limit=1") == ["e2"]
    assert (await admin.get("/alarm-events?before=2026-01-31T12", status=422))["field"] == "before"


async def test_acknowledging_asks_the_engine_and_leaves_a_record(site, admin, node):
    await admin.post("/cameras", site.camera())
    await admin.post("/alarms", site.alarm())
    olga = await site.operator(admin, alarms=["door"])
    requests = await site.listen("engine", "engine.requests").ready()
    await site.say(raised())
    await site.eventually(lambda: _items(olga, lambda row: row["id"] == "e1"))
    await olga.post("/alarm-events/e1/acknowledge", status=202)
    await site.eventually(lambda: [(r.alarm_event_id, r.user_id) for r in requests.heard] == [("e1", "olga")])
    record = (await admin.get("/audit"))["items"][0]
    assert (record["user_id"], record["action"], record["object_id"]) == ("olga", "acknowledge", "e1")
    assert record["program"] == "tests/1"
    await requests.close()


async def test_acknowledging_needs_the_alarm_and_the_right(site, admin, node):
    for id_ in ("cam-1", "cam-2"):
        await admin.post("/cameras", site.camera(id_))
    await admin.post("/alarms", site.alarm("door", "cam-1"))
    await admin.post("/alarms", site.alarm("gate", "cam-2"))
    olga = await site.operator(admin, alarms=["gate"])
    clerk = await site.operator(admin, name="clerk", rights=["live"], alarms=["door"])
    await site.say(raised())
    await site.eventually(lambda: _items(clerk, lambda row: row["id"] == "e1"))
    await olga.post("/alarm-events/e1/acknowledge", status=404)
    await clerk.post("/alarm-events/e1/acknowledge", status=403)
    await olga.get("/alarm-events/e1", status=404)
    assert (await olga.get("/alarm-events"))["items"] == []


async def _items(person, wanted):
    items = (await person.get("/alarm-events"))["items"]
    return items if any(wanted(row) for row in items) else None
