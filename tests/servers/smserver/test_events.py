import asyncio
import json
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from broker.model import messages as m
from broker.model.base import Priority
from broker.model.health import HealthEvent
from broker.model.resources import ServerRole
from servers.smserver import events as stored
from servers.smserver.store import Store

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def raised(event_id, alarm_id="door", cameras=()):
    return m.AlarmRaised(
        alarm_event_id=event_id,
        alarm_id=alarm_id,
        at=NOW,
        alarm_name="Door",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger=m.TriggerKind.MOTION,
        source_id="cam-1",
        node_id="node-1",
        occurred_at=NOW,
        camera_ids=cameras,
    )


class Stream:
    """One client's event stream."""

    def __init__(self, socket, hello):
        self.socket = socket
        self.hello = hello
        self.events = []

    async def next(self, seconds=10):
        event = json.loads(await asyncio.wait_for(self.socket.recv(), seconds))
        self.events.append(event)
        return event

    async def until(self, wanted, seconds=10):
        async with asyncio.timeout(seconds):
            while True:
                event = await self.next()
                if wanted(event):
                    return event

    async def until_closed(self, seconds=10):
        try:
            while True:
                await self.next(seconds)
        except ConnectionClosed as closed:
            return closed.rcvd.code


@asynccontextmanager
async def stream(site, person, since=None):
    url = site.server.url.replace("http", "ws") + "/api/v1/events"
    async with connect(url, proxy=None, close_timeout=0.2) as socket:
        await socket.send(json.dumps({"access_token": person.signed_in["access_token"], "since": since}))
        hello = json.loads(await asyncio.wait_for(socket.recv(), 10))["hello"]
        yield Stream(socket, hello)


async def test_what_happens_is_told_as_it_happens(site, admin):
    async with stream(site, admin) as events:
        await site.say(raised("e1"))
        event = await events.next()
        assert (event["kind"], event["data"]["alarm_event_id"]) == ("AlarmRaised", "e1")
        assert event["id"] == events.hello["last"] + 1


async def test_a_client_resumes_where_it_was_cut_without_loss_or_doubles(site, admin):
    seen = []
    since = None
    sending = asyncio.create_task(_say_many(site, 200))
    while len(seen) < 200:
        async with stream(site, admin, since) as events:
            since = events.hello["last"] if since is None else since
            for _ in range(min(30, 200 - len(seen))):
                event = await events.next()
                seen.append(event["data"]["alarm_event_id"])
                since = event["id"]
    await sending
    assert seen == [f"e{number}" for number in range(200)]


async def _say_many(site, count):
    await asyncio.sleep(0.2)  # so that the first client is there; what it misses would be a loss
    for number in range(count):
        await site.say(raised(f"e{number}"))


async def test_ids_count_up_without_gaps_for_an_administrator(site, admin, node):
    async with stream(site, admin, 0) as events:
        await asyncio.gather(*(admin.post("/cameras", site.camera(f"cam-{n}")) for n in range(5)), _say_many(site, 20))
        await events.until(lambda event: event["data"].get("alarm_event_id") == "e19")
        ids = [event["id"] for event in events.events]
        sessions = [event for event in events.events if event["kind"] == "SessionRevoked"]
        assert sessions == []
        assert ids == list(range(1, len(ids) + 1))


async def test_events_outlive_a_restart(site, admin):
    async with stream(site, admin) as events:
        last = events.hello["last"]
    signed_in = admin.signed_in
    await site.say(raised("e1"))
    await site.eventually(lambda: _log_has(admin, "e1"))
    await site.restart()
    again = site.stranger()
    again.signed_in = signed_in
    async with stream(site, again, last) as events:
        assert (await events.next())["data"]["alarm_event_id"] == "e1"


async def _log_has(person, event_id):
    return any(row["id"] == event_id for row in (await person.get("/alarm-events"))["items"])


