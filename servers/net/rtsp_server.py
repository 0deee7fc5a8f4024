"""The RTSP server shell: who asks is decided by a provider, what they get comes from its sources.

One `asyncio.Protocol` for each connection; a task only for a request, never for a packet.
"""

import asyncio
import errno
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from broker.process import logger
from servers.net.errors import NotFoundError, PortTakenError, StreamRefusedError, UnauthorisedError
from servers.net.live import PlayOptions, Recording, Source
from servers.wire import sdp
from servers.wire.media import Format
from servers.wire.rtsp.errors import LocalProtocolError
from servers.wire.rtsp.messages import Headers
from servers.wire.rtsp.server import Asked, Described, Paused, Played, ServerConnection, SetUp, State, TornDown

log = logger(__name__)

IDLE_S = 60.0
"""A client that neither plays nor asks is closed after this; so is a viewer that has taken nothing for so long."""
MAX_CONNECTIONS = 2000
"""At one server, all together."""
MAX_GRANTS = 8
"""Streams that one connection may be authorised for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """A request that must be authorised."""

    method: str
    uri: str
    """As sent."""
    path: str
    """Decoded, without the suffix of a track, e.g. /camera/door/main."""
    query: dict[str, str]
    headers: Headers
    peer: str
    """The client's address."""
    tls: bool


class Provider(Protocol):
    """The application behind an RtspServer."""

    async def authorise(self, request: StreamRequest) -> Any:
        """Say who asks, or raise `UnauthorisedError(reason, challenges)` or `ForbiddenError`.

        Asked once for each connection and path: what it returns is valid while the connection lasts.
        """

    async def describe(self, path: str, query: dict[str, str], who: Any) -> "tuple[Format, ...] | Presentation":
        """The tracks of a stream; raises NotFoundError, ForbiddenError or UnavailableError."""

    def open(self, path: str, query: dict[str, str], who: Any) -> Source:
        """What to play; raises as `describe` does. Asked once a session; a `Recording` then sees every PLAY of it."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """Tracks, and which times there are."""

    formats: tuple[Format, ...]
    range: str = "npt=now-"
    """As in a Range header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSession:
    """One client's connection, authorised for a stream."""

    id: str
    who: Any
    path: str
    peer: str
    playing: bool
    since: float
    """Seconds since 1970, UTC."""


@dataclass(slots=True)
class _Grant:
    """A stream that this connection may use."""

    path: str
    query: dict[str, str]
    who: Any
    presentation: Presentation | None = None


