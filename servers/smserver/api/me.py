"""The signed-in user: what they see, and the secrets that they change themselves."""

from fastapi import APIRouter
from pydantic import Field, SecretStr
from starlette.requests import HTTPConnection

from broker.model.base import Value
from broker.model.resources import Alarm, Camera, Profile, Server, User
from broker.trust.streams import new_stream_secret
from servers.net.policy import SignedIn
from servers.smserver.api.context import Using, access_of, author_of
from servers.smserver.site import load_site
from servers.smserver.visible import seen_alarms, seen_cameras, seen_servers

router = APIRouter(prefix="/me", tags=["me"])


class Me(Value):
    """A user with all that the profile shows, as people who watch see it."""

    user: User
    profile: Profile
    cameras: list[Camera] = Field(description="With the addresses at which they are watched.")
    servers: list[Server]
    alarms: list[Alarm]


class StreamSecret(Value):
    """What ordinary RTSP players sign in with. Shown this once."""

    user: str
    secret: str


class NewPassword(Value):
    """A change of the own login password."""

    old: SecretStr = Field(max_length=200)
    new: SecretStr = Field(max_length=200)


@router.get("", operation_id="get_me")
def get_me(caller: SignedIn, using: Using) -> Me:
    """Who the caller is and what they see."""
    access = access_of(caller)
    with using.store.read() as connection:
        site = load_site(connection)
    return Me(
        user=access.user,
        profile=access.profile,
        cameras=seen_cameras(site, access),
        servers=seen_servers(site, access),
        alarms=seen_alarms(site, access),
    )


@router.post("/stream-secret", operation_id="new_stream_secret")
def create_stream_secret(caller: SignedIn, using: Using, request: HTTPConnection) -> StreamSecret:
    """Make a new stream secret; the one before is void."""
    stream_secret = new_stream_secret()
    with using.configuration.change(author_of(request, caller.id)) as change:
        change.set_stream_secret(caller.id, stream_secret)
    return StreamSecret(user=caller.id, secret=stream_secret)


@router.post("/password", operation_id="change_password", status_code=204)
def change_password(body: NewPassword, caller: SignedIn, using: Using, request: HTTPConnection) -> None:
    """Change the own login password; the caller's other sessions end."""
    using.sessions.change_password(
        caller.id,
        body.old.get_secret_value(),
        body.new.get_secret_value(),
        author_of(request, caller.id),
        caller.session_id,
    )