async def test_each_client_hears_only_of_what_the_profile_holds(site, admin, node):
    for id_ in ("cam-1", "cam-2"):
        await admin.post("/cameras", site.camera(id_))
    await admin.post("/alarms", site.alarm("door", "cam-1"))
    await admin.post("/alarms", site.alarm("gate", "cam-2"))
    olga = await site.operator(admin, cameras=["cam-1"], alarms=["door"])
    async with stream(site, olga) as events:
        await site.say(raised("unseen", "gate"))
        camera = await admin.get("/cameras/cam-2")
        await admin.put("/cameras/cam-2", {**camera, "name": "Unseen"})
        await admin.post("/users", {"id": "unseen", "name": "Unseen", "profile_id": "olgas"})
        await site.say(_health("cam-2", "unseen"), _state("node-1", "cam-1", "cam-2"), source="dvrserver/node-1")
        await events.until(lambda event: event["kind"] == "NodeStateReported")
        camera = await admin.get("/cameras/cam-1")
        await admin.put("/cameras/cam-1", {**camera, "name": "Seen"})
        await site.say(raised("seen", "door", cameras=("cam-1", "cam-2")))
        await events.until(lambda event: event["data"].get("alarm_event_id") == "seen")
        told = json.dumps(events.events)
        assert "nseen" not in told
        assert "cam-2" not in told
        assert "192.0.2.7" not in told
        assert {event["kind"] for event in events.events} == {"CameraConfigured", "AlarmRaised", "NodeStateReported"}


async def test_secrets_are_no_part_of_the_stream(site, admin, node):
    async with stream(site, admin) as events:
        await admin.post("/cameras", site.camera(password="hunter2 hunter2"))
        await admin.post("/me/stream-secret", status=200)
        await events.until(lambda event: event["kind"] == "UserConfigured")
        assert {event["kind"] for event in events.events} == {"CameraConfigured", "UserConfigured"}
        assert "stream_ha1" not in events.events[-1]["data"]


async def test_a_profile_that_changes_changes_what_an_open_stream_tells(site, admin, node):
    await admin.post("/cameras", site.camera())
    await admin.post("/alarms", site.alarm("door", "cam-1"))
    olga = await site.operator(admin)
    async with stream(site, olga) as events:
        await site.say(raised("before"))
        await site.eventually(lambda: _log_has(admin, "before"))
        profile = await admin.get("/profiles/olgas")
        await admin.put("/profiles/olgas", {**profile, "alarm_ids": ["door"]})
        await site.say(raised("after"))
        await events.until(lambda event: event["kind"] == "AlarmRaised")
        assert [event["kind"] for event in events.events] == ["ProfileConfigured", "AlarmRaised"]
        assert events.events[-1]["data"]["alarm_event_id"] == "after"


async def test_signing_out_closes_the_sessions_sockets_within_a_second_and_no_others(site, admin):
    other = await site.admin()
    async with stream(site, admin) as events, stream(site, other) as others:
        await admin.delete("/sessions/current")
        assert await events.until_closed(seconds=1) == 4401
        assert events.events[-1]["kind"] == "SessionRevoked"
        await site.say(raised("e1"))
        assert (await others.next())["kind"] == "AlarmRaised"


async def test_disabling_a_user_closes_their_sockets(site, admin):
    olga = await site.operator(admin)
    async with stream(site, olga) as events:
        user = await admin.get("/users/olga")
        await admin.put("/users/olga", {**user, "enabled": False})
        assert await events.until_closed(seconds=2) == 4401


@pytest.mark.parametrize("frame", ["", "{", '{"access_token": "nonsense"}', '{"since": 1}', "[]"])
async def test_without_a_good_token_the_socket_is_closed(site, frame):
    async with connect(site.server.url.replace("http", "ws") + "/api/v1/events", proxy=None) as socket:
        await socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd.code == 4401


