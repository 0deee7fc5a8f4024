"""A camera's address is looked at before it is saved: what it is, or what is wrong, and nothing beyond its bounds."""

import asyncio
import base64
import io
import socket

import av
import httpx
import pytest

from broker.model import messages as m
from broker.model.resources import Profile, Right, User
from servers.dvrserver import probe as probes
from tests.servers.dvrserver.camera_stand import CameraStand


@pytest.fixture
async def stand():
    async with CameraStand() as stand:
        yield stand


@pytest.fixture
async def node(site, run_node, stand):
    administrators = Profile(id="chiefs", name="Chiefs", rights=frozenset({Right.ADMINISTER}), everything=True)
    site.before_start(m.ProfileConfigured, profile=administrators)
    site.before_start(m.UserConfigured, user=User(id="chief", name="Chief", profile_id="chiefs"))
    async with run_node() as node:
        yield node


@pytest.fixture
async def probe(site, node):
    """`await probe(url, …)` as the administrator."""
    async with httpx.AsyncClient(base_url=node.control_url + "/api/v1", trust_env=False, timeout=40) as client:

        async def probe(url, *, user="chief", **body):
            headers = {"Authorization": f"Bearer {site.token(user)}"} if user else {}
            return await client.post("/probe", json={"url": url, **body}, headers=headers)

        yield probe


async def test_a_good_address_is_described_with_a_picture_and_left_alone(probe, stand, until):
    answer = await probe(stand.url)
    assert answer.status_code == 200
    found = answer.json()
    assert found["problem"] == ""
    assert (found["video"]["codec"], found["video"]["width"], found["video"]["height"]) == ("h264", 320, 240)
    assert 8 <= found["video"]["fps"] <= 12
    assert found["audio"] is None
    assert found["kbps"] > 1
    with av.open(io.BytesIO(base64.b64decode(found["snapshot"]))) as picture:
        assert picture.streams.video[0].width == 320
    await until(lambda: stand.viewers == 0)


async def test_each_fault_is_a_sentence(probe, stand):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    assert "nothing listens" in (await probe(f"rtsp://127.0.0.1:{nobody}/x")).json()["problem"]
    assert (await probe(stand.url + "-not")).json()["problem"]
    async with CameraStand(username="root", password="right") as locked:
        assert "password" in (await probe(locked.url)).json()["problem"]
        assert "password" in (await probe(locked.url, username="root", password="wrong")).json()["problem"]
        assert (await probe(locked.url, username="root", password="right")).json()["problem"] == ""


async def test_only_administrators_may_probe(probe, stand):
    assert (await probe(stand.url, user="")).status_code == 401
    assert (await probe(stand.url, user="guard")).status_code == 403
    assert stand.connections == 0


async def test_the_egress_policy_applies_and_names_the_field(probe):
    answer = await probe("rtsp://10.1.2.3/stream")
    assert answer.status_code == 422
    assert answer.json()["field"] == "url"
    assert "VIGIL_EGRESS__ALLOW" in answer.json()["remedy"]
    answer = await probe("http://127.0.0.1/")
    assert (answer.status_code, answer.json()["field"]) == (422, "url")
    answer = await probe("rtsp://root:secret@127.0.0.1/")
    assert answer.status_code == 422
    assert "secret" not in answer.text


async def test_a_source_that_never_gives_a_key_frame_is_given_up_in_time(probe, stand, monkeypatch):
    monkeypatch.setattr(probes, "LONGEST_S", 0.5)
    async with asyncio.timeout(5):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            found = (await probe(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/x")).json()
    assert "no picture" in found["problem"]
    assert found["snapshot"] == ""


async def test_a_flood_is_cut_at_its_bound(probe, stand, monkeypatch):
    monkeypatch.setattr(probes, "MAX_BYTES", 1)
    monkeypatch.setattr(probes, "WATCH_S", 60.0)
    async with asyncio.timeout(8):
        found = (await probe(stand.url)).json()
    assert found["snapshot"], "it ended long before the time for counting pictures was over"


async def test_a_kept_password_goes_to_its_own_camera_only(site, probe):
    async with (
        CameraStand(username="root", password="kept secret") as locked,
        CameraStand(username="root", password="kept secret") as elsewhere,
    ):
        await site.announce(
            m.SecretSealed, secret_ref="secret-1", node_id="node-1", sealed=site.seal("secret-1", "kept secret")
        )
        camera = site.camera("door", main_url=locked.url, username="root", secret_ref="secret-1", enabled=False)
        await site.announce(m.CameraConfigured, camera=camera)

        async def asked(url, username="root"):
            return (await probe(url, username=username, camera_id="door")).json()["problem"]

        async with asyncio.timeout(10):
            while await asked(locked.url):  # noqa: ASYNC110 - a poll by HTTP
                await asyncio.sleep(0.05)
        assert "password" in await asked(elsewhere.url)
        assert "password" in await asked(locked.url, username="other")
