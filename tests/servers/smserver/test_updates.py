import asyncio
import base64
import hashlib
import json
import re

import httpx
import pytest
import sqlalchemy as sa

from broker.model.client_configuration import PAYLOAD_TYPE
from broker.model.releases import Piece, UploadHead
from broker.trust.envelopes import open_envelope
from clients.release.publish import to_folder, to_server
from clients.sdk import AsyncClient, Client, NotAllowedError, ProblemError
from servers.smserver import mirror, tables
from tests.clients.vau.site import Publisher

NONCE = "0123456789abcdef" * 2


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path / "publisher")


def upload(site, publisher, user="admin", password=None):
    with Client(site.server.url) as client:
        client.sign_in(user, password or site.password)
        return to_server(publisher.repository, client).releases


async def get(site, path, **headers):
    async with httpx.AsyncClient(base_url=site.server.url) as http:
        return await http.get(path, headers=headers)


async def test_what_was_uploaded_is_given_out_to_everybody(site, publisher):
    publisher.release("1.0", files={"data/big": b"0123456789" * 800_000, "data/empty": b""})
    assert await asyncio.to_thread(upload, site, publisher) == {"demo": "1.0"}
    for path in publisher.repository.folder.glob("[mot]*/**/*"):
        if path.is_file():
            name = path.relative_to(publisher.repository.folder)
            answer = await get(site, f"/updates/{name}")
            assert answer.status_code == 200, name
            assert answer.content == path.read_bytes()


async def test_a_range_of_a_file_is_given_out_so_that_a_cut_download_goes_on(site, publisher):
    release = publisher.release("1.0", files={"data/a": b"0123456789" * 100})
    await asyncio.to_thread(upload, site, publisher)
    sha256 = next(file.sha256 for file in release.files if file.path == "data/a")
    answer = await get(site, f"/updates/objects/{sha256[:2]}/{sha256}", Range="bytes=995-")
    assert (answer.status_code, answer.content) == (206, b"56789")
    assert answer.headers["Content-Range"] == "bytes 995-999/1000"


TRICKS = (
    "/updates/../keys/master-key",
    "/updates/%2e%2e/keys/master-key",
    "/updates/metadata/..%2f..%2fkeys/master-key",
    "/updates/metadata/%2e%2e/%2e%2e/keys/master-key",
    "/updates/incoming/secret.part",
    "/updates/metadata/linked.json",
    "/updates//etc/hostname",
)


