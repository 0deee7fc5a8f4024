"""The event stream over a WebSocket."""

import asyncio
import contextlib

from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect
from pydantic import Field, ValidationError

from broker.model.access import Access
from broker.model.base import Value
from broker.model.resources import Profile, Server, User
from broker.process import logger
from servers.net.policy import Caller, policies_of, websocket_policy
from servers.net.problems import Problem
from servers.smserver import events
from servers.smserver.api.context import Services, Using, access_of
from servers.smserver.errors import NotReadyError
from servers.smserver.site import load_site
from servers.smserver.visible import ACCESS_KINDS, body_of, seen_by

log = logger(__name__)

NOT_SIGNED_IN = 4401
"""The close code of a session that is not, or no more. 4000 to 4999 are for applications (RFC 6455, 7.4.2)."""

TRY_AGAIN = 1013
FIRST_FRAME_S = 10.0
RECHECK_S = 60.0
"""How often a quiet client's session is looked up again, since a session may simply run out."""

NOBODY = Access(User(id="nobody", name="Nobody", profile_id="nothing"), Profile(id="nothing", name="Nothing"))
"""What is left to a user who was disabled or deleted: to hear that the session is over."""

router = APIRouter(tags=["events"])


class Hello(Value):
    """The client's first frame."""

    access_token: str = Field(max_length=4000)
    since: int | None = Field(None, description="The last event that the client has; none: only new ones.")


@router.websocket("/events", dependencies=[Depends(websocket_policy("the first frame carries an access token"))])
async def follow_events(socket: WebSocket, using: Using) -> None:
    """Tell what happens, from now on or after the event `since`, as far as the caller's profile shows it."""
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                hello = Hello.model_validate_json(await socket.receive_text(), extra="ignore")
            caller = await policies_of(socket).user(hello.access_token)
            await _until_either_ends(socket, using, caller, hello.since)
        except (Problem, ValidationError, TimeoutError, KeyError):
            await socket.close(NOT_SIGNED_IN, "send a good access_token in the first frame")
        except NotReadyError:
            await socket.close(TRY_AGAIN, "the database is away")


async def _until_either_ends(socket: WebSocket, using: Services, caller: Caller, since: int | None) -> None:
    telling = asyncio.create_task(_tell(socket, using, caller, since))
    listening = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
        telling.cancel()
        await asyncio.gather(telling, listening, return_exceptions=True)
    if not telling.cancelled() and (error := telling.exception()) is not None:
        raise error


async def _until_gone(socket: WebSocket) -> None:
    """Nothing more is expected of the client but its farewell."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _tell(socket: WebSocket, using: Services, caller: Caller, since: int | None) -> None:
    access = access_of(caller)
    first, last, servers = await asyncio.to_thread(_bounds, using)
    position = last if since is None or since > last else since
    await socket.send_json({"hello": {"last": last, "missed": position < first - 1}})
    while True:
        try:
            async with asyncio.timeout(RECHECK_S):
                found = await using.hub.next(position)
        except TimeoutError:
            found = []
            if await _fresh_access(using, caller) is None:
                await socket.close(NOT_SIGNED_IN, "the session is over")
                return
        for event in found:
            position = event.id
            if event.kind in ACCESS_KINDS:
                # What came before was judged by the old profile, what comes after is judged by the new one.
                _, _, servers = await asyncio.to_thread(_bounds, using)
                access = await _fresh_access(using, caller) or NOBODY
            seen = seen_by(event, access, caller.session_id, servers)
            if seen is None:
                continue
            await socket.send_json(body_of(seen))
            if seen.kind == "SessionRevoked":
                await socket.close(NOT_SIGNED_IN, "the session is over")
                return


async def _fresh_access(using: Services, caller: Caller) -> Access | None:
    return await asyncio.to_thread(using.sessions.access_of, caller.id, caller.session_id)


def _bounds(using: Services) -> tuple[int, int, dict[str, Server]]:
    with using.store.read() as connection:
        servers = {server.id: server for server in load_site(connection).every(Server)}
        return events.first_of(connection), events.last_of(connection), servers
