"""Who may watch what on 5011, checked with nothing but what this node has on its own disk.

Four ways to prove who asks, for one address `/camera/<id>/<main or sub>`: a ticket in the address, an access token
(Bearer), the stream secret by Digest, and by Basic inside TLS. What exists for the user is the profile's business.
"""

import asyncio
import hmac
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from broker.model.resources import Right
from broker.process import logger
from broker.replica import Replica
from broker.trust.errors import SealError, TokenRefusedError
from broker.trust.identity import Identity
from broker.trust.streams import REALM, ha1, open_ha1
from broker.trust.tokens import TokenChecker
from servers.dvrserver.sources import Stream
from servers.net.errors import ForbiddenError, NotFoundError, UnauthorisedError, UnavailableError
from servers.net.live import LiveStream
from servers.net.rtsp_server import StreamRequest
from servers.wire.media import Format
from servers.wire.rtsp.auth_headers import Authorization
from servers.wire.rtsp.digest import DigestAuthority
from servers.wire.rtsp.errors import MalformedError

log = logger(__name__)

PATH = re.compile(r"^/camera/([a-z0-9][a-z0-9_-]{0,62})/(main|sub)$")
FIRST_PICTURE_S = 4.0
"""How long somebody who asks for a camera that is just connecting is kept waiting."""


@dataclass(frozen=True, slots=True)
class StreamUser:
    """Who watches."""

    user_id: str
    camera_id: str
    session_id: str = ""
    """The sign-in it belongs to; empty for ordinary players, who have none."""


class Picture(Protocol):
    """What is known of one stream of a camera."""

    live: LiveStream | None
    running: asyncio.Event

    @property
    def problem(self) -> str:
        """Why there is no picture, in a sentence."""
        ...


class Streams:
    """The provider behind the RTSP server."""

    def __init__(
        self,
        *,
        checker: TokenChecker,
        replica: Replica,
        identity: Identity,
        find: Callable[[str, Stream], Picture | None],
    ) -> None:
        self._checker = checker
        self._replica = replica
        self._identity = identity
        self._find = find
        self._digest = DigestAuthority(REALM, os.urandom(32))
        self._ha1: dict[str, tuple[str, dict[str, str]]] = {}  # user id -> what was sealed, and what was in it

    async def authorise(self, request: StreamRequest) -> StreamUser:
        """Say who asks. What was wrong exactly is in the log, not in the answer."""
        camera_id, _ = _parse(request.path)
        ticket = request.query.get("ticket")
        given = request.headers.get("Authorization")
        try:
            if ticket:
                user_id, session_id = self._ticket(ticket, camera_id)
            elif given:
                user_id, session_id = self._given(given, request)
            else:
                raise self._unauthorised(request, "no credentials")
        except TokenRefusedError as error:
            raise self._unauthorised(request, error.reason) from error
        who = StreamUser(user_id, camera_id, session_id)
        if not self.permits(who):
            access = self._replica.access(user_id)
            if access is not None and access.camera(camera_id):
                raise ForbiddenError("the user's profile lacks the right to watch live")
            raise NotFoundError("there is no such camera for this user")
        return who

    def permits(self, who: StreamUser) -> bool:
        """Whether the user may, as things are now, watch this camera live."""
        access = self._replica.access(who.user_id)
        return access is not None and access.camera(who.camera_id, Right.LIVE)

    async def describe(self, path: str, query: dict[str, str], who: Any) -> tuple[Format, ...]:
        """The tracks; a camera that is connecting gets a moment to show its first picture."""
        del query, who
        picture = self._picture(path)
        if not picture.running.is_set():
            try:
                async with asyncio.timeout(FIRST_PICTURE_S):
                    await picture.running.wait()
            except TimeoutError:
                raise UnavailableError(picture.problem or "the camera gives no picture yet") from None
        assert picture.live is not None
        return picture.live.formats

    def open(self, path: str, query: dict[str, str], who: Any) -> LiveStream:
        """What to play."""
        del query, who
        picture = self._picture(path)
        if picture.live is None:
            raise UnavailableError(picture.problem or "the camera gives no picture yet")
        return picture.live

    def _picture(self, path: str) -> Picture:
        picture = self._find(*_parse(path))
        if picture is None:
            raise NotFoundError("no such camera is captured here")
        return picture

    def _ticket(self, ticket: str, camera_id: str) -> tuple[str, str]:
        claims = self._checker.check(ticket, "ticket")
        if claims.node != self._identity.id:
            raise TokenRefusedError("it is for another node")
        if claims.camera != camera_id:
            raise TokenRefusedError("it is for another camera")
        if claims.purpose != "live":
            raise TokenRefusedError("it is for recorded video")
        return claims.sub, claims.sid

    def _given(self, header: str, request: StreamRequest) -> tuple[str, str]:
        try:
            given = Authorization.parse(header)
        except MalformedError as error:
            raise self._unauthorised(request, str(error)) from error
        match given.scheme:
            case "bearer":
                claims = self._checker.check(given.token, "access")
                return claims.sub, claims.sid
            case "digest":
                verdict = self._digest.verify(given, request.method, request.uri, time.time(), self._secret)
                if not verdict.ok:
                    raise self._unauthorised(request, verdict.reason, stale=verdict.stale)
                return given.username, ""
            case "basic" if request.tls:
                known = self._secret(given.username, "SHA-256") or ""
                offered = ha1(given.username, given.password)["SHA-256"]
                if hmac.compare_digest(known, offered):
                    return given.username, ""
                raise self._unauthorised(request, "unknown user or wrong stream secret")
        raise self._unauthorised(request, f"{given.scheme} is not accepted here")

    def _secret(self, user_id: str, algorithm: str) -> str | None:
        sealed = self._replica.stream_ha1.get(user_id, {}).get(self._identity.id)
        if sealed is None:
            return None
        known = self._ha1.get(user_id)
        if known is None or known[0] != sealed:
            try:
                known = (sealed, open_ha1(self._identity, user_id, sealed))
            except (SealError, ValueError) as error:
                log.warning("stream secret cannot be opened", user_id=user_id, reason=str(error))
                return None
            self._ha1[user_id] = known
        return known[1].get(algorithm)

    def _unauthorised(self, request: StreamRequest, reason: str, *, stale: bool = False) -> UnauthorisedError:
        if reason != "no credentials" and not stale:
            log.info("viewer refused", peer=request.peer, path=request.path, reason=reason)
        return UnauthorisedError(reason, self._digest.challenges(time.time(), stale=stale, basic=request.tls))


def _parse(path: str) -> tuple[str, Stream]:
    found = PATH.match(path)
    if found is None:
        raise NotFoundError("streams are at /camera/<id>/main and /camera/<id>/sub")
    return found[1], "main" if found[2] == "main" else "sub"