@pytest.mark.parametrize("checked", [True, False])
async def test_path_tricks_lead_nowhere(site, monkeypatch, checked):
    """Switched off is the list of names that are given out at all."""
    folder = site.settings.updates_dir
    for name in ("incoming/secret.part", "metadata/linked.json"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("secret")
    if not checked:
        monkeypatch.setattr(mirror, "SERVED", re.compile(".*"))
    host, port = site.server.url.removeprefix("http://").split(":")
    for path in TRICKS:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = int((await reader.read()).split(b" ", 2)[1])
        writer.close()
        await writer.wait_closed()
        assert status == (404 if checked else 200), path


async def test_a_link_is_not_given_out(site, publisher, tmp_path):
    folder = site.settings.updates_dir / "metadata"
    folder.mkdir(parents=True)
    (folder / "timestamp.json").symlink_to(site.settings.keys_dir / "master-key")
    assert (await get(site, "/updates/metadata/timestamp.json")).status_code == 404


async def test_publishing_is_for_administrators(site, admin, publisher):
    publisher.release("1.0")
    await site.operator(admin)
    with pytest.raises(NotAllowedError):
        await asyncio.to_thread(upload, site, publisher, "olga", "correct horse")
    async with httpx.AsyncClient(base_url=site.server.url) as http:
        for path in ("missing", "objects", "publication"):
            assert (await http.post(f"/api/v1/updates/{path}", content=b"{}")).status_code == 401


async def test_metadata_show_only_when_every_file_is_there(site, publisher, monkeypatch):
    publisher.release("1.0")
    await asyncio.to_thread(upload, site, publisher)
    before = (await get(site, "/updates/metadata/timestamp.json")).content
    release = publisher.release("1.1", files={"data/a": b"a" * 100})
    sha256 = next(file.sha256 for file in release.files if file.path == "data/a")
    monkeypatch.setattr("clients.release.publish._parts", lambda *_: iter(()))  # nothing is sent but the metadata
    with pytest.raises(ProblemError, match="not here"):
        await asyncio.to_thread(upload, site, publisher)
    monkeypatch.undo()
    (publisher.repository.folder / f"objects/{sha256[:2]}/{sha256}").write_bytes(b"b" * 100)
    with pytest.raises(ProblemError, match="What came is"):
        await asyncio.to_thread(upload, site, publisher)
    assert (await get(site, "/updates/metadata/timestamp.json")).content == before


async def test_metadata_of_somebody_else_or_of_before_are_refused(site, publisher, tmp_path):
    publisher.release("1.0")
    old = {path.name: path.read_bytes() for path in publisher.repository.metadata.iterdir()}
    publisher.release("1.1")
    await asyncio.to_thread(upload, site, publisher)
    other = Publisher(tmp_path / "other")
    other.release("9.9")
    with pytest.raises(ProblemError, match="another root is followed here"):
        await asyncio.to_thread(upload, site, other)
    (publisher.repository.metadata / "timestamp.json").write_bytes(old["timestamp.json"])
    (publisher.repository.metadata / "2.targets.json").unlink()
    with pytest.raises(ProblemError, match="older than 2 here"):
        await asyncio.to_thread(upload, site, publisher)


async def test_an_upload_that_was_cut_goes_on_where_it_was(site, admin):
    body = b"x" * 1000
    sha256 = hashlib.sha256(body).hexdigest()

    async def send(offset, data, status):
        head = UploadHead(pieces=[Piece(sha256=sha256, length=1000, offset=offset, size=len(data))])
        answer = await admin.http.post(
            "/api/v1/updates/objects", content=head.model_dump_json().encode() + b"\n" + data, headers=admin.headers
        )
        assert answer.status_code == status, answer.text

    wanted = {"objects": [{"sha256": sha256, "length": 1000}]}
    await send(0, body[:400], 204)
    missing = (await admin.post("/updates/missing", wanted, status=200))["objects"]
    assert missing == [{"sha256": sha256, "received": 400}]
    await send(500, body[500:], 409)
    await send(400, body[400:], 204)
    assert (await admin.post("/updates/missing", wanted, status=200))["objects"] == []


@pytest.mark.parametrize("how", ["upload", "folder"])
async def test_a_new_release_is_announced_once_with_its_audit_record(site, admin, publisher, how):
    await site.operator(admin)
    listener = await site.listen("gateway", "gateway.notices").ready()
    for version in ("1.0", "1.1"):
        publisher.release(version)
        if how == "upload":
            await asyncio.to_thread(upload, site, publisher)
        else:
            await asyncio.to_thread(to_folder, publisher.repository, site.settings.updates_dir)
        await site.eventually(lambda version=version: [m for m in listener.heard if m.version_name == version])
    await asyncio.to_thread(publisher.sign)  # renewed only: nothing new to tell
    if how == "upload":
        await asyncio.to_thread(upload, site, publisher)
    assert [(m.application, m.version_name) for m in listener.heard] == [("demo", "1.0"), ("demo", "1.1")]
    records = [one for one in (await admin.get("/audit"))["items"] if one["kind"] == "release"]
    assert [(one["user_id"], one["after"]["version"]) for one in records] == [
        ("admin" if how == "upload" else "system", version) for version in ("1.1", "1.0")
    ]
    with site.server._store.read() as connection:
        kinds = connection.execute(sa.select(tables.event.c.kind)).scalars().all()
    assert kinds.count("UpdateAvailable") == 2
    await listener.close()


async def test_an_event_of_an_update_reaches_every_signed_in_client(site, admin, publisher):
    await site.operator(admin)
    publisher.release("1.0")
    async with AsyncClient(site.server.url) as client:
        await client.sign_in("olga", "correct horse")

        async def first():
            async for event in client.events():
                if event.kind == "UpdateAvailable":
                    return event.data
            return None

        waiting = asyncio.create_task(first())
        for version in ("1.0", "1.1", "1.2", "1.3", "1.4"):  # the stream may begin after the first of them
            if version != "1.0":
                await asyncio.to_thread(publisher.release, version)
            await asyncio.to_thread(upload, site, publisher)
            done, _ = await asyncio.wait({waiting}, timeout=1)
            if done:
                break
        assert (await waiting)["application"] == "demo"


async def test_the_configuration_of_clients_is_signed_for_whoever_asks(site, admin):
    await admin.put("/client-configuration", {"branding": {"site": "Harbour"}})
    answer = (await get(site, f"/updates/configuration?nonce={NONCE}")).json()
    keys = json.loads(base64.b64decode(answer["payload"]))["keys"]
    issued = json.loads(open_envelope(answer, PAYLOAD_TYPE, keys))
    assert issued["nonce"] == NONCE
    assert issued["configuration"]["branding"]["site"] == "Harbour"
    assert issued["revision"] > 0
    assert (await get(site, "/updates/configuration?nonce=short")).status_code == 422


async def test_the_configuration_of_clients_changes_by_etag_with_an_audit_record(site, admin):
    first = await admin.ask("GET", "/client-configuration", status=200)
    assert first.headers["ETag"] == '"0"'
    body = {"addresses": [{"url": "https://vms.example.org:5008"}]}
    await admin.ask("PUT", "/client-configuration", body, status=428)
    await admin.ask("PUT", "/client-configuration", body, status=200, headers={"If-Match": '"0"'})
    await admin.ask("PUT", "/client-configuration", body, status=412, headers={"If-Match": '"0"'})
    refused = await admin.ask("PUT", "/client-configuration", {"program": "x"}, status=422, headers={"If-Match": "*"})
    assert "program" in refused.text
    assert [one["kind"] for one in (await admin.get("/audit"))["items"]].count("clients") == 1
