import pytest


async def test_a_camera_needs_a_dvrserver_that_exists(site, admin):
    answer = await admin.post("/cameras", site.camera(), status=422)
    assert answer["field"] == "node_id"
    assert "DVRServer" in answer["remedy"]


async def test_a_remedy_names_what_could_be_chosen(site, admin, node):
    answer = await admin.post("/cameras", site.camera(node_id="node-9"), status=422)
    assert "node-1" in answer["remedy"]


async def test_an_alarm_needs_cameras_that_exist(site, admin, node):
    answer = await admin.post("/alarms", site.alarm(), status=422)
    assert answer["field"] == "trigger.camera_id"
    await admin.post("/cameras", site.camera())
    record = {"kind": "record_camera", "camera_id": "cam-9"}
    answer = await admin.post("/alarms", site.alarm(actions=[record]), status=422)
    assert answer["field"] == "actions.0.camera_id"


async def test_a_user_needs_a_profile_that_exists(site, admin):
    answer = await admin.post("/users", {"id": "u", "name": "U", "profile_id": "ghosts"}, status=422)
    assert answer["field"] == "profile_id"
    assert "administrators" in answer["remedy"]


async def test_a_profile_names_only_what_exists(site, admin):
    answer = await admin.post("/profiles", {"id": "p", "name": "P", "camera_ids": ["cam-9"]}, status=422)
    assert answer["field"] == "camera_ids"


async def test_a_camera_in_use_by_an_alarm_stays_and_the_answer_names_the_alarm(site, admin, node):
    await admin.post("/cameras", site.camera())
    await admin.post("/alarms", site.alarm())
    answer = (await admin.delete("/cameras/cam-1", status=409)).json()
    assert "door" in answer["detail"]
    await admin.get("/cameras/cam-1")
    await admin.delete("/alarms/door")
    await admin.delete("/cameras/cam-1")


async def test_a_server_with_cameras_and_a_profile_with_users_stay(site, admin, node):
    await admin.post("/cameras", site.camera())
    assert "cam-1" in (await admin.delete("/servers/node-1", status=409)).json()["detail"]
    assert "admin" in (await admin.delete("/profiles/administrators", status=409)).json()["detail"]


async def test_the_last_administrator_cannot_be_removed_disabled_or_stripped(site, admin):
    await admin.delete("/users/admin", status=409)
    user = await admin.get("/users/admin")
    await admin.put("/users/admin", {**user, "enabled": False}, status=409)
    profile = await admin.get("/profiles/administrators")
    await admin.put("/profiles/administrators", {**profile, "rights": ["live"]}, status=409)
    await admin.get("/users")


async def test_with_a_second_administrator_the_first_may_go(site, admin):
    body = {"id": "berta", "name": "Berta", "profile_id": "administrators", "password": "correct horse"}
    await admin.post("/users", body)
    berta = await site.person("berta", "correct horse")
    await berta.delete("/users/admin")
    await admin.get("/me", status=401)
    await berta.get("/users")


async def test_an_id_is_taken_once(site, admin, node):
    await admin.post("/cameras", site.camera())
    answer = await admin.post("/cameras", site.camera(), status=409)
    assert answer["field"] == "id"


async def test_profiles_forget_what_is_deleted(site, admin, node):
    await admin.post("/cameras", site.camera())
    await admin.post("/profiles", {"id": "guards", "name": "Guards", "camera_ids": ["cam-1"]})
    await admin.delete("/cameras/cam-1")
    assert (await admin.get("/profiles/guards"))["camera_ids"] == []


async def test_the_systems_own_names_cannot_be_taken(site, admin):
    body = {"id": "system", "name": "S", "profile_id": "administrators"}
    assert (await admin.post("/users", body, status=422))["field"] == "id"


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("control_url", "ftp://192.0.2.7"),
        ("control_url", "http://192.0.2.7:99999"),
        ("control_url", "http://[::1"),
        ("control_url", "http://"),
        ("control_url", "http://somebody:secret@192.0.2.7"),
        ("control_url", "http://192.0.2.7/a path"),
        ("stream_url", "http://192.0.2.7"),
        ("stream_url", "rtsp://192.0.2.7:port"),
    ],
)
async def test_a_server_has_addresses_that_others_can_dial(site, admin, node, field, address):
    server = await admin.get("/servers/node-1")
    answer = await admin.put("/servers/node-1", {**server, field: address}, status=422)
    assert answer["field"] == field


async def test_a_webhooks_address_carries_no_password_into_the_configuration(site, admin, node):
    await admin.post("/cameras", site.camera())
    hook = {"kind": "http_request", "url": "https://robot:hunter2@192.0.2.9/hook"}
    answer = await admin.post("/alarms", site.alarm(actions=[hook]), status=422)
    assert answer["field"].endswith("url")
    assert "hunter2" not in str(answer)
    await admin.post("/alarms", site.alarm(actions=[{**hook, "url": "https://192.0.2.9/hook?to=a@b"}]))
