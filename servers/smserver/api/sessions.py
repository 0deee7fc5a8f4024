"""Signing in, staying signed in and signing out."""

from fastapi import APIRouter, Depends
from pydantic import Field, SecretStr
from starlette.requests import HTTPConnection

from broker.model.base import Value
from broker.model.resources import Profile, User
from servers.net.policy import SignedIn, public
from servers.smserver.api.context import Stranger, Using, author_of
from servers.smserver.sessions import Tokens

router = APIRouter(tags=["sessions"])


class SignIn(Value):
    """Who somebody says they are."""

    user: str = Field(max_length=200, description="The sign-in name.")
    password: SecretStr = Field(max_length=200, description="The login password.")


class Refresh(Value):
    """A refresh token, good for one use."""

    refresh_token: SecretStr = Field(max_length=200)


class SignedInAs(Value):
    """A session and its tokens."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    expires_in: int = Field(description="Seconds for which the access token is good.")
    refresh_token: str = Field(description="For the next tokens; using one twice ends the session.")
    session_id: str
    user: User
    profile: Profile


def _answer(tokens: Tokens) -> SignedInAs:
    return SignedInAs(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        session_id=tokens.session_id,
        user=tokens.access.user,
        profile=tokens.access.profile,
    )


@router.post("/sign-in", operation_id="sign_in", dependencies=[Depends(public)])
def sign_in(body: SignIn, using: Using, author: Stranger) -> SignedInAs:
    """Begin a session."""
    user_id = body.user.strip()
    return _answer(using.sessions.sign_in(user_id, body.password.get_secret_value(), author))


@router.post("/sessions/refresh", operation_id="refresh_session", dependencies=[Depends(public)])
def refresh_session(body: Refresh, using: Using, author: Stranger) -> SignedInAs:
    """Renew a session; the refresh token is void afterwards and a new one takes its place."""
    return _answer(using.sessions.refresh(body.refresh_token.get_secret_value(), author))


@router.delete("/sessions/current", operation_id="sign_out", status_code=204)
def sign_out(caller: SignedIn, using: Using, request: HTTPConnection) -> None:
    """End the caller's session, here and on all servers."""
    using.sessions.end(caller.session_id, author_of(request, caller.id))
