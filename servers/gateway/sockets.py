"""The WebSockets of port 9000: live pictures, and the event stream relayed from SMServer."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from broker.model.resources import Server
from broker.process import logger
from broker.trust.errors import TokenRefusedError
from broker.trust.tokens import TokenChecker
from servers.gateway.channel import Viewer, problem_frame
from servers.gateway.errors import NOT_FOUND, POLICY, TRY_AGAIN, UNAUTHORISED, SocketRefusedError
from servers.gateway.packager import Media
from servers.gateway.settings import VideoStreamType
from servers.gateway.streams import StreamKey, Streams
from servers.gateway.tickets import TicketOffice

log = logger(__name__)

FIRST_FRAME_WITHIN_S = 5.0
MAX_FIRST_FRAME = 16 << 10
MAX_EVENT = 4 << 20
NORMAL = 1000
NO_STATUS = 1005
ABNORMAL = 1006


async def guarded(socket: WebSocket, serve: Callable[[], Awaitable[None]]) -> None:
    """Serve an accepted socket; a refusal is told in a problem frame and with its close code."""
    try:
        await serve()
    except SocketRefusedError as error:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(problem_frame(error.problem))
            await socket.close(error.code)
    except WebSocketDisconnect:
        pass
    finally:
        if socket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(NORMAL)


async def first_frame(socket: WebSocket) -> dict[str, Any]:
    """The JSON object with which a browser shows who it is: it cannot send headers.

    Raises:
        SocketRefusedError: none came in time, or something else did.
    """
    try:
        async with asyncio.timeout(FIRST_FRAME_WITHIN_S):
            text = await socket.receive_text()
        said = json.loads(text) if len(text) <= MAX_FIRST_FRAME else None
    except (TimeoutError, ValueError, KeyError, RecursionError) as error:
        raise SocketRefusedError(POLICY, "The first frame must come at once and be JSON.") from error
    if not isinstance(said, dict):
        raise SocketRefusedError(POLICY, "The first frame must be a JSON object.")
    return said


class LiveSockets:
    """`/live/{camera_id}`: first `{"ticket": …}` from the browser, then `{"mime": …}` and fragments from here."""

    def __init__(
        self,
        office: TicketOffice,
        streams: Streams,
        server_of: Callable[[str], Server | None],
        kind: VideoStreamType = "Live",
    ) -> None:
        self._office = office
        self._streams = streams
        self._server_of = server_of
        self._kind = kind

    def stream_for(self, asked: str, media: Media) -> str:
        """Which of a camera's streams is given. Sound is in the main one only."""
        if media == "audio":
            return "main"
        return {"Rec": "main", "Live": asked, "Remote": "sub"}[self._kind]

    async def serve(self, socket: WebSocket, camera_id: str, asked: str, media: Media = "video") -> None:
        """Show one stream until the browser leaves or the stream ends."""
        stream = self.stream_for(asked, media)
        said = await first_frame(socket)
        ticket = str(said.get("ticket", ""))
        claims = self._office.take(ticket, camera_id)
        server = self._server_of(claims.node)
        if server is None or not server.stream_url:
            raise SocketRefusedError(NOT_FOUND, f"The camera's server {claims.node} is not known here.")
        key = StreamKey(claims.node, camera_id, stream, media)
        viewer = Viewer(claims.sid, claims.sub, camera_id, stream)
        self._streams.join(key, viewer, f"{server.stream_url.rstrip('/')}/camera/{camera_id}/{stream}?ticket={ticket}")
        leaving = asyncio.create_task(_until_gone(socket, viewer))
        try:
            while (item := await viewer.next()) is not None:
                if isinstance(item, str):
                    await socket.send_text(item)
                else:
                    await socket.send_bytes(item)
        finally:
            self._streams.leave(key, viewer)
            leaving.cancel()
        if viewer.code != NORMAL:
            raise SocketRefusedError(viewer.code, viewer.problem)


async def _until_gone(socket: WebSocket, viewer: Viewer) -> None:
    """Notice that the browser hangs up; whatever else it says is not listened to."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            viewer.end(NORMAL, "")
            return


class EventRelay:
    """`/api/v1/events`: the frames of SMServer's event stream, both ways, unread."""

    def __init__(self, smserver_url: str, checker: TokenChecker, tls: ssl.SSLContext | None) -> None:
        self._url = "ws" + smserver_url.rstrip("/").removeprefix("http") + "/api/v1/events"
        self._checker = checker
        self._tls = tls
        self._open: dict[asyncio.Event, str] = {}

    async def serve(self, socket: WebSocket) -> None:
        """Relay until either side ends, or the session does."""
        said = await first_frame(socket)
        over = asyncio.Event()
        self._open[over] = self._session_of(str(said.get("access_token", "")))
        try:
            async with connect(
                self._url, ssl=self._tls, proxy=None, compression=None, max_size=MAX_EVENT, open_timeout=5
            ) as behind:
                await behind.send(json.dumps(said))
                await _first_of(_pass_up(socket, behind), _pass_down(behind, socket), over.wait())
                code, reason = behind.close_code, behind.close_reason
        except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
            log.info("event stream cannot be relayed", error=str(error) or type(error).__name__)
            raise SocketRefusedError(TRY_AGAIN, "SMServer does not answer.") from error
        finally:
            del self._open[over]
        if over.is_set():
            raise SocketRefusedError(UNAUTHORISED, "Your session is over.")
        if code not in {None, NORMAL, NO_STATUS}:
            raise SocketRefusedError(TRY_AGAIN if code == ABNORMAL else code, reason or "SMServer has hung up.")

    def end_session(self, session_id: str) -> None:
        """End the event streams of a session: it has been revoked."""
        for over, session in self._open.items():
            if session == session_id:
                over.set()

    def _session_of(self, token: str) -> str:
        try:
            return self._checker.check(token, "access").sid
        except TokenRefusedError as error:
            if self._checker.ready:
                log.info("event stream refused", reason=error.reason)
                raise SocketRefusedError(UNAUTHORISED, "The access token is not accepted.") from error
            return ""  # SMServer, which has the keys, decides


async def _pass_up(socket: WebSocket, behind: ClientConnection) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionClosed, KeyError):
        while True:
            await behind.send(await socket.receive_text())


async def _pass_down(behind: ClientConnection, socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionClosed):
        async for frame in behind:
            if isinstance(frame, str):
                await socket.send_text(frame)


async def _first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Run all until one is done, and end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
