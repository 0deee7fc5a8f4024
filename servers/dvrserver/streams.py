"""Who may watch what on 5011, checked with nothing but what this node has on its own disk.

Four ways to prove who asks, for one address `/camera/<id>/<main or sub>`: a ticket in the address, an access token
(Bearer), the stream secret by Digest, and by Basic inside TLS. What exists for the user is the profile's business.

Recorded video has the same addresses. It is meant by a ticket for playback, by a time in the address, or by a PLAY
with `Range: clock=`; all else is live.
"""

import asyncio
import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from broker.model.resources import Right
from broker.process import logger
from broker.replica import Replica
from broker.trust.errors import SealError, TokenRefusedError
from broker.trust.identity import Identity
from broker.trust.streams import REALM, ha1, open_ha1
from broker.trust.tokens import Claims, Purpose, TokenChecker
from servers.dvrserver.archive import Archive
from servers.dvrserver.instants import instant, micros
from servers.dvrserver.playback import Playback, StreamFootage
from servers.dvrserver.sources import Stream
from servers.net.errors import (
    ForbiddenError,
    InvalidRangeError,
    NotFoundError,
    UnauthorisedError,
    UnavailableError,
)
from servers.net.live import LiveStream, PlayOptions, Viewer
from servers.net.rtsp_server import Presentation, StreamRequest
from servers.wire.media import Format
from servers.wire.rtsp.auth_headers import Authorization
from servers.wire.rtsp.digest import DigestAuthority
from servers.wire.rtsp.errors import MalformedError
from servers.wire.rtsp.headers import Range, parse_clock, parse_number

log = logger(__name__)

_CLOCK = r"\d{8}T\d{6}(?:\.\d{1,6})?Z"
PATH = re.compile(rf"^/camera/([a-z0-9][a-z0-9_-]{{0,62}})/(main|sub)(?:/({_CLOCK})(?:-({_CLOCK}))?)?$")
FIRST_PICTURE_S = 4.0
"""How long somebody who asks for a camera that is just connecting is kept waiting."""


NEEDED: Mapping[Purpose, Right] = {"live": Right.LIVE, "playback": Right.PLAYBACK}