class RtspServer:
    """Listens, speaks RTSP, and joins viewers to sources."""

    def __init__(
        self,
        provider: Provider,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        setting: str = "",
        idle_s: float = IDLE_S,
    ) -> None:
        """`setting` is the variable that moves the port, for the message when it is taken; port 0 takes any."""
        self.provider = provider
        self.host = host
        self.port = port
        """As bound, once started."""
        self.tls = tls
        self._setting = setting
        self._idle_s = idle_s
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen; raises `PortTakenError`."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, self.host, self.port, ssl=self.tls, backlog=512)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(self.host, self.port, self._setting) from error
            where = f"; choose another address with {self._setting.rpartition('__')[0]}__HOST" if self._setting else ""
            raise OSError(
                error.errno, f"{self.host}:{self.port} cannot be listened on ({error.strerror}){where}"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._look_after()

    async def close(self) -> None:
        """End all sessions and free the port; safe to call twice."""
        if self._timer:
            self._timer.cancel()
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        connections = tuple(self._connections)
        for connection in connections:
            connection.end("the server stops")
        await asyncio.gather(*(connection.finished() for connection in connections), return_exceptions=True)
        await server.wait_closed()

    def sessions(self) -> tuple[StreamSession, ...]:
        """All connections that were authorised for a stream."""
        return tuple(session for connection in self._connections if (session := connection.session()))

    def end(self, session_id: str, reason: str) -> bool:
        """End one session by its `StreamSession.id`; whether there was one."""
        found = [each for each in self._connections if (session := each.session()) and session.id == session_id]
        for connection in found:
            connection.end(reason)
        return bool(found)

    def end_where(self, chosen: Callable[[Any], bool], reason: str) -> int:
        """End the sessions whose `who` is chosen, e.g. those of a revoked sign-in; how many there were."""
        found = [each for each in self._connections if (session := each.session()) and chosen(session.who)]
        for connection in tuple(self._connections):
            connection.forget(chosen)
        for connection in found:
            connection.end(reason)
        return len(found)

    def _accept(self) -> asyncio.Protocol:
        return _Connection(self, self._connections)

    def _look_after(self) -> None:
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.check(now, self._idle_s)
        self._timer = asyncio.get_running_loop().call_later(self._idle_s / 4, self._look_after)


class _Connection(asyncio.Protocol):
    """One client; as a viewer, what a Source sends to."""

    def __init__(self, server: RtspServer, connections: "set[_Connection]") -> None:
        self._server = server
        self._connections = connections
        self._machine = ServerConnection(secrets.token_hex(8))
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._task: asyncio.Task[None] | None = None
        self._grants: dict[str, _Grant] = {}
        self._grant: _Grant | None = None
        """Of the stream that is set up or was asked for last."""
        self._source: Source | None = None
        self._full: asyncio.Future[None] | None = None
        """There while more waits in the transport than it likes."""
        self._held: list[bytes] | None = None
        """Frames that must not overtake the answer to PLAY."""
        self._since = time.time()
        self._heard = time.monotonic()
        self._sent = 0
        self._progress = (-1, self._heard)
        """Bytes that the network has taken, and since when there have not been more."""
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- What asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if len(self._connections) >= MAX_CONNECTIONS:
            log.warning("stream client refused, too many connections", peer=self._peer, limit=MAX_CONNECTIONS)
            transport.abort()
            return
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._machine.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._full = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self)
        self._machine.close()
        self._drop()
        self.resume_writing()
        if self._task:
            self._task.cancel()
        if not self._lost.done():
            self._lost.set_result(None)

    # --- Requests -----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Answer what can be answered; a request that the provider must think about stops the reading."""
        if self._task is not None:
            return
        machine = self._machine
        asked = machine.next_event()
        self._flush()
        if asked is not None:
            assert self._transport
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._answer(asked))
            self._task.add_done_callback(self._answered)
        elif machine.state is State.CLOSED and self._transport and not self._transport.is_closing():
            if machine.error:
                log.warning(
                    "stream client broke the protocol",
                    peer=self._peer,
                    reason=str(machine.error),
                    status=machine.error.status,
                    data=repr(machine.error.data),
                )
            self._drop()
            self._transport.close()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self._transport is None or self._transport.is_closing():
            return
        if not task.cancelled() and (error := task.exception()):
            log.error("stream request failed", peer=self._peer, exc_info=error)
            self._transport.abort()
            return
        self._flush()
        self._transport.resume_reading()
        self._pump()

    async def _answer(self, asked: Asked) -> None:
        try:
            await self._decide(asked)
        except StreamRefusedError as refusal:
            challenges = refusal.challenges if isinstance(refusal, UnauthorisedError) else ()
            body = b"" if isinstance(refusal, UnauthorisedError) else refusal.reason.encode()
            kind = [("Content-Type", "text/plain; charset=utf-8")] if body else []
            # The first request without credentials is how every player begins; that is no news.
            if not challenges or "Authorization" in asked.request.headers:
                log.info(
                    "stream request refused",
                    peer=self._peer,
                    path=asked.uri.path,
                    status=refusal.status,
                    reason=refusal.reason,
                )
            said = [("WWW-Authenticate", challenge) for challenge in challenges]
            self._machine.respond(refusal.status, [*said, *kind], body)
        except LocalProtocolError:
            pass  # The connection was closed while the provider was thinking.
        except Exception:
            log.exception("stream request failed", peer=self._peer, path=asked.uri.path)
            self._machine.respond(500)

    async def _decide(self, asked: Asked) -> None:
        match asked:
            case Described():
                grant = await self._granted(asked)
                found = grant.presentation = await self._described(grant)
                body = sdp.serialise(found.formats, session_id=str(int(self._since)), range_=found.range)
                base = _content_base(asked.request.uri, grant.path)
                self._machine.respond(200, {"Content-Type": "application/sdp", "Content-Base": base}, body)
            case SetUp():
                await self._set_up(asked)
            case Played():
                await self._play(asked)
            case Paused():
                self._leave()
                self._machine.respond(200)
            case TornDown():
                self._drop()
                self._machine.respond(200)

    async def _granted(self, asked: Asked) -> _Grant:
        """The grant of the request's stream; asks the provider once for each connection and stream."""
        path = asked.uri.path
        grant = self._grants.get(path)
        if grant is None:
            request = StreamRequest(
                method=asked.request.method,
                uri=asked.request.uri,
                path=path,
                query=asked.uri.parameters,
                headers=asked.request.headers,
                peer=self._peer,
                tls=self._server.tls is not None,
            )
            who = await self._server.provider.authorise(request)
            grant = _Grant(path, request.query, who)
            while len(self._grants) >= MAX_GRANTS:
                self._grants.pop(next(iter(self._grants)))
            self._grants[path] = grant
        if not self._machine.tracks:
            self._grant = grant
        return grant

    async def _set_up(self, asked: SetUp) -> None:
        grant = await self._granted(asked)
        if grant is not self._grant:
            self._machine.respond(459)  # One session carries one stream.
            return
        if grant.presentation is None:
            grant.presentation = await self._described(grant)
        tracks = len(grant.presentation.formats)
        track = asked.uri.track
        if track is None and tracks > 1:
            self._machine.respond(459)  # RFC 2326, 10.4: which track, must be said.
        elif (track or 0) >= tracks:
            raise NotFoundError(f"the stream has no track {track}")
        else:
            self._machine.respond(200)

    async def _described(self, grant: _Grant) -> Presentation:
        found = await self._server.provider.describe(grant.path, grant.query, grant.who)
        return found if isinstance(found, Presentation) else Presentation(found)

    async def _play(self, asked: Played) -> None:
        grant = self._grant
        assert grant is not None
        source = self._source
        if source is None:
            source = self._server.provider.open(grant.path, grant.query, grant.who)
        options = PlayOptions(
            tracks=self._machine.tracks,
            range=asked.range,
            scale=asked.scale,
            speed=asked.speed,
            headers={name.lower(): value for name, value in asked.request.headers},
            replaying=asked.replaying,
            extension=asked.extension,
            cseq=int(asked.request.headers.get("CSeq")[-9:]),
            base=_content_base(asked.request.uri, grant.path),
        )
        if isinstance(source, Recording):
            try:
                await source.prepare(options)
            except BaseException:
                if self._source is None:
                    source.close()
                raise
            if self._machine.state is State.CLOSED:
                source.close()  # The session was ended meanwhile.
                return
        self._leave()
        self._source = source
        held: list[bytes] = []
        self._held = held
        try:
            headers = source.join(self, options)
        finally:
            self._held = None
        self._machine.respond(200, headers)
        self._flush()
        self.send(b"".join(held))
        log.info("viewer joined", peer=self._peer, path=grant.path)

    def _leave(self) -> None:
        if self._source is not None:
            self._source.leave(self)

    def _drop(self) -> None:
        """Leave for good."""
        self._leave()
        source, self._source = self._source, None
        if isinstance(source, Recording):
            source.close()

    def _flush(self) -> None:
        if self._transport and not self._transport.is_closing() and (data := self._machine.data_to_send()):
            self._transport.write(data)
            self._sent += len(data)

    # --- As a viewer --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send interleaved frames; they go past the machine, which only says whether they may."""
        if self._held is not None:
            self._held.append(data)
        elif data and self._machine.state is State.PLAYING and self._transport and not self._transport.is_closing():
            self._transport.write(data)
            self._sent += len(data)

    def backlog(self) -> int:
        """Bytes that wait in the transport."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    async def room(self) -> None:
        """Wait until most of what waits in the transport has been taken."""
        if self._full is not None:
            await asyncio.shield(self._full)

    def played_out(self) -> None:
        """The range that was asked for is over."""
        self._machine.played_out()
        self._heard = time.monotonic()

    def ended(self, reason: str) -> None:
        """The source has no more to send."""
        self.end(reason)

    # --- As a session -------------------------------------------------------------------------------------------------

    def session(self) -> StreamSession | None:
        """What is known about it; none before it was authorised for a stream."""
        grant = self._grant
        if grant is None:
            return None
        return StreamSession(
            id=self._machine.session.id,
            who=grant.who,
            path=grant.path,
            peer=self._peer,
            playing=self._machine.state is State.PLAYING,
            since=self._since,
        )

    def forget(self, chosen: Callable[[Any], bool]) -> None:
        """Ask the provider again about streams that were granted to who is chosen, should they be asked for again."""
        self._grants = {path: grant for path, grant in self._grants.items() if not chosen(grant.who)}

    def end(self, reason: str) -> None:
        """Close the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        log.info("stream session ended", peer=self._peer, path=self._grant.path if self._grant else "", reason=reason)
        self._machine.close()
        self._drop()
        if self.backlog():
            self._transport.abort()  # Whoever does not read would hold the port for ever.
        else:
            self._transport.close()

    async def finished(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._lost)

    def check(self, now: float, idle_s: float) -> None:
        """End a client that is of no more use."""
        if self._machine.state is not State.PLAYING:
            if now - self._heard > idle_s:
                self.end(f"nothing was asked for {idle_s:g} s")
            return
        # Over TCP the network's taking of data is the sign of life; many players send nothing else.
        backlog = self.backlog()
        taken = self._sent - backlog
        if backlog == 0 or taken != self._progress[0]:
            self._progress = (taken, now)
        elif isinstance(self._source, Recording) and now - self._heard <= idle_s:
            pass  # Who plays at its own pace may stop reading for as long as it says that it is there.
        elif now - self._progress[1] > idle_s:
            self.end(f"the viewer took nothing for {idle_s:g} s")


def _content_base(uri: str, path: str) -> str:
    """What controls are relative to: the stream's address without its query, so that no ticket is repeated."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    raw = parts.path.rstrip("/") if parts.path else path
    return f"{parts.scheme or 'rtsp'}://{host}{raw}/"
