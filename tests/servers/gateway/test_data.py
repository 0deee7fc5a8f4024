"""Port 9000: what is passed on, to whom, and for which page."""

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from broker.memory import Hub, MemoryBroker
from broker.model.messages import CameraConfigured
from broker.model.resources import Profile, Right, User
from broker.process import Health
from clients.sdk import AsyncClient, UnreachableError
from servers.gateway.errors import POLICY, UNAUTHORISED
from servers.gateway.server import Gateway
from servers.gateway.settings import GatewaySettings
from servers.net.policy import policy_table


def url(site, path):
    return site.gateway.data_url + path


async def eventually(check, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - the replica has no event to wait for
            await asyncio.sleep(0.01)


async def closed(socket):
    """Wait until the other side hangs up."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 10)


def bearer(client):
    return {"Authorization": f"Bearer {client.session.access_token}"}


def test_every_route_names_its_policy(tmp_path):
    settings = GatewaySettings(data_dir=tmp_path)
    health = Health("gateway")
    gateway = Gateway(settings, MemoryBroker(Hub(2), health=health), health)
    table = policy_table(gateway.api)
    assert all(policy for _, _, policy in table)
    public = {path for _, path, policy in table if policy == "public"}
    assert public == {"/openapi.json", "/api/v1/health", "/api/v1/sign-in", "/api/v1/sessions/refresh"}


async def test_a_user_signs_in_and_asks_smserver_through_the_gateway(site):
    assert (await site.admin.me()).user.id == "admin"
    assert {camera.id for camera in await site.admin.cameras.list()} == {"gate", "yard"}
    problem = await site.http.post(url(site, "/api/v1/sign-in"), json={"user": "admin", "password": "wrong"})
    assert problem.status_code == 401
    assert problem.headers["content-type"] == "application/problem+json"


async def test_administration_does_not_go_through(site):
    for method, path in (("POST", "/cameras"), ("DELETE", "/cameras/gate"), ("GET", "/users"), ("GET", "/audit")):
        answer = await site.http.request(method, url(site, f"/api/v1{path}"), headers=bearer(site.admin))
        assert answer.status_code in {404, 405}, path


async def test_without_a_token_nothing_is_even_asked(site):
    answer = await site.http.get(url(site, "/nodes/node-1/api/v1/state"))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert site.node.asked == []


async def test_a_node_is_asked_by_its_name_with_the_users_token(site):
    answer = await site.http.get(
        url(site, "/nodes/node-1/api/v1/cameras/gate/timeline?from=a&to=b"), headers=bearer(site.admin)
    )
    assert answer.json() == {"path": "cameras/gate/timeline"}
    _, query, headers = site.node.asked[0]
    assert query == {"from": "a", "to": "b"}
    assert headers["authorization"] == bearer(site.admin)["Authorization"]
    assert "cookie" not in headers


async def test_only_enrolled_recorders_and_listed_paths_are_reached(site):
    for path in (
        "/nodes/gateway-1/api/v1/state",
        "/nodes/nobody/api/v1/state",
        "/nodes/node-1/api/v1/orders/7",
        "/nodes/node-1/api/v1/cameras/%2e%2e/snapshot/../../orders",
    ):
        answer = await site.http.get(url(site, path), headers=bearer(site.admin))
        assert answer.status_code == 404, path
    answer = await site.http.post(url(site, "/nodes/node-1/api/v1/state"), headers=bearer(site.admin))
    assert answer.status_code == 405
    assert site.node.asked == []


async def test_a_name_of_dots_stays_a_name(site):
    await site.http.get(url(site, "/nodes/node-1/api/v1/cameras/%252e%252e/snapshot"), headers=bearer(site.admin))
    assert [path for path, _, _ in site.node.asked] in ([], ["cameras/%2e%2e/snapshot"])


async def test_a_body_that_is_too_long_is_refused(site):
    answer = await site.http.post(
        url(site, "/api/v1/sign-in"),
        content=b'{"user": "' + b"a" * 20_000,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


async def test_a_silent_smserver_is_a_problem_with_a_remedy(site):
    await site.smserver.close()
    answer = await site.http.get(url(site, "/api/v1/me"), headers=bearer(site.admin))
    assert answer.status_code == 502
    assert answer.json()["remedy"]


async def test_only_the_page_may_read_the_answers(site):
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for origin, status in ((site.page_origin, 204), ("http://evil.example", 403), ("null", 403)):
        answer = await site.http.options(url(site, "/api/v1/me"), headers={"Origin": origin, **asked})
        assert answer.status_code == status, origin
        assert (answer.headers.get("access-control-allow-origin") == origin) == (status == 204)
    evil = await site.http.get(url(site, "/api/v1/me"), headers={"Origin": "http://evil.example", **bearer(site.admin)})
    assert "access-control-allow-origin" not in evil.headers
    mine = await site.http.get(url(site, "/api/v1/me"), headers={"Origin": site.page_origin, **bearer(site.admin)})
    assert mine.headers["access-control-allow-origin"] == site.page_origin
    assert "access-control-allow-credentials" not in mine.headers


async def test_the_api_describes_itself(site):
    document = (await site.http.get(url(site, "/openapi.json"))).json()
    assert "/nodes/{node_id}/api/v1/cameras/{camera_id}/timeline" in document["paths"]
    names = [call["operationId"] for path in document["paths"].values() for call in path.values()]
    assert len(names) == len(set(names))


async def test_events_are_relayed_and_resumed(site):
    async with AsyncClient(site.smserver.url) as admin:
        await admin.sign_in("admin", site.password)
        events = site.admin.events(since=0)
        seen = []
        async with asyncio.timeout(10):
            async for event in events:
                seen.append(event)
                if isinstance(event.message(), CameraConfigured) and event.message().camera.id == "yard":
                    break
        await events.aclose()
    assert [event.id for event in seen] == sorted(event.id for event in seen)


async def test_a_bad_token_gets_no_events(site):
    async with connect(url(site, "/api/v1/events").replace("http", "ws")) as socket:
        await socket.send(json.dumps({"access_token": "spoilt", "since": None}))
        await closed(socket)
        assert socket.close_code == UNAUTHORISED


async def test_signing_out_ends_the_event_stream(site):
    async with connect(url(site, "/api/v1/events").replace("http", "ws")) as socket:
        await socket.send(json.dumps({"access_token": site.admin.session.access_token, "since": None}))
        assert "hello" in json.loads(await asyncio.wait_for(socket.recv(), 5))
        await site.admin.sign_out()
        await closed(socket)
        assert socket.close_code == UNAUTHORISED


async def test_the_sdk_says_when_the_gateway_is_gone(site):
    await site.gateway.close()
    with pytest.raises(UnreachableError):
        await site.admin.me()


async def test_closing_the_gateway_ends_event_streams_at_once(site):
    async with connect(url(site, "/api/v1/events").replace("http", "ws")) as socket:
        await socket.send(json.dumps({"access_token": site.admin.session.access_token, "since": None}))
        assert "hello" in json.loads(await asyncio.wait_for(socket.recv(), 5))
        async with asyncio.timeout(2.5):
            await site.gateway.close()
        await closed(socket)


@pytest.mark.parametrize("name", ["Authorization", "Accept", "Range"])
async def test_a_header_that_is_not_ascii_is_passed_on_or_refused_but_breaks_nothing(site, name):
    headers = bearer(site.admin) | {name: "Bearer \xe9"}
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
    answer = await site.http.get(url(site, "/api/v1/me"), headers=raw)
    assert answer.status_code == (401 if name == "Authorization" else 200)


@pytest.mark.parametrize("path", ["/live/gate", "/api/v1/events"])
async def test_a_first_frame_nested_beyond_reason_is_refused(site, path):
    async with connect(url(site, path).replace("http", "ws")) as socket:
        await socket.send("[" * 16_000)
        await closed(socket)
        assert socket.close_code == POLICY


async def test_what_a_profile_does_not_show_is_not_even_carried_to_its_node(site):
    async with AsyncClient(site.smserver.url) as admin:
        await admin.sign_in("admin", site.password)
        profile = Profile(id="night", name="Night", rights={Right.LIVE}, camera_ids={"gate"})
        await admin.profiles.add(profile)
        await admin.users.add(User(id="olga", name="Olga", profile_id="night"), password="correct horse battery")
    await eventually(lambda: "olga" in site.gateway._replica.users)
    async with AsyncClient(site.gateway.data_url) as olga:
        await olga.sign_in("olga", "correct horse battery")
        for camera_id, what, status in (
            ("yard", "snapshot", 404),
            ("yard", "media", 404),
            ("nowhere", "timeline", 404),
            ("gate", "timeline", 403),
            ("gate", "media", 403),
            ("gate", "clip", 403),
        ):
            path = f"/nodes/node-1/api/v1/cameras/{camera_id}/{what}"
            answer = await site.http.get(url(site, path), headers=bearer(olga))
            assert answer.status_code == status, path
        assert site.node.asked == []
        await site.http.get(url(site, "/nodes/node-1/api/v1/cameras/gate/snapshot"), headers=bearer(olga))
        assert [path for path, _, _ in site.node.asked] == ["cameras/gate/snapshot"]
    spoilt = await site.http.get(
        url(site, "/nodes/node-1/api/v1/cameras/gate/media"), headers={"Authorization": "Bearer spoilt"}
    )
    assert spoilt.status_code == 401


async def test_media_says_when_it_begins_and_gives_its_seat_back(site):
    media = await site.http.get(
        url(site, "/nodes/node-1/api/v1/cameras/gate/media?from=now"),
        headers={"Origin": site.page_origin, **bearer(site.admin)},
    )
    assert media.headers["vigil-start"] == "1"
    assert "Vigil-Start" in media.headers["access-control-expose-headers"]
    assert site.gateway._streams._seats.taken == 0
