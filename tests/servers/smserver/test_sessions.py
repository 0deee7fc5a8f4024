import asyncio

import pytest


async def test_the_first_start_makes_an_administrator_with_a_password_of_its_own(site):
    admin = await site.admin()
    me = await admin.get("/me")
    assert me["user"]["id"] == "admin"
    assert me["profile"]["everything"] is True
    assert len(site.password) >= 16


async def test_a_second_start_makes_no_second_password(site):
    await site.restart()
    assert site.server.first_password is None
    await site.admin()


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(site):
    stranger = site.stranger()
    wrong = await stranger.sign_in("admin", "wrong password", status=401)
    nobody = await stranger.sign_in("nobody", "wrong password", status=401)
    assert wrong.json() == nobody.json()
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_without_a_token_nothing_is_told(site):
    stranger = site.stranger()
    for path in ("/me", "/cameras", "/alarms", "/users", "/audit", "/alarm-events", "/config/snapshot"):
        await stranger.get(path, status=401)


async def test_signing_out_ends_the_session_at_once_and_tells_all_nodes(site, admin):
    nodes = await site.listen("dvrserver", "dvrserver.notices").ready()
    await admin.delete("/sessions/current")
    await admin.get("/me", status=401)
    await admin.post("/sessions/refresh", {"refresh_token": admin.signed_in["refresh_token"]}, status=401)
    await site.eventually(lambda: [m.session_id for m in nodes.heard] == [admin.signed_in["session_id"]])
    await nodes.close()


async def test_a_refresh_token_gives_new_tokens_once(site, admin):
    before = admin.signed_in
    after = await admin.post("/sessions/refresh", {"refresh_token": before["refresh_token"]}, status=200)
    assert after["session_id"] == before["session_id"]
    assert after["refresh_token"] != before["refresh_token"]
    admin.signed_in = after
    await admin.get("/me")


async def test_using_a_refresh_token_twice_ends_the_session_for_both(site, admin):
    nodes = await site.listen("dvrserver", "dvrserver.notices").ready()
    stolen = {"refresh_token": admin.signed_in["refresh_token"]}
    admin.signed_in = await admin.post("/sessions/refresh", stolen, status=200)
    await site.stranger().post("/sessions/refresh", stolen, status=401)
    await admin.get("/me", status=401)
    newest = {"refresh_token": admin.signed_in["refresh_token"]}
    await admin.post("/sessions/refresh", newest, status=401)
    await site.eventually(lambda: [m.session_id for m in nodes.heard] == [admin.signed_in["session_id"]])
    await nodes.close()


async def test_of_two_refreshes_at_the_same_time_only_one_gets_tokens(site, admin):
    token = {"refresh_token": admin.signed_in["refresh_token"]}
    answers = await asyncio.gather(*(admin.ask("POST", "/sessions/refresh", token) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_a_session_outlives_a_restart(site, admin):
    signed_in = admin.signed_in
    await site.restart()
    again = site.stranger()
    again.signed_in = signed_in
    await again.get("/me")


async def test_changing_the_own_password_ends_the_other_sessions(site, admin):
    elsewhere = await site.admin()
    body = {"old": site.password, "new": "a much better one"}
    await admin.post("/me/password", body, status=204)
    await admin.get("/me")
    await elsewhere.get("/me", status=401)
    await site.stranger().sign_in("admin", site.password, status=401)
    await site.person("admin", "a much better one")


async def test_the_own_password_needs_the_old_one(site, admin):
    answer = await admin.post("/me/password", {"old": "not it at all", "new": "a much better one"}, status=422)
    assert answer["field"] == "old"


async def test_a_short_password_is_refused_with_the_remedy(site, admin):
    answer = await admin.post("/me/password", {"old": site.password, "new": "short"}, status=422)
    assert answer["field"] == "new"
    assert answer["remedy"]


async def test_disabling_a_user_ends_their_sessions_at_once(site, admin):
    olga = await site.operator(admin)
    user = await admin.get("/users/olga")
    await admin.put("/users/olga", {**user, "enabled": False})
    await olga.get("/me", status=401)
    await site.stranger().sign_in("olga", "correct horse", status=401)


async def test_a_deleted_user_is_gone_at_once(site, admin):
    olga = await site.operator(admin)
    await admin.delete("/users/olga")
    await olga.get("/me", status=401)


async def test_a_password_set_by_an_administrator_ends_the_users_sessions(site, admin):
    olga = await site.operator(admin)
    user = await admin.get("/users/olga")
    await admin.put("/users/olga", {**user, "password": "battery staple"})
    await olga.get("/me", status=401)
    await site.stranger().sign_in("olga", "correct horse", status=401)
    await site.person("olga", "battery staple")


async def test_a_user_without_a_password_cannot_sign_in(site, admin):
    await admin.post("/users", {"id": "ghost", "name": "Ghost", "profile_id": "administrators"})
    await site.stranger().sign_in("ghost", "", status=401)


@pytest.mark.parametrize("name", ["", "a\x00b", "../etc", "ä" * 150, "' or 1=1 --"])
async def test_odd_user_names_are_simply_wrong(site, name):
    await site.stranger().sign_in(name, "whatever it is", status=401)


async def test_a_password_set_without_any_other_change_leaves_a_record(site, admin):
    await site.operator(admin)
    user = await admin.get("/users/olga")
    await admin.put("/users/olga", {**user, "password": "battery staple"})
    actions = [(row["action"], row["object_id"]) for row in (await admin.get("/audit"))["items"]]
    assert ("set password", "olga") in actions
