"""The connections of the HTTP ports: how many there may be, and how long a client may take to say what it wants.

uvicorn by itself waits for ever for the rest of a request, so that a few slow clients could hold every connection.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from broker.process import logger

log = logger(__name__)

MAX_CONNECTIONS = 2000
"""At one port, WebSockets included."""

MAX_FROM_ONE_ADDRESS = 1000
"""Gateways bring many people from one address; none may take all."""

PIECE, PIECE_WITHIN_S = 65_536, 60.0
"""Each so many bytes of a body, or what is left of it, must come within so long."""

HEAD_WITHIN_S = 15.0
"""From a request's first byte, or the connection's beginning, to the end of its head."""

HANDSHAKE_WITHIN_S = 10.0
"""For TLS."""


class HttpConnection(HttpToolsProtocol):
    """A client that asks within its time, or is hung up on."""

    _timer: asyncio.TimerHandle | None = None
    _piece = 0
    """Bytes of the body since the client was last given time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse what is too much."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        clients = [getattr(each, "client", None) for each in self.connections]
        same = sum(1 for client in clients if client and client[0] == address)
        if len(self.connections) >= MAX_CONNECTIONS or same >= MAX_FROM_ONE_ADDRESS:
            log.warning("client refused, too many connections", peer=address, open=len(self.connections), its_own=same)
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._wait(HEAD_WITHIN_S)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait(HEAD_WITHIN_S)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        super().on_headers_complete()
        self._piece = 0
        self._wait(PIECE_WITHIN_S)

    def on_body(self, body: bytes) -> None:
        """More of its body is there; large ones, such as a release's files, may take long as long as they come."""
        super().on_body(body)
        self._piece += len(body)
        if self._piece >= PIECE:
            self._piece = 0
            self._wait(PIECE_WITHIN_S)

    def on_message_complete(self) -> None:
        """All of it is there: from now on it is we who take our time."""
        self._wait(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's."""
        self._wait(None)
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._wait(None)
        if self.flow is not None:  # it was not refused
            super().connection_lost(exc)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._too_slow) if seconds is not None else None

    def _too_slow(self) -> None:
        self._timer = None
        log.info("client was too slow to say what it wants", peer=self.client[0] if self.client else "")
        self.transport.abort()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose client may be leaving in the same moment as the server stops."""

    def shutdown(self) -> None:
        """Say farewell to who still listens; uvicorn's would raise where the closing has begun."""
        if self.handshake_complete and self.conn.state is not State.OPEN and not self.close_sent:
            self.stop_keepalive()
            self.transport.close()
            return
        super().shutdown()
