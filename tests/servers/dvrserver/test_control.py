import asyncio
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import av
import httpx
import pytest

from broker.model import messages as m
from broker.model.resources import ServerRole
from broker.process import Health
from broker.trust.tls import client_context
from servers.dvrserver.control import Parts, make_app
from servers.net.policy import Policies, policy_table
from tests.servers.dvrserver.camera_stand import CameraStand

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds=0.0):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def span(start=-3600.0, end=3600.0):
    return {"from": at(start), "to": at(end)}


@pytest.fixture
async def stand():
    async with CameraStand() as stand:
        yield stand


@pytest.fixture
async def node(site, run_node, stand):
    """A node that records the camera door."""
    site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
    async with run_node(segment_s=2) as node:
        yield node


@pytest.fixture
async def ask(site, node):
    """`await ask("GET", "/state", user="guard")`."""
    async with httpx.AsyncClient(
        verify=client_context(), base_url=node.control_url + "/api/v1", trust_env=False
    ) as client:

        async def ask(method, path, *, user="guard", **given):
            headers = {"Authorization": f"Bearer {site.token(user)}", **given.pop("headers", {})} if user else {}
            return await client.request(method, path, headers=headers, **given)

        yield ask


@pytest.fixture
async def order(site, node):
    """`await order("o1", camera_id=…)`, as the engine."""
    token = site.issuer.service("engine-1", ServerRole.ENGINE)
    async with httpx.AsyncClient(
        verify=client_context(), base_url=node.control_url + "/api/v1", trust_env=False
    ) as client:

        async def order(id_, *, token=token, **body):
            headers = {"Authorization": f"Bearer {token}"}
            if not body:
                return await client.get(f"/orders/{id_}", headers=headers)
            return await client.put(f"/orders/{id_}", headers=headers, json=body)

        yield order


async def recorded(ask, count=1):
    """Wait for footage; the files' description."""
    async with asyncio.timeout(20):
        while True:
            items = (await ask("GET", "/cameras/door/segments", params=span())).json()["items"]
            if len(items) >= count and items[0]["bytes"]:
                return items
            await asyncio.sleep(0.1)


def test_every_route_names_its_policy(site):
    nothing = Parts(state=None, exists=None, footage=None, orders=None, probe=None, motion=None, health=Health("test"))
    app = make_app(Policies(site.checker, site.replica.access), nothing)
    policies = {path: policy for _, path, policy in policy_table(app)}
    assert policies["/api/v1/health"] == "public"
    assert policies["/api/v1/orders/{order_id}"] == "service(engine)"
    assert all(policies.values())


async def test_without_a_token_only_health_and_the_description_are_answered(ask, node):
    assert (await ask("GET", "/health", user=None)).status_code == 200
    async with httpx.AsyncClient(verify=client_context(), trust_env=False) as client:
        assert "/api/v1/state" in (await client.get(node.control_url + "/openapi.json")).json()["paths"]
    for path in ("/state", "/cameras/door/timeline", "/cameras/door/snapshot", "/orders/o1"):
        assert (await ask("GET", path, user=None, params=span())).status_code == 401


async def test_the_state_names_only_cameras_of_the_users_profile(ask):
    everything = (await ask("GET", "/state", user="admin")).json()
    assert [camera["camera_id"] for camera in everything["cameras"]] == ["door", "vault"]
    some = (await ask("GET", "/state")).json()
    assert [camera["camera_id"] for camera in some["cameras"]] == ["door"]
    assert some["node_id"] == "node-1"


async def test_footage_appears_in_timeline_and_files_while_it_is_recorded(ask):
    items = await recorded(ask)
    spans = (await ask("GET", "/cameras/door/timeline", params=span())).json()["spans"]
    assert spans[0]["stream"] == "main"
    assert spans[0]["protected"] is False
    assert spans[0]["start"] == items[0]["start"]
    assert datetime.fromisoformat(spans[0]["end"]) > datetime.fromisoformat(spans[0]["start"])


