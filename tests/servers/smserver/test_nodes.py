import pytest

from broker.model.resources import ServerRole
from broker.trust.sealing import secret_context
from broker.trust.streams import ha1, open_ha1
from broker.trust.tokens import TokenChecker


async def test_a_node_that_knows_the_join_secret_joins(site, admin):
    answer = await site.enrol(site.identity())
    assert answer["server"]["id"] == "node-1"
    assert answer["jwks"]["keys"]
    assert [server["id"] for server in (await admin.get("/servers"))["items"]] == ["node-1"]


async def test_a_wrong_join_secret_is_refused_and_changes_nothing(site, admin):
    await site.enrol(site.identity(), secret="guess", status=403)
    assert (await admin.get("/servers"))["items"] == []


async def test_enrolling_again_with_the_same_keys_changes_nothing(site, admin, node):
    node_service = await site.service(node)
    before = await node_service.get("/config/snapshot")
    await site.enrol(node)
    assert await node_service.get("/config/snapshot") == before


async def test_other_keys_for_a_known_id_are_refused_with_a_clear_sentence(site, node):
    answer = await site.enrol(site.identity(folder="-other"), status=409)
    assert "node-1" in answer["detail"]
    assert "other keys" in answer["detail"]
    assert "delete" in answer["remedy"]


async def test_a_deleted_server_may_join_again_with_new_keys(site, admin, node):
    await admin.delete("/servers/node-1")
    await site.enrol(site.identity(folder="-other"))


async def test_a_service_token_is_given_for_an_assertion_of_the_nodes_own_key(site, node):
    service = await site.service(node)
    assert (await service.get("/config/snapshot"))["revision"] > 0


async def test_an_assertion_of_other_keys_gets_no_token(site, node):
    forged = site.identity(folder="-forged").sign_assertion("smserver")
    await site.stranger().post("/service-tokens", {"assertion": forged}, status=401)
    await site.stranger().post("/service-tokens", {"assertion": "nonsense"}, status=401)


async def test_an_assertion_for_somebody_else_gets_no_token(site, node):
    elsewhere = node.sign_assertion("dvrserver")
    await site.stranger().post("/service-tokens", {"assertion": elsewhere}, status=401)


async def test_a_disabled_servers_token_is_refused(site, admin, node):
    service = await site.service(node)
    server = await admin.get("/servers/node-1")
    await admin.put("/servers/node-1", {**server, "enabled": False})
    await service.get("/config/snapshot", status=401)
    await site.stranger().post("/service-tokens", {"assertion": node.sign_assertion("smserver")}, status=401)


async def test_a_user_gets_no_snapshot_and_a_node_no_user_page(site, admin, node):
    await admin.get("/config/snapshot", status=401)
    await (await site.service(node)).get("/me", status=401)


async def test_published_keys_check_the_tokens_that_are_issued(site, admin, node, tmp_path):
    answer = await admin.http.get("/.well-known/jwks.json")
    checker = TokenChecker(tmp_path / "elsewhere")
    checker.update(answer.json())
    claims = checker.check(admin.signed_in["access_token"], "access")
    assert (claims.sub, claims.sid) == ("admin", admin.signed_in["session_id"])


async def test_a_cameras_password_reaches_its_node_sealed_and_nobody_else(site, admin, node):
    await admin.post("/cameras", site.camera(username="viewer", password="hunter2 hunter2"))
    snapshot = await (await site.service(node)).get("/config/snapshot")
    (secret,) = [change["body"] for change in snapshot["changes"] if change["kind"] == "SecretSealed"]
    camera = await admin.get("/cameras/cam-1")
    assert secret["secret_ref"] == camera["secret_ref"]
    assert secret["node_id"] == "node-1"
    opened = node.unseal(secret["sealed"], context=secret_context(secret["secret_ref"]))
    assert opened == b"hunter2 hunter2"


