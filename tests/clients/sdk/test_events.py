"""The event stream, resumed across cuts."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from broker.model.base import Priority
from broker.model.messages import AlarmRaised, TriggerKind
from broker.model.resources import Alarm, Camera, MotionTrigger
from clients.sdk import AsyncClient, Event, NotSignedInError


def raised(event_id):
    now = datetime.now(UTC)
    return AlarmRaised(
        alarm_event_id=event_id,
        alarm_id="gate-motion",
        at=now,
        alarm_name="Motion",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger=TriggerKind.MOTION,
        source_id="gate",
        node_id="node-1",
        occurred_at=now,
    )


@pytest.fixture
async def alarm(node, admin):
    await admin.cameras.add(Camera(id="gate", name="Gate", node_id="node-1", main_url="rtsp://192.0.2.7/main"))
    return await admin.alarms.add(Alarm(id="gate-motion", name="Motion", trigger=MotionTrigger(camera_id="gate")))


class Listener:
    """Keeps the ids of the alarm events that a client has heard of."""

    def __init__(self, client, since=None):
        self.heard = []
        self.last = since
        self.task = asyncio.create_task(self._listen(client, since))

    async def _listen(self, client, since):
        async with aclosing(client.events(since)) as events:
            async for event in events:
                self.last = event.id
                message = event.message()
                if isinstance(message, AlarmRaised):
                    self.heard.append(message.alarm_event_id)

    async def until(self, expected):
        async with asyncio.timeout(15):
            while self.heard != expected:
                if self.task.done():
                    await self.task
                await asyncio.sleep(0.02)

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_events_missed_while_away_come_when_the_stream_resumes(site, admin, alarm):
    first = Listener(admin, since=0)
    await site.say(raised("one"))
    await first.until(["one"])
    await first.close()
    await site.say(raised("two"), raised("three"))
    again = Listener(admin, since=first.last)
    await again.until(["two", "three"])
    await again.close()


async def test_a_cut_connection_is_made_anew_and_nothing_is_heard_twice_or_lost(site, admin, alarm):
    listener = Listener(admin, since=0)
    await site.say(raised("one"))
    await listener.until(["one"])
    await site.server.close()
    await site.reopen()
    admin.session.url = site.url
    await site.say(raised("two"))
    await listener.until(["one", "two"])
    await listener.close()


async def test_the_stream_of_a_session_that_is_over_ends_with_an_error(site, admin, alarm):
    async with AsyncClient(site.url) as other:
        await other.sign_in("admin", site.password)
        listener = Listener(other, since=0)
        await site.say(raised("one"))
        await listener.until(["one"])
        await other.sign_out()
        other.session.access_token, other.session.refresh_token = "spoilt", "spoilt"
        with pytest.raises(NotSignedInError):
            await asyncio.wait_for(listener.task, 15)


def test_an_event_of_a_newer_server_is_kept_without_its_message():
    event = Event(id=7, kind="BicycleStolen", time=datetime.now(UTC), data={"colour": "red"})
    assert event.message() is None
    assert Event(id=8, kind="AlarmRaised", time=datetime.now(UTC), data={"less": 1}).message() is None


async def test_a_loop_that_was_left_early_keeps_no_connection_beyond_its_client(site, admin, alarm):
    connected = []
    async with AsyncClient(site.url) as client:
        await client.sign_in("admin", site.password)
        stream = client.events(0, on_connection=lambda stands, _: connected.append(stands))
        async for _ in stream:
            break
        assert connected == [True]
        assert stream.ag_frame is not None
    assert stream.ag_frame is None
