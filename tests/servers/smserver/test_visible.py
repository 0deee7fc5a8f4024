import pytest


@pytest.fixture
async def guarded(site, admin, node):
    """Two cameras and two alarms; olga sees the first of each."""
    for camera_id in ("cam-1", "cam-2"):
        await admin.post("/cameras", site.camera(camera_id, username="viewer", password="hunter2 hunter2"))
    note = "call the boss"
    await admin.post("/alarms", site.alarm("door", "cam-1", administrator_description=note))
    await admin.post("/alarms", site.alarm("gate", "cam-2"))
    return await site.operator(admin, cameras=["cam-1"], alarms=["door"])


async def test_a_user_sees_what_the_profile_names_and_nothing_else(guarded):
    me = await guarded.get("/me")
    assert [camera["id"] for camera in me["cameras"]] == ["cam-1"]
    assert [alarm["id"] for alarm in me["alarms"]] == ["door"]
    assert [server["id"] for server in me["servers"]] == ["node-1"]
    assert [camera["id"] for camera in (await guarded.get("/cameras"))["items"]] == ["cam-1"]
    assert [alarm["id"] for alarm in (await guarded.get("/alarms"))["items"]] == ["door"]


async def test_guessing_ids_gives_the_same_answer_as_an_id_that_does_not_exist(guarded):
    for path, missing in (("/cameras/cam-2", "/cameras/cam-9"), ("/alarms/gate", "/alarms/nope")):
        hidden = await guarded.get(path, status=404)
        absent = await guarded.get(missing, status=404)
        guessed, other = path.rsplit("/", 1)[1], missing.rsplit("/", 1)[1]
        assert str(hidden).replace(guessed, "X") == str(absent).replace(other, "X")
    await guarded.post("/stream-tickets", {"camera_id": "cam-2"}, status=404)


async def test_who_only_watches_learns_neither_the_cameras_address_nor_its_user_name(guarded):
    camera = await guarded.get("/cameras/cam-1")
    assert camera["main_url"] == "rtsp://127.0.0.1:5011/camera/cam-1/main"
    assert (camera["username"], camera["secret_ref"]) == ("", None)
    assert "192.0.2.7" not in str(await guarded.get("/me"))
    assert (await guarded.get("/alarms/door"))["administrator_description"] == ""


async def test_who_does_not_administer_changes_nothing(site, guarded):
    await guarded.post("/cameras", site.camera("cam-3"), status=403)
    await guarded.ask("PUT", "/cameras/cam-1", site.camera(), status=403)
    await guarded.delete("/alarms/door", status=403)
    for path in ("/users", "/users/admin", "/profiles", "/audit", "/health-events"):
        await guarded.get(path, status=403)


async def test_without_the_right_to_watch_there_is_no_ticket(site, admin, node):
    await admin.post("/cameras", site.camera())
    clerk = await site.operator(admin, name="clerk", rights=["acknowledge"], cameras=["cam-1"])
    await clerk.post("/stream-tickets", {"camera_id": "cam-1"}, status=403)
    await clerk.post("/stream-tickets", {"camera_id": "cam-1", "purpose": "playback"}, status=403)
    viewer = await site.operator(admin, name="vera", rights=["live"], cameras=["cam-1"])
    await viewer.post("/stream-tickets", {"camera_id": "cam-1"}, status=200)
    answer = await viewer.post("/stream-tickets", {"camera_id": "cam-1", "purpose": "playback"}, status=403)
    assert "recorded" in answer["detail"]


async def test_a_change_of_the_profile_counts_at_once(site, admin, guarded):
    profile = await admin.get("/profiles/olgas")
    await admin.put("/profiles/olgas", {**profile, "camera_ids": ["cam-2"]})
    await guarded.get("/cameras/cam-1", status=404)
    await guarded.get("/cameras/cam-2")