async def test_a_camera_that_moves_takes_its_password_along(site, admin, node):
    other = site.identity("node-2")
    await site.enrol(other)
    await admin.post("/cameras", site.camera(password="hunter2 hunter2"))
    camera = await admin.get("/cameras/cam-1")
    await admin.put("/cameras/cam-1", {**camera, "node_id": "node-2"})
    snapshot = await (await site.service(node)).get("/config/snapshot")
    (secret,) = [change["body"] for change in snapshot["changes"] if change["kind"] == "SecretSealed"]
    assert other.unseal(secret["sealed"], context=secret_context(secret["secret_ref"])) == b"hunter2 hunter2"


async def test_a_password_taken_away_is_forgotten_everywhere(site, admin, node):
    heard = await site.listen("dvrserver", "dvrserver.config").ready()
    await admin.post("/cameras", site.camera(password="hunter2 hunter2"))
    camera = await admin.get("/cameras/cam-1")
    await admin.put("/cameras/cam-1", {**camera, "password": ""})
    assert (await admin.get("/cameras/cam-1"))["secret_ref"] is None
    await site.eventually(lambda: [m for m in heard.heard if m.kind() == "SecretRemoved"])
    snapshot = await (await site.service(node)).get("/config/snapshot")
    assert "SecretSealed" not in {change["kind"] for change in snapshot["changes"]}
    await heard.close()


async def test_a_stream_secret_is_shown_once_and_sealed_to_every_dvrserver(site, admin, node):
    engine = site.identity("engine-1", ServerRole.ENGINE)
    await site.enrol(engine)
    shown = await admin.post("/me/stream-secret", status=200)
    later = site.identity("node-2")
    await site.enrol(later)
    snapshot = await (await site.service(node)).get("/config/snapshot")
    (user,) = [change["body"] for change in snapshot["changes"] if change["kind"] == "UserConfigured"]
    assert set(user["stream_ha1"]) == {"node-1", "node-2"}
    for identity in (node, later):
        assert open_ha1(identity, "admin", user["stream_ha1"][identity.id]) == ha1("admin", shown["secret"])


async def test_a_node_that_joins_later_hears_of_stream_secrets_on_the_bus(site, admin, node):
    heard = await site.listen("dvrserver", "dvrserver.config").ready()
    await admin.post("/me/stream-secret", status=200)
    await site.enrol(site.identity("node-2"))
    await site.eventually(
        lambda: [m for m in heard.heard if m.kind() == "UserConfigured" and set(m.stream_ha1) == {"node-1", "node-2"}]
    )
    await heard.close()


async def test_a_ticket_starts_one_camera_on_its_node(site, admin, node, tmp_path):
    await admin.post("/cameras", site.camera())
    ticket = await admin.post("/stream-tickets", {"camera_id": "cam-1", "stream": "main"}, status=200)
    assert ticket["url"].startswith("rtsp://127.0.0.1:5011/camera/cam-1/main?ticket=")
    checker = TokenChecker(tmp_path / "elsewhere")
    checker.update((await admin.http.get("/.well-known/jwks.json")).json())
    claims = checker.check(ticket["ticket"], "ticket")
    assert (claims.sub, claims.camera, claims.node) == ("admin", "cam-1", "node-1")


async def test_only_a_gateway_is_believed_when_it_says_for_whom_it_asks(site, admin):
    async def address_of_wrong_sign_in():
        await site.stranger().ask(
            "POST",
            "/sign-in",
            {"user": "admin", "password": "a wrong guess"},
            status=401,
            headers={"X-Forwarded-For": "192.0.2.99"},
        )
        return (await admin.get("/audit"))["items"][0]["address"]

    assert await address_of_wrong_sign_in() == "127.0.0.1"
    await site.enrol(site.identity("gateway-1", ServerRole.GATEWAY))
    assert await address_of_wrong_sign_in() == "192.0.2.99"


@pytest.mark.parametrize("broken", [{"sealing_key": "AAAA"}, {"signing_key": {"kty": "oct", "k": "AAAA"}}])
async def test_a_node_whose_keys_are_none_cannot_join_and_spoil_what_is_sealed_to_all(site, admin, broken):
    body = {
        "join_secret": site.join_secret(),
        "identity": {**site.identity("node-9").public().model_dump(mode="json"), **broken},
    }
    answer = (await site.stranger().ask("POST", "/enrolments", body, status=422)).json()
    assert answer["field"] == "identity"
    await admin.post("/me/stream-secret", status=200)
