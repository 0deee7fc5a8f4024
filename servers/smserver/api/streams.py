"""Tickets that start streams."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from broker.model.base import Value, Word
from broker.model.resources import Camera, Right, Server
from broker.trust.tokens import LIFETIME, Purpose
from servers.net.policy import SignedIn
from servers.smserver.api.context import Using, access_of
from servers.smserver.errors import ConflictError, ForbiddenError, NotFoundError
from servers.smserver.site import load_one

router = APIRouter(tags=["streams"])

NEEDED: Mapping[Purpose, Right] = {"live": Right.LIVE, "playback": Right.PLAYBACK}
SAID: Mapping[Purpose, str] = {"live": "live", "playback": "recorded"}


class TicketRequest(Value):
    """Which stream is wanted."""

    camera_id: Word
    stream: Literal["main", "sub"] = Field("main", description="A camera without a sub stream gives its main one.")
    purpose: Purpose = Field("live", description="Whether the ticket starts live or recorded video, never both.")


class Ticket(Value):
    """The right to start one camera's streams on its node."""

    ticket: str
    url: str = Field(description="For players: the address with the ticket in it.")
    expires_in: int = Field(description="Seconds in which a stream must be started; a running one goes on.")


@router.post("/stream-tickets", operation_id="create_stream_ticket")
def create_stream_ticket(body: TicketRequest, caller: SignedIn, using: Using) -> Ticket:
    """Give a ticket for live or for recorded video."""
    access = access_of(caller)
    with using.store.read() as connection:
        found = load_one(connection, Camera, body.camera_id)
        server = load_one(connection, Server, found[0].node_id) if found else None
    if found is None or not access.camera(body.camera_id):
        raise NotFoundError(f"There is no camera {body.camera_id}.", field="camera_id")
    if not access.camera(body.camera_id, NEEDED[body.purpose]):
        raise ForbiddenError(f"Your profile lacks the right to watch {SAID[body.purpose]} video.", field="purpose")
    camera = found[0]
    if server is None or not server[0].stream_url:
        raise ConflictError(f"The DVRServer {camera.node_id} has not joined the site yet.", remedy="Start it.")
    ticket = using.issuer.ticket(caller.id, caller.session_id, camera.id, camera.node_id, purpose=body.purpose)
    stream = body.stream if camera.sub_url else "main"
    return Ticket(
        ticket=ticket,
        url=f"{server[0].stream_url}/camera/{camera.id}/{stream}?ticket={ticket}",
        expires_in=int(LIFETIME["ticket"].total_seconds()),
    )
