import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from broker.model import messages as m
from broker.model.resources import User
from broker.trust.identity import Identity
from servers.dvrserver.streams import Streams, StreamUser
from servers.net.errors import ForbiddenError, NotFoundError, UnauthorisedError
from servers.net.rtsp_server import StreamRequest
from servers.wire.rtsp.auth_headers import Authorization, Challenge
from servers.wire.rtsp.digest import answer, strongest
from servers.wire.rtsp.messages import Headers

DOOR = "/camera/door/main"


@pytest.fixture
def streams(site):
    return make(site)


def make(site, *, find=lambda _id, _stream: None, identity=None, archive=None):
    return Streams(
        checker=site.checker,
        replica=site.replica,
        identity=identity or site.identity,
        find=find,
        archive=archive,
        recorded=lambda _id, _stream: False,
    )


def request(path=DOOR, *, ticket="", authorization="", tls=False):
    return StreamRequest(
        method="DESCRIBE",
        uri=f"rtsp://127.0.0.1:5011{path}",
        path=path,
        query={"ticket": ticket} if ticket else {},
        headers=Headers({"Authorization": authorization} if authorization else {}),
        peer="127.0.0.1",
        tls=tls,
    )


async def challenged(streams, **given):
    """The challenges that a refusal comes with."""
    with pytest.raises(UnauthorisedError) as refusal:
        await streams.authorise(request(**given))
    return Challenge.parse_all(refusal.value.challenges)


def digest(challenge, user, password, path=DOOR):
    uri = f"rtsp://127.0.0.1:5011{path}"
    given = answer(challenge, "DESCRIBE", uri, username=user, password=password, cnonce="abc", count=1)
    return given.serialise()


async def test_a_ticket_starts_the_stream_of_its_camera(streams, site):
    who = await streams.authorise(request(ticket=site.issuer.ticket("guard", "s1", "door", "node-1")))
    assert (who.user_id, who.camera_id, who.session_id) == ("guard", "door", "s1")


@pytest.mark.parametrize(("camera_id", "node_id"), [("vault", "node-1"), ("door", "node-2")])
async def test_a_ticket_for_another_camera_or_node_is_refused(streams, site, camera_id, node_id):
    await challenged(streams, ticket=site.issuer.ticket("admin", "s1", camera_id, node_id))


async def test_a_ticket_is_refused_after_its_minute(streams, site):
    old = site.issuer.ticket("guard", "s1", "door", "node-1", now=datetime.now(UTC) - timedelta(seconds=61))
    await challenged(streams, ticket=old)


async def test_a_ticket_of_an_ended_session_is_refused(streams, site):
    site.checker.revoke("s1")
    await challenged(streams, ticket=site.issuer.ticket("guard", "s1", "door", "node-1"))


async def test_an_access_token_is_as_good_as_a_ticket(streams, site):
    token = site.issuer.access("guard", "s2")
    who = await streams.authorise(request(authorization=f"Bearer {token}"))
    assert (who.user_id, who.session_id) == ("guard", "s2")


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_player_signs_in_with_the_stream_secret_by_digest(streams, site, algorithm):
    offered = await challenged(streams)
    assert [challenge.algorithm for challenge in offered] == ["SHA-256", "MD5"]
    chosen = next(challenge for challenge in offered if challenge.algorithm == algorithm)
    who = await streams.authorise(request(authorization=digest(chosen, "guard", site.secret)))
    assert who.user_id == "guard"


@pytest.mark.parametrize(("user", "password"), [("guard", "wrong"), ("nobody", "x"), ("admin", "")])
async def test_a_wrong_secret_or_a_user_without_one_is_refused(streams, user, password):
    chosen = strongest(await challenged(streams))
    await challenged(streams, authorization=digest(chosen, user, password))


async def test_basic_is_offered_and_accepted_only_inside_tls(streams, site):
    basic = Authorization(scheme="basic", username="guard", password=site.secret).serialise()
    assert all(challenge.scheme == "digest" for challenge in await challenged(streams, authorization=basic))
    assert "basic" in {challenge.scheme for challenge in await challenged(streams, tls=True)}
    assert (await streams.authorise(request(authorization=basic, tls=True))).user_id == "guard"
    wrong = Authorization(scheme="basic", username="guard", password="wrong").serialise()
    await challenged(streams, authorization=wrong, tls=True)


async def test_a_new_stream_secret_makes_the_old_one_void(streams, site):
    chosen = strongest(await challenged(streams))
    await streams.authorise(request(authorization=digest(chosen, "guard", site.secret)))
    site.replica.apply(
        m.UserConfigured(revision=8, user=User(id="guard", name="Guard", profile_id="door"), stream_ha1={})
    )
    await challenged(streams, authorization=digest(chosen, "guard", site.secret))


async def test_a_secret_sealed_to_another_node_opens_nothing(site, tmp_path):
    other = Identity.load_or_create(tmp_path / "other.json", "node-1", site.identity.role)
    streams = make(site, identity=other)
    chosen = strongest(await challenged(streams))
    await challenged(streams, authorization=digest(chosen, "guard", site.secret))


async def test_a_camera_that_the_profile_does_not_show_does_not_exist(streams, site):
    token = site.issuer.access("guard", "s1")
    with pytest.raises(NotFoundError):
        await streams.authorise(request("/camera/vault/main", authorization=f"Bearer {token}"))


async def test_a_camera_that_is_shown_but_may_not_be_watched_is_forbidden(streams, site):
    token = site.issuer.access("clerk", "s1")
    with pytest.raises(ForbiddenError):
        await streams.authorise(request(authorization=f"Bearer {token}"))


@pytest.mark.parametrize("path", ["/", "/camera/door", "/camera/door/third", "/camera/../main", "/camera/DOOR/main"])
async def test_other_addresses_are_not_found(streams, path):
    with pytest.raises(NotFoundError):
        await streams.authorise(request(path))


async def test_garbage_for_credentials_is_a_refusal_with_challenges(streams):
    assert await challenged(streams, authorization="Negotiate abc")
    assert await challenged(streams, authorization="Bearer abc")
    assert await challenged(streams, authorization="Basic ???")
    assert await challenged(streams, ticket="abc")


async def test_somebody_who_asks_for_a_camera_that_is_just_connecting_waits_for_its_first_picture(site):
    picture = SimpleNamespace(running=asyncio.Event(), live=SimpleNamespace(formats=("video",)), problem="")
    streams = make(site, find=lambda _id, _stream: picture)
    asked = asyncio.create_task(streams.describe(DOOR, {}, StreamUser("guard", "door", purpose="live")))
    await asyncio.sleep(0)
    assert not asked.done()
    picture.running.set()
    assert await asked == ("video",)
