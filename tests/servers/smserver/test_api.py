import asyncio

from servers.net.policy import policy_table


def app_of(site):
    return site.server._http._app


async def test_two_administrators_never_overwrite_each_other(site, admin, node):
    await admin.post("/cameras", site.camera())
    first = await admin.ask("GET", "/cameras/cam-1")
    tag = {"If-Match": first.headers["ETag"]}
    answers = await asyncio.gather(
        *(
            admin.ask("PUT", "/cameras/cam-1", {**first.json(), "name": f"Name {number}"}, headers=tag)
            for number in range(5)
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, 412, 412, 412, 412]
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    kept = await admin.ask("GET", "/cameras/cam-1")
    assert kept.json()["name"] == winner.json()["name"]
    assert kept.headers["ETag"] == winner.headers["ETag"]


async def test_a_change_that_does_not_say_what_it_builds_on_is_refused(site, admin, node):
    await admin.post("/cameras", site.camera())
    answer = await admin.ask("PUT", "/cameras/cam-1", site.camera(name="Other"), status=428)
    assert "ETag" in answer.json()["remedy"]
    await admin.ask("PUT", "/cameras/cam-1", site.camera(name="Other"), status=200, headers={"If-Match": "*"})


async def test_deleting_what_somebody_else_has_just_changed_is_refused(site, admin, node):
    await admin.post("/cameras", site.camera())
    tag = (await admin.ask("GET", "/cameras/cam-1")).headers["ETag"]
    await admin.put("/cameras/cam-1", site.camera(name="Other"))
    await admin.ask("DELETE", "/cameras/cam-1", status=412, headers={"If-Match": tag})


async def test_a_new_lane_does_not_disturb_who_edits_the_camera(site, admin, node):
    await admin.post("/cameras", site.camera())
    read = await admin.ask("GET", "/cameras/cam-1")
    await admin.post("/alarms", site.alarm(priority="high"))
    tag = {"If-Match": read.headers["ETag"]}
    await admin.ask("PUT", "/cameras/cam-1", {**read.json(), "name": "Other"}, status=200, headers=tag)


async def test_an_id_never_changes(site, admin, node):
    await admin.post("/cameras", site.camera())
    answer = await admin.put("/cameras/cam-1", site.camera("cam-2"), status=422)
    assert answer["field"] == "id"


async def test_every_error_is_a_problem_with_a_title_a_detail_and_the_field(site, admin, node):
    answer = await admin.ask("POST", "/cameras", site.camera(main_url="http://192.0.2.1"), status=422)
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["field"] == "main_url"
    assert body["title"]
    assert body["detail"]


async def test_credentials_in_a_cameras_address_are_refused_with_the_remedy(site, admin, node):
    answer = await admin.post("/cameras", site.camera(main_url="rtsp://viewer:pass@192.0.2.1/"), status=422)
    assert "username and password" in answer["detail"]


async def test_every_route_names_its_policy(site):
    rows = policy_table(app_of(site))
    assert rows
    assert [row for row in rows if row[2] is None] == []
    public = {path for _, path, policy in rows if policy == "public"}
    assert public == {
        "/api/v1/sign-in",
        "/api/v1/sessions/refresh",
        "/api/v1/enrolments",
        "/api/v1/service-tokens",
        "/api/v1/health",
        "/.well-known/jwks.json",
        "/updates/configuration",
        "/updates/{name:path}",
        "/openapi.json",
    }


async def test_every_operation_has_an_id_of_its_own_and_its_errors_are_described(site):
    document = (await site.stranger().http.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert {"sign_in", "get_me", "list_cameras", "create_camera", "replace_camera", "get_snapshot"} <= set(ids)
    assert all("application/problem+json" in operation["responses"]["default"]["content"] for operation in operations)


async def test_passwords_are_written_and_never_read(site):
    document = (await site.stranger().http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert "password" in schemas["CameraBody"]["properties"]
    assert "password" not in schemas["Camera"]["properties"]
    assert "password" not in schemas["User"]["properties"]


async def test_a_body_that_is_no_json_is_a_problem(site, admin):
    answer = await admin.http.post("/api/v1/cameras", content=b"{", headers=admin.headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_health_says_yes_when_all_is_well(site):
    assert (await site.stranger().ask("GET", "/health", status=200)).json() == {"ok": True}