async def test_a_recorded_file_is_read_back_whole_and_in_ranges(ask):
    first = (await recorded(ask, count=2))[0]
    path = first["url"].removeprefix("/api/v1")
    whole = await ask("GET", path)
    assert whole.headers["Content-Type"] == "video/mp4"
    with av.open(io.BytesIO(whole.content)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) >= 10
    part = await ask("GET", path, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.content)}"
    assert part.content == whole.content[100:200]
    behind = await ask("GET", path, headers={"Range": "bytes=99999999-"})
    assert behind.status_code == 416
    head = await ask("HEAD", path)
    assert int(head.headers["Content-Length"]) == len(whole.content)


async def test_a_file_of_another_camera_is_not_found_under_this_ones_name(ask):
    first = (await recorded(ask))[0]
    assert (await ask("GET", f"/cameras/vault/segments/{quote(first['id'])}", user="admin")).status_code == 404
    assert (await ask("GET", "/cameras/door/segments/nothing")).status_code == 404


@pytest.mark.parametrize("what", ["timeline", "segments", "snapshot", "media"])
async def test_a_camera_out_of_the_profile_does_not_exist_and_a_missing_right_is_said(ask, what):
    given = {"at": at(-5)} if what == "snapshot" else span()
    assert (await ask("GET", f"/cameras/vault/{what}", params=given)).status_code == 404
    assert (await ask("GET", f"/cameras/nowhere/{what}", user="admin", params=given)).status_code == 404
    assert (await ask("GET", f"/cameras/door/{what}", user="clerk", params=given)).status_code == 403


async def test_times_without_a_zone_or_in_the_wrong_order_are_explained(ask):
    naive = await ask("GET", "/cameras/door/timeline", params={"from": "2026-01-31T12:00:00", "to": at()})
    assert naive.status_code == 422
    assert naive.json()["field"] == "from"
    swapped = await ask("GET", "/cameras/door/timeline", params=span(5, -5))
    assert swapped.status_code == 422
    assert swapped.json()["field"] == "to"


async def test_an_order_given_twice_is_one_order(order):
    asked = {"camera_id": "door", "start": START.isoformat(), "end": None, "reason": "Motion"}
    first, second = await order("o1", **asked), await order("o1", **asked)
    assert first.json()["created"] is True
    assert second.json()["created"] is False
    assert second.json()["end"] is None
    assert datetime.fromisoformat(second.json()["start"]) == START


async def test_a_later_order_ends_an_open_one_and_a_late_repeat_does_not_open_it_again(order):
    asked = {"camera_id": "door", "start": START.isoformat(), "end": None, "reason": "Motion"}
    end = (START + timedelta(minutes=1)).isoformat()
    await order("o1", **asked)
    await order("o1", **{**asked, "end": end})
    await order("o1", **asked)
    kept = (await order("o1")).json()
    assert datetime.fromisoformat(kept["end"]) == datetime.fromisoformat(end)


async def test_an_order_widens_and_never_shrinks(order):
    asked = {"camera_id": "door", "start": START.isoformat(), "end": (START + timedelta(minutes=2)).isoformat()}
    await order("o1", **asked)
    narrow = {"start": (START + timedelta(seconds=30)).isoformat(), "end": (START + timedelta(minutes=1)).isoformat()}
    kept = (await order("o1", **{**asked, **narrow})).json()
    assert datetime.fromisoformat(kept["start"]) == START
    assert datetime.fromisoformat(kept["end"]) == START + timedelta(minutes=2)


async def test_an_order_protects_footage_from_before_it_was_given(ask, order):
    await recorded(ask)
    assert (await order("o1", camera_id="door", start=at(-60), end=None)).status_code == 200
    spans = (await ask("GET", "/cameras/door/timeline", params=span())).json()["spans"]
    assert all(one["protected"] for one in spans)


