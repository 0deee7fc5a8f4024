"""Live pictures through the gateway: one pull from the node, however many browsers watch."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from broker.model.resources import Profile, Right, User
from clients.sdk import AsyncClient
from servers.gateway.errors import FORBIDDEN, POLICY, TRY_AGAIN, UNAUTHORISED
from servers.gateway.sockets import LiveSockets
from servers.wire.mp4 import parse_init


async def beginning(socket):
    """The codec and the init segment that come before the first picture."""
    said = json.loads(await socket.recv())
    assert said["mime"] == 'video/mp4; codecs="avc1.42c01f"', said
    return parse_init(await socket.recv())


async def numbers(socket, count):
    """The numbers that the next pictures say."""
    found = []
    for _ in range(count):
        fragment = await asyncio.wait_for(socket.recv(), 5)
        at = max(fragment.find(b"\x65000"), fragment.find(b"\x41000"))
        found.append(int(fragment[at + 1 : at + 9]))
    return found


async def end_of(socket):
    """The close code, and the problem that was told before."""
    problem = ""
    try:
        while True:
            frame = await asyncio.wait_for(socket.recv(), 10)
            if isinstance(frame, str):
                problem = json.loads(frame).get("problem", "")
    except ConnectionClosed:
        return socket.close_code, problem


async def eventually(check, seconds=10.0):
    async with asyncio.timeout(seconds):
        while True:
            if found := check():
                return found
            await asyncio.sleep(0.01)


async def flowing(site, socket):
    """Send key frames until the first picture has come through."""
    ready = asyncio.create_task(beginning(socket))
    while not ready.done():
        site.node.show(key_every=1)
        await asyncio.sleep(0.02)
    return await ready


async def test_many_browsers_share_one_pull(site):
    async with site.live() as first:
        await flowing(site, first)
        async with site.live() as second, site.live() as third:
            await asyncio.gather(beginning(second), beginning(third))
            await eventually(lambda: len(_viewers(site)) == 3)
            assert site.node.stream.viewers == 1
            assert len(site.node.tickets) == 1
            site.node.number = 1000
            site.node.show(3)
            for socket in (first, second, third):
                while (await numbers(socket, 1))[0] < 1000:
                    pass
                assert await numbers(socket, 2) == [1001, 1002]
    await eventually(lambda: site.node.stream.viewers == 0)


def _viewers(site):
    return site.gateway._streams._viewers


async def test_who_joins_gets_the_current_group_of_pictures_at_once(site):
    async with site.live() as first:
        await flowing(site, first)
        site.node.number = 1000
        site.node.show(10)
        while (await numbers(first, 1))[0] < 1009:
            pass
        async with site.live() as late:
            await beginning(late)
            assert await numbers(late, 10) == list(range(1000, 1010))


async def test_a_ticket_opens_one_socket_and_no_second_one(site):
    ticket = await site.ticket()
    async with site.live(ticket) as first:
        await flowing(site, first)
        async with site.live(ticket) as again:
            assert (await end_of(again))[0] == UNAUTHORISED


async def test_a_ticket_for_another_camera_opens_nothing(site):
    async with site.live(await site.ticket(camera_id="yard"), camera_id="gate") as socket:
        assert (await end_of(socket))[0] == UNAUTHORISED
    assert site.node.tickets == []


async def test_an_access_token_is_no_ticket(site):
    async with site.live(site.admin.session.access_token) as socket:
        assert (await end_of(socket))[0] == UNAUTHORISED


async def test_a_socket_that_shows_nothing_is_closed(site, monkeypatch):
    monkeypatch.setattr("servers.gateway.sockets.FIRST_FRAME_WITHIN_S", 0.1)
    async with connect(f"{site.gateway.data_url.replace('http', 'ws')}/live/gate") as socket:
        assert (await end_of(socket))[0] == POLICY


async def test_another_page_is_refused_before_the_handshake(site):
    with pytest.raises(InvalidStatus) as caught:
        async with site.live(origin="http://evil.example"):
            pass
    assert caught.value.response.status_code == 403
    async with site.live(origin=site.page_origin) as socket:
        await flowing(site, socket)


async def test_signing_out_ends_what_the_session_watches_and_nothing_else(site):
    async with AsyncClient(site.gateway.data_url) as other:
        await other.sign_in("admin", site.password)
        async with site.live() as stays, site.live(await site.ticket(other)) as goes:
            await asyncio.gather(flowing(site, stays), beginning(goes))
            await other.sign_out()
            code, _ = await end_of(goes)
            assert code == UNAUTHORISED
            site.node.number = 5000
            site.node.show(1)
            while (await numbers(stays, 1))[0] < 5000:
                pass


async def test_losing_the_right_ends_the_picture(site):
    async with AsyncClient(site.smserver.url) as admin:
        await admin.sign_in("admin", site.password)
        profile = Profile(id="night", name="Night", rights={Right.LIVE}, camera_ids={"gate"})
        await admin.profiles.add(profile)
        await admin.users.add(User(id="olga", name="Olga", profile_id="night"), password="correct horse battery")
        await eventually(lambda: "olga" in site.gateway._replica.users)
        async with AsyncClient(site.gateway.data_url) as olga:
            await olga.sign_in("olga", "correct horse battery")
            async with site.live(await site.ticket(olga)) as socket:
                await flowing(site, socket)
                await admin.profiles.replace(profile.model_copy(update={"camera_ids": frozenset({"yard"})}))
                assert (await end_of(socket))[0] == FORBIDDEN


async def test_a_node_that_refuses_is_told_in_a_sentence_without_the_ticket(site):
    site.node.refuses = True
    ticket = await site.ticket()
    async with site.live(ticket) as socket:
        code, problem = await end_of(socket)
    assert code == TRY_AGAIN
    assert problem
    assert ticket not in problem


async def test_a_stream_that_nobody_watches_is_let_go_and_taken_up_again(site):
    site.gateway._streams._linger_s = 0.05
    for _ in range(2):
        async with site.live() as socket:
            await flowing(site, socket)
        await eventually(lambda: not site.gateway._streams.keys)
        await eventually(lambda: site.node.stream.viewers == 0)
    assert len(site.node.tickets) == 2


async def test_closing_the_gateway_ends_everything(site):
    async with site.live() as socket:
        await flowing(site, socket)
        await site.gateway.close()
        await end_of(socket)
    await eventually(lambda: site.node.stream.viewers == 0)
    await site.gateway.close()


async def test_one_picture_too_many_is_refused_with_a_sentence(site):
    site.gateway._streams._seats.limit = 1
    async with site.live() as first:
        await flowing(site, first)
        async with site.live() as second:
            code, problem = await end_of(second)
        assert code == TRY_AGAIN
        assert problem == "The gateway shows 1 picture already, as many as it may. Close some, here or elsewhere."
        recorded = await site.http.get(
            f"{site.gateway.data_url}/nodes/node-1/api/v1/cameras/gate/media",
            headers={"Authorization": f"Bearer {site.admin.session.access_token}"},
        )
        assert recorded.status_code == 503
        assert "as many as it may" in recorded.json()["detail"]
    await eventually(lambda: site.gateway._streams._seats.taken == 0)
    async with site.live() as later:
        await flowing(site, later)


@pytest.mark.parametrize(("kind", "given"), [("Rec", "main"), ("Live", "sub"), ("Remote", "sub")])
async def test_which_stream_is_given_follows_the_video_stream_type(kind, given):
    sockets = LiveSockets(None, None, None, kind)
    assert sockets.stream_for("sub", "video") == given
    assert sockets.stream_for("main", "video") == ("sub" if kind == "Remote" else "main")
    assert sockets.stream_for("main", "audio") == "main"
