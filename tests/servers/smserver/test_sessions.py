async def test_the_first_start_makes_an_administrator_with_a_password_of_its_own(site):
    admin = await site.admin()
    me = await admin.get("/me")
    assert me["user"]["id"] == "admin"
    assert me["profile"]["everything"] is True
    assert len(site.password) >= 16