@dataclass(slots=True)
class StreamUser:
    """Who watches."""

    user_id: str
    camera_id: str
    session_id: str = ""
    """The sign-in it belongs to; empty for ordinary players, who have none."""
    purpose: Purpose | None = None
    """What is watched; none while that is open: before PLAY, where neither ticket nor address says it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an address names."""

    camera_id: str
    stream: Stream
    start_us: int | None = None
    end_us: int | None = None
    scale: float = 1.0

    @classmethod
    def parse(cls, path: str, query: Mapping[str, str] | None = None) -> "Place":
        """Read it; raises `NotFoundError` or, for a speed that is none, `InvalidRangeError`."""
        found = PATH.match(path)
        if found is None:
            raise NotFoundError(
                "streams are at /camera/<id>/main and /camera/<id>/sub; recorded ones also at "
                "/camera/<id>/main/20260131T120000Z and /camera/<id>/main/20260131T120000Z-20260131T121000Z?speed=4"
            )
        try:
            times = [micros(parse_clock(text)) if text else None for text in found.group(3, 4)]
            scale = parse_number("speed", (query or {}).get("speed", ""))
        except MalformedError as error:
            raise InvalidRangeError(str(error)) from error
        stream: Stream = "main" if found[2] == "main" else "sub"
        return cls(found[1], stream, times[0], times[1], 1.0 if scale is None or times[0] is None else scale)


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
        archive: Archive,
        recorded: Callable[[str, Stream], bool],
    ) -> None:
        """`recorded`: whether a stream is being recorded now."""
        self._checker = checker
        self._replica = replica
        self._identity = identity
        self._find = find
        self._archive = archive
        self._recorded = recorded
        self._digest = DigestAuthority(REALM, os.urandom(32))
        self._ha1: dict[str, tuple[str, dict[str, str]]] = {}  # user id -> what was sealed, and what was in it

    async def authorise(self, request: StreamRequest) -> StreamUser:
        """Say who asks. What was wrong exactly is in the log, not in the answer."""
        place = Place.parse(request.path)
        camera_id = place.camera_id
        purpose: Purpose | None = None if place.start_us is None else "playback"
        ticket = request.query.get("ticket")
        given = request.headers.get("Authorization")
        try:
            if ticket:
                claims = self._ticket(ticket, camera_id, purpose)
                user_id, session_id, purpose = claims.sub, claims.sid, claims.purpose
            elif given:
                user_id, session_id = self._given(given, request)
            else:
                raise self._unauthorised(request, "no credentials")
        except TokenRefusedError as error:
            raise self._unauthorised(request, error.reason) from error
        who = StreamUser(user_id, camera_id, session_id, purpose)
        self.check(who)
        return who

    def permits(self, who: StreamUser) -> bool:
        """Whether the user may, as things are now, watch of this camera what they watch, or anything at all."""
        return bool(self._rights(who))

    def _rights(self, who: StreamUser) -> list[Purpose]:
        """What the user may watch of what this session is for."""
        access = self._replica.access(who.user_id)
        if access is None:
            return []
        purposes: list[Purpose] = ["live", "playback"] if who.purpose is None else [who.purpose]
        return [purpose for purpose in purposes if access.camera(who.camera_id, NEEDED[purpose])]

    def check(self, who: StreamUser) -> None:
        """Raise what is answered to a user who may not: the camera does not exist, or the right is missing."""
        if self._rights(who):
            return
        access = self._replica.access(who.user_id)
        if access is not None and access.camera(who.camera_id):
            what = {"live": "live", "playback": "what is recorded", None: "this camera"}[who.purpose]
            raise ForbiddenError(f"the user's profile lacks the right to watch {what}")
        raise NotFoundError("there is no such camera for this user")

    async def describe(self, path: str, query: dict[str, str], who: Any) -> tuple[Format, ...] | Presentation:
        """The tracks; a camera that is connecting gets a moment to show its first picture."""
        place = Place.parse(path, query)
        assert isinstance(who, StreamUser)
        if "live" not in self._rights(who):
            return await asyncio.to_thread(self._recorded_at, place)
        try:
            return await self._live(place)
        except (UnavailableError, NotFoundError):
            if "playback" not in self._rights(who):
                raise
            try:
                return await asyncio.to_thread(self._recorded_at, place)
            except NotFoundError:
                pass
            raise

    def _recorded_at(self, place: Place) -> Presentation:
        """The tracks of footage, and which times there are."""
        footage = self.footage(place)
        footage.settle()
        formats = footage.formats(place.start_us)
        if place.scale != 1:
            formats = tuple(each for each in formats if each.media == "video")  # there will be no sound
        if place.start_us is None:
            first, last = footage.extent()
            return Presentation(formats, Range(start=instant(first), end=instant(last)).serialise())
        seconds = None if place.end_us is None else (place.end_us - place.start_us) / (1_000_000 * place.scale)
        return Presentation(formats, Range(start=0.0, end=seconds).serialise())

    def footage(self, place: Place) -> StreamFootage:
        """What is recorded of a stream."""
        return StreamFootage(
            self._archive, place.camera_id, place.stream, lambda: self._recorded(place.camera_id, place.stream)
        )

    async def _live(self, place: Place) -> tuple[Format, ...]:
        picture = self.picture(place)
        if not picture.running.is_set():
            try:
                async with asyncio.timeout(FIRST_PICTURE_S):
                    await picture.running.wait()
            except TimeoutError:
                raise UnavailableError(picture.problem or "the camera gives no picture yet") from None
        assert picture.live is not None
        return picture.live.formats

    def open(self, path: str, query: dict[str, str], who: Any) -> "Watched":
        """What to play."""
        assert isinstance(who, StreamUser)
        return Watched(self, Place.parse(path, query), who)

    def live(self, place: Place) -> LiveStream:
        """What a live viewer joins."""
        picture = self.picture(place)
        if picture.live is None:
            raise UnavailableError(picture.problem or "the camera gives no picture yet")
        return picture.live

    def picture(self, place: Place) -> Picture:
        """What is known of a stream; raises `NotFoundError`."""
        picture = self._find(place.camera_id, place.stream)
        if picture is None:
            raise NotFoundError("no such camera is captured here")
        return picture

    def _ticket(self, ticket: str, camera_id: str, purpose: Purpose | None) -> Claims:
        claims = self._checker.check(ticket, "ticket")
        if claims.node != self._identity.id:
            raise TokenRefusedError("it is for another node")
        if claims.camera != camera_id:
            raise TokenRefusedError("it is for another camera")
        if purpose is not None and claims.purpose != purpose:
            raise TokenRefusedError(f"it is for {claims.purpose} video")
        return claims

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


class Watched:
    """One session: live or recorded, as each PLAY says."""

    def __init__(self, streams: Streams, place: Place, who: StreamUser) -> None:
        self._streams = streams
        self._place = place
        self._who = who
        self._fixed = who.purpose
        self._live: LiveStream | None = None
        self._playback: Playback | None = None
        self._plays: LiveStream | Playback | None = None

    async def prepare(self, options: PlayOptions) -> None:
        """Decide what this PLAY is about, and whether the user may."""
        purpose = self._fixed or self._meant(options)
        wanted = replace(self._who, purpose=purpose)
        self._streams.check(wanted)
        if purpose == "live":
            self._plays = self._streams.live(self._place)
        else:
            self._plays = await self._recorded(options)
        # While the footage was sought, the right may have gone.
        self._streams.check(wanted)
        self._who.purpose = purpose

    def _meant(self, options: PlayOptions) -> Purpose:
        if options.range is None:
            return self._who.purpose or "live"
        return "playback" if isinstance(options.range.start or options.range.end, datetime) else "live"

    async def _recorded(self, options: PlayOptions) -> Playback:
        if self._playback is None:
            place, footage = self._place, self._streams.footage(self._place)
            await asyncio.to_thread(footage.settle)
            formats = await asyncio.to_thread(footage.formats, place.start_us)
            self._playback = Playback(footage, formats, start_us=place.start_us, end_us=place.end_us, scale=place.scale)
        await self._playback.prepare(options)
        return self._playback

    def join(self, viewer: Any, options: PlayOptions | None = None) -> Mapping[str, str]:
        """Begin to send."""
        assert options is not None
        if isinstance(self._plays, Playback):
            return self._plays.join(viewer, options)
        assert self._plays is not None, "prepare first"
        self._live = self._plays
        return self._plays.join(viewer, options)

    def leave(self, viewer: Viewer) -> None:
        """Send no more for now."""
        live, self._live = self._live, None
        if live is not None:
            live.leave(viewer)
        if self._playback is not None:
            self._playback.leave(viewer)

    def close(self) -> None:
        """The session is over."""
        if self._playback is not None:
            self._playback.close()
