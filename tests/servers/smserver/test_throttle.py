import asyncio


async def test_guessing_a_users_password_slows_down(make_site):
    async with make_site(throttle_tries=3) as site:
        stranger = site.stranger()
        for _ in range(3):
            await stranger.sign_in("admin", "a wrong guess", status=401)
        answer = await stranger.sign_in("admin", site.password, status=429)
        assert int(answer.headers["Retry-After"]) >= 1


async def test_the_brake_survives_a_restart(make_site):
    async with make_site(throttle_tries=3) as site:
        for _ in range(3):
            await site.stranger().sign_in("admin", "a wrong guess", status=401)
        await site.restart()
        await site.stranger().sign_in("admin", site.password, status=429)


async def test_after_the_wait_the_right_password_is_let_in_and_forgives(make_site):
    async with make_site(throttle_tries=2, throttle_wait_s=1) as site:
        stranger = site.stranger()
        for _ in range(2):
            await stranger.sign_in("admin", "a wrong guess", status=401)
        await stranger.sign_in("admin", site.password, status=429)

        async def let_in():
            return (await stranger.sign_in("admin", site.password, status=None)).status_code == 200

        await site.eventually(let_in)
        await stranger.sign_in("admin", "a wrong guess", status=401)


async def test_many_names_from_one_address_slow_down_too(make_site):
    async with make_site(throttle_tries=100, throttle_address_tries=4) as site:
        stranger = site.stranger()
        for number in range(4):
            await stranger.sign_in(f"user-{number}", "a wrong guess", status=401)
        await stranger.sign_in("user-5", "a wrong guess", status=429)


async def test_guesses_made_at_the_same_time_are_all_counted(make_site, dear_passwords):
    async with make_site(throttle_tries=3) as site:
        answers = await asyncio.gather(
            *(site.stranger().sign_in("admin", f"a wrong guess {n}", status=None) for n in range(12))
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes.count(401) <= 3
        assert set(codes) == {401, 429}


async def test_the_right_password_is_never_throttled_however_many_come_at_the_same_time(make_site, dear_passwords):
    async with make_site(throttle_tries=50, throttle_address_tries=50) as site:
        people = [site.stranger() for _ in range(16)]
        for _ in range(2):
            await asyncio.gather(*(person.sign_in("admin", site.password, status=200) for person in people))