async def test_a_client_that_does_not_read_delays_nobody(site, admin):
    async with stream(site, admin), stream(site, admin) as events:
        await site.say(*(raised(f"e{number}", cameras=tuple(f"c{n}" for n in range(200))) for number in range(300)))
        for number in range(300):
            assert (await events.next())["data"]["alarm_event_id"] == f"e{number}"


def _state(node_id, *camera_ids):
    cameras = tuple(m.CameraState(camera_id=id_, condition=m.CameraCondition.RUNNING) for id_ in camera_ids)
    return m.NodeStateReported(
        node_id=node_id,
        role=ServerRole.DVRSERVER,
        boot=1,
        revision=1,
        at=datetime.now(UTC),
        operations_url="http://127.0.0.1:5109",
        cameras=cameras,
    )


def _health(subject, detail):
    return m.HealthEventReported(
        node_id="node-1", event=HealthEvent.CAMERA_SIGNAL_LOST, subject=subject, detail=detail, at=datetime.now(UTC)
    )


async def test_a_state_is_told_when_it_says_something_new(site, admin):
    first = _state("node-1", "cam-1")
    async with stream(site, admin) as events:
        await site.say(first)
        assert (await events.next())["kind"] == "NodeStateReported"
        await site.say(first.model_copy(update={"at": datetime.now(UTC)}))
        await site.say(raised("e1"))
        assert (await events.next())["kind"] == "AlarmRaised"
    (state,) = (await admin.get("/node-states"))["items"]
    assert state["cameras"][0]["condition"] == "running"


async def test_an_older_state_never_replaces_a_newer_one(site, admin):
    newer = _state("node-1", "cam-1")
    await site.say(newer)
    await site.eventually(lambda: _states(admin))
    await site.say(_state("node-1").model_copy(update={"at": NOW}), _health("cam-1", "mark"))
    await site.eventually(lambda: _health_of(admin))
    assert [camera["camera_id"] for camera in (await _states(admin))[0]["cameras"]] == ["cam-1"]


async def _states(person):
    return (await person.get("/node-states"))["items"]


async def _health_of(person):
    return (await person.get("/health-events"))["items"]


async def test_health_events_are_kept_and_told(site, admin):
    async with stream(site, admin) as events:
        await site.say(_health("cam-1", "no picture"), source="dvrserver/node-1")
        assert (await events.next())["data"]["event"] == "camera_signal_lost"
    (record,) = (await admin.get("/health-events"))["items"]
    assert (record["subject"], record["detail"]) == ("cam-1", "no picture")


async def test_a_client_that_was_away_too_long_is_told_that_it_missed_something(site, admin, node):
    await site.say(raised("e1"))
    await site.eventually(lambda: _log_has(admin, "e1"))
    store = Store(site.settings.database_url("smserver"))
    with store.write() as connection:
        stored.forget(connection, datetime.now(UTC) + timedelta(days=1))
    store.close()
    async with stream(site, admin, 0) as events:
        assert events.hello["missed"] is True
    async with stream(site, admin) as events:
        assert events.hello["missed"] is False


async def test_who_resumes_where_nothing_is_kept_any_more_waits_without_asking_the_database_again(site):
    class Counting(stored.EventHub):
        reads = 0
        begun = threading.Event()

        def _read(self, last):
            self.reads += 1
            self.begun.set()
            return super()._read(last)

    store = Store(site.settings.database_url("smserver"))
    with store.write() as connection:
        stored.forget(connection, datetime(2100, 1, 1, tzinfo=UTC))
        last = stored.last_of(connection)
    hub = Counting(store)
    running = asyncio.create_task(hub.run())
    assert await asyncio.to_thread(hub.begun.wait, 5)
    waiting = asyncio.create_task(hub.next(0))
    await asyncio.wait({waiting}, timeout=0.5)
    assert hub.reads < 5
    with store.write() as connection:
        stored.tell(connection, [stored.Told("NodeStateReported", NOW, {})])
    hub.wake()
    found = await asyncio.wait_for(waiting, 5)
    assert [event.id for event in found] == [last + 1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    store.close()
