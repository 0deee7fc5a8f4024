"""Where a cell's pictures come from: tickets of SMServer, by the operator's rights."""

import asyncio
import ssl
import time
from typing import Literal

from broker.model.resources import Right
from clients.desktop.session import Session
from clients.desktop.video.opening import Opener, StreamAddress, StreamName
from clients.sdk import AsyncClient, NotSignedInError, StreamTicket
from clients.spotter.camera_cell import CameraCell
from clients.spotter.site import Site

Purpose = Literal["live", "playback"]
NOT_SEEN = "Your profile does not show this camera any more."
NO_LIVE = "Your profile does not let you watch live pictures."
TICKET_S = 40.0
"""A ticket starts streams for a minute; it is used again for less."""


class Pictures:
    """Has cells show cameras, and opens streams for the player."""

    def __init__(self, site: Site, session: Session) -> None:
        self._site, self._session = site, session

    def show_live(self, cell: CameraCell, camera_id: str, stream: StreamName | None = None) -> None:
        """Have a cell play a camera live, as far as the profile allows."""
        camera = self._site.cameras.get(camera_id)
        if camera is None or not self._site.may(Right.LIVE):
            cell.empty(NO_LIVE if camera else NOT_SEEN)
            cell.camera_id = camera_id
            cell.show_title(camera.name if camera else "")
        else:
            opener = self.opener(camera_id, "live")
            cell.show_live(camera_id, camera.name, opener, has_sub=camera.sub_url is not None, stream=stream)

    def opener(self, camera_id: str, purpose: Purpose) -> Opener:
        """Opens a camera's streams. A ticket serves for as long as it lasts, since seeking opens streams often."""
        kept: dict[StreamName, tuple[float, StreamAddress]] = {}

        async def open_stream(stream: StreamName) -> StreamAddress:
            known = kept.get(stream)
            if purpose == "playback" and known and time.monotonic() - known[0] < TICKET_S:
                return known[1]
            client, trusted = self._session.client, self._session.trusted
            if client is None:
                raise NotSignedInError(401, "Nobody has signed in")
            asked = self._session.background.submit(_ticket(client, camera_id, stream, purpose))
            ticket = await asyncio.wrap_future(asked)
            nodes: ssl.SSLContext | None = trusted.nodes if trusted else None
            address = StreamAddress(ticket.url, nodes)
            kept[stream] = (time.monotonic(), address)
            return address

        return open_stream


async def _ticket(client: AsyncClient, camera_id: str, stream: StreamName, purpose: Purpose) -> StreamTicket:
    return await client.stream_ticket(camera_id, stream, purpose)