async def test_orders_are_the_engines_alone(order, site, ask):
    asked = {"camera_id": "door", "start": START.isoformat()}
    gateway = site.issuer.service("gateway-1", ServerRole.GATEWAY)
    stranger = site.issuer.service("engine-9", ServerRole.ENGINE)
    assert (await order("o1", token=site.token("admin"), **asked)).status_code == 401
    assert (await order("o1", token=gateway, **asked)).status_code in (401, 403)
    assert (await order("o1", token=stranger, **asked)).status_code == 401
    assert (await order("o1")).status_code == 404


async def test_an_order_for_another_camera_under_the_same_id_is_a_conflict(order):
    asked = {"camera_id": "door", "start": START.isoformat()}
    await order("o1", **asked)
    assert (await order("o1", **{**asked, "camera_id": "vault"})).status_code == 409
    assert (await order("o2", **{**asked, "camera_id": "nowhere"})).status_code == 404
    assert (await order("o3", **asked, end=asked["start"])).status_code == 422


async def test_cells_in_motion_are_told_to_who_may_watch(ask, stand):
    await recorded(ask)
    still = (await ask("GET", "/cameras/door/motion")).json()
    assert (still["columns"], still["rows"], still["active"]) == (16, 12, False)
    stand.moving = True
    async with asyncio.timeout(20):
        while not (moving := (await ask("GET", "/cameras/door/motion")).json())["cells"]:  # noqa: ASYNC110 - a poll by HTTP
            await asyncio.sleep(0.1)
    assert set(moving["cells"]) <= set(range(16 * 12))
    assert (await ask("GET", "/cameras/vault/motion")).status_code == 404
    assert (await ask("GET", "/cameras/door/motion", user="clerk")).status_code == 403


async def test_a_snapshot_of_now_is_a_jpeg_of_the_cameras_size(ask, node, until):
    await recorded(ask)
    now = await ask("GET", "/cameras/door/snapshot")
    assert now.headers["Content-Type"] == "image/jpeg"
    with av.open(io.BytesIO(now.content)) as opened:
        assert (opened.streams.video[0].width, opened.streams.video[0].height) == (320, 240)


async def test_a_snapshot_of_a_recorded_moment_is_served_and_of_another_is_not_found(ask):
    first = (await recorded(ask))[0]
    then = await ask("GET", "/cameras/door/snapshot", params={"at": first["start"]})
    assert then.status_code == 200
    assert then.content[:2] == b"\xff\xd8"
    assert (await ask("GET", "/cameras/door/snapshot", params={"at": at(-3600)})).status_code == 404


async def test_media_is_played_from_the_key_frame_before_a_moment_on(ask):
    first = (await recorded(ask, count=2))[0]
    asked = {"from": (datetime.fromisoformat(first["start"]) + timedelta(seconds=0.5)).isoformat(), "seconds": 1}
    media = await ask("GET", "/cameras/door/media", params=asked)
    assert media.status_code == 200
    assert media.headers["Content-Type"].startswith('video/mp4; codecs="avc1.')
    started = datetime.fromtimestamp(int(media.headers["Vigil-Start"]) / 1e6, UTC)
    assert started <= datetime.fromisoformat(asked["from"]) < started + timedelta(seconds=5)
    with av.open(io.BytesIO(media.content)) as opened:
        frames = list(opened.decode(video=0))
    ended = int(media.headers["Vigil-End"])
    assert len(frames) >= 5
    assert int(media.headers["Vigil-Epoch"]) + round(frames[0].time * 1e6) == int(media.headers["Vigil-Start"])
    assert (await ask("GET", "/cameras/door/media", params={"from": at(-3600)})).status_code == 204
    after = datetime.fromtimestamp(ended / 1e6, UTC).isoformat()
    follows = await ask("GET", "/cameras/door/media", params={"from": after, "seconds": 1})
    assert int(follows.headers["Vigil-Start"]) >= ended - 100
    whole = (await ask("GET", first["url"].removeprefix("/api/v1"))).content
    assert media.content[-200:] in whole, "the bytes are those on the disk"


async def test_more_media_than_a_minute_is_not_given_at_once(ask):
    asked = await ask("GET", "/cameras/door/media", params={"from": at(), "seconds": 61})
    assert (asked.status_code, asked.json()["field"]) == (422, "seconds")
