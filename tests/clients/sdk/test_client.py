"""The SDK against a real SMServer."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from broker.model.base import Priority
from broker.model.messages import AlarmRaised, AlarmState, TriggerKind
from broker.model.resources import Alarm, Camera, MotionTrigger, Profile, Right, User
from clients.sdk import (
    AsyncClient,
    ChangedMeanwhileError,
    Client,
    ConflictError,
    InvalidError,
    Layout,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    Tab,
    ThrottledError,
    UnexpectedAnswerError,
    UnreachableError,
)


def camera(id_="gate", **more):
    return Camera(id=id_, name=id_.title(), node_id="node-1", main_url="rtsp://192.0.2.7/main", **more)


def raised(alarm_id="gate-motion", event_id=None):
    now = datetime.now(UTC)
    return AlarmRaised(
        alarm_event_id=event_id or uuid4().hex,
        alarm_id=alarm_id,
        at=now,
        alarm_name="Motion",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger=TriggerKind.MOTION,
        source_id="gate",
        node_id="node-1",
        occurred_at=now,
        camera_ids=("gate",),
    )


async def eventually(ask, seconds=10):
    async with asyncio.timeout(seconds):
        while True:
            if found := await ask():
                return found
            await asyncio.sleep(0.02)


async def test_a_user_signs_in_and_sees_what_the_profile_shows(site, node, admin):
    await admin.cameras.add(camera())
    me = await admin.me()
    assert (me.user.id, Right.ADMINISTER in me.profile.rights) == ("admin", True)
    assert [seen.id for seen in me.cameras] == ["gate"]
    assert node.id in {server.id for server in me.servers}


async def test_the_sync_client_has_the_same_calls(site, node):
    def work():
        with Client(site.url) as client:
            client.sign_in("admin", site.password)
            client.cameras.add(camera(), password="of the camera")
            assert client.cameras.get("gate").name == "Gate"
            assert client.stream_ticket("gate", "main").url.startswith("rtsp://127.0.0.1:5011/camera/gate/main?ticket=")
            recorded = client.stream_ticket("gate", purpose="playback")
            assert recorded.url.startswith("rtsp://127.0.0.1:5011/camera/gate/main?ticket=")
            saved = client.layouts.save(Layout(name="Front", tabs=(Tab(name="All", cameras=("gate",)),)))
            assert client.layouts.list() == (saved.resource,)
            assert client.layouts.fetch("Front") == saved
            changed = Layout(name="Front", tabs=())
            client.layouts.save(changed, revision=saved.revision)
            with pytest.raises(ChangedMeanwhileError):
                client.layouts.save(changed, revision=saved.revision)
            assert client.layouts.get("Front") == changed
            client.layouts.remove("Front")
            assert client.stream_secret().user == "admin"
            assert client.audit(limit=5)[0].action
            client.health_events()
            client.node_states()
            client.cameras.remove("gate")
            assert client.cameras.list() == ()
            client.sign_out()
            with pytest.raises(NotSignedInError):
                client.me()

    await asyncio.to_thread(work)


def test_both_clients_offer_the_same_methods():
    def public(cls):
        return {name for name in dir(cls) if not name.startswith("_")}

    assert public(AsyncClient) - public(Client) == {"events"}
    assert public(Client) <= public(AsyncClient)


async def test_every_kind_of_resource_can_be_made_read_changed_and_removed(site, node, admin):
    await admin.cameras.add(camera(), password="hidden")
    alarm = Alarm(id="gate-motion", name="Motion", trigger=MotionTrigger(camera_id="gate"))
    profile = Profile(id="night", name="Night", rights={Right.LIVE}, camera_ids={"gate"})
    user = User(id="olga", name="Olga", profile_id="night")
    for group, resource, more in (
        (admin.alarms, alarm, {}),
        (admin.profiles, profile, {}),
        (admin.users, user, {"password": "correct horse battery"}),
    ):
        assert await group.add(resource, **more) == resource
        assert resource.id in {found.id for found in await group.list()}
        changed = resource.model_copy(update={"name": "Changed"})
        assert (await group.replace(changed)).name == "Changed"
        assert (await group.get(resource.id)).name == "Changed"
    async with AsyncClient(site.url) as olga:
        await olga.sign_in("olga", "correct horse battery")
        assert [seen.id for seen in await olga.cameras.list()] == ["gate"]
        with pytest.raises(NotAllowedError):
            await olga.users.list()
    for group, id_ in ((admin.alarms, "gate-motion"), (admin.users, "olga"), (admin.profiles, "night")):
        await group.remove(id_)
        with pytest.raises(NotFoundError):
            await group.get(id_)
    server = await admin.servers.get("node-1")
    renamed = server.model_copy(update={"name": "Cellar"})
    assert (await admin.servers.replace(renamed)).name == "Cellar"


async def test_a_change_that_names_an_old_revision_is_refused(node, admin):
    await admin.cameras.add(camera())
    old = await admin.cameras.fetch("gate")
    await admin.cameras.replace(old.resource.model_copy(update={"name": "First"}), revision=old.revision)
    with pytest.raises(ChangedMeanwhileError):
        await admin.cameras.replace(old.resource.model_copy(update={"name": "Second"}), revision=old.revision)
    with pytest.raises(ChangedMeanwhileError):
        await admin.cameras.remove("gate", revision=old.revision)
    assert (await admin.cameras.get("gate")).name == "First"


async def test_an_error_names_the_field_and_the_remedy(node, admin):
    with pytest.raises(InvalidError) as caught:
        await admin.alarms.add(Alarm(id="lost", name="Lost", trigger=MotionTrigger(camera_id="nowhere")))
    assert "camera" in caught.value.field
    assert caught.value.detail
    await admin.cameras.add(camera())
    with pytest.raises(ConflictError):
        await admin.cameras.add(camera())


async def test_an_expired_token_is_renewed_without_a_word(site, admin):
    before = admin.session.access_token
    admin.session._renew_at = 0
    together = await asyncio.gather(*(admin.me() for _ in range(5)))
    assert len(together) == 5
    assert admin.session.access_token != before


async def test_a_refused_token_is_renewed_once_and_asked_again(site, admin):
    admin.session.access_token = "spoilt"
    assert (await admin.me()).user.id == "admin"


async def test_a_session_that_is_over_says_so(site, admin):
    async with AsyncClient(site.url) as other:
        other.session.access_token, other.session.refresh_token = "spoilt", "spoilt"
        with pytest.raises(NotSignedInError):
            await other.me()


async def test_wrong_passwords_are_told_from_too_many(site):
    async with AsyncClient(site.url) as client:
        seen = set()
        for _ in range(8):
            with pytest.raises((NotSignedInError, ThrottledError)) as caught:
                await client.sign_in("admin", "wrong")
            seen.add(type(caught.value))
            if isinstance(caught.value, ThrottledError):
                assert caught.value.retry_after_s > 0
        assert seen == {NotSignedInError, ThrottledError}


async def test_the_alarm_log_is_read_newest_first_and_a_request_to_acknowledge_is_taken(site, node, admin):
    await admin.cameras.add(camera())
    await admin.alarms.add(Alarm(id="gate-motion", name="Motion", trigger=MotionTrigger(camera_id="gate")))
    first, second = raised(), raised()
    await site.say(first)
    await eventually(admin.alarm_events)
    await site.say(second)
    events = await eventually(lambda: _at_least(admin, 2))
    assert [event.id for event in events] == [second.alarm_event_id, first.alarm_event_id]
    assert events[0].state is AlarmState.ACTIVE
    assert (await admin.alarm_event(first.alarm_event_id)).camera_ids == ("gate",)
    assert await admin.alarm_events(state=AlarmState.ENDED) == ()
    await admin.acknowledge(first.alarm_event_id)
    with pytest.raises(NotFoundError):
        await admin.acknowledge("nothing")


async def _at_least(client, count):
    events = await client.alarm_events()
    return events if len(events) >= count else None


async def test_nobody_at_the_address_is_an_error_of_its_own():
    async with AsyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
            await client.sign_in("admin", "secret")


async def test_somebody_else_at_the_address_is_an_error_of_its_own():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, AsyncClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(UnexpectedAnswerError, match="something else"):
            await client.sign_in("admin", "secret")
