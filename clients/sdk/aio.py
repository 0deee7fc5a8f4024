"""The async client: the same calls, awaited, and the event stream."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from broker.model.base import Instant
from broker.model.resources import Alarm, Camera, Profile, Server, User
from broker.trust.tls import client_context
from clients.sdk import calls, events, node_calls
from clients.sdk.asked import asked_async
from clients.sdk.call import FIRST_ERROR, Call, T
from clients.sdk.client import TIMEOUT_S, UNAUTHORISED
from clients.sdk.errors import problem_of, unreachable
from clients.sdk.files import whole
from clients.sdk.resources import AsyncLayouts, AsyncResources
from clients.sdk.session import PROGRAM, Session, origin, token_of
from clients.sdk.values import SignedIn


class AsyncClient:
    """Asks SMServer and the nodes, as one user, inside one event loop. See `Client`."""

    def __init__(
        self,
        url: str,
        *,
        verify: ssl.SSLContext | bool = True,
        nodes: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        program: str = PROGRAM,
    ) -> None:
        """`verify` judges SMServer's certificate, and those of nodes too unless `nodes` does.

        `program` is what the audit trail says about who asks.
        """
        self._tls = verify if isinstance(verify, ssl.SSLContext) else None
        verify = client_context() if verify is True else verify  # httpx would read the authorities for each client
        own = {} if nodes is None else {origin(url): httpx.AsyncHTTPTransport(verify=verify, trust_env=False)}
        self._http = httpx.AsyncClient(verify=verify if nodes is None else nodes, mounts=own, trust_env=False)
        self._lock = asyncio.Lock()
        self._streams: set[AsyncGenerator[events.Event, None]] = set()
        self.session = Session(url, timeout_s, program)
        self.cameras = AsyncResources(self, "/cameras", Camera)
        self.alarms = AsyncResources(self, "/alarms", Alarm)
        self.users = AsyncResources(self, "/users", User)
        self.profiles = AsyncResources(self, "/profiles", Profile)
        self.servers = AsyncResources(self, "/servers", Server)
        self.layouts = AsyncLayouts(self)

    me = asked_async(calls.me)
    stream_secret = asked_async(calls.stream_secret)
    stream_ticket = asked_async(calls.stream_ticket)
    change_password = asked_async(calls.change_password)
    alarm_events = asked_async(calls.alarm_events)
    alarm_event = asked_async(calls.alarm_event)
    acknowledge = asked_async(calls.acknowledge)
    audit = asked_async(calls.audit)
    health_events = asked_async(calls.health_events)
    node_states = asked_async(calls.node_states)

    async def sign_in(self, user: str, password: str) -> SignedIn:
        """Begin a session."""
        return self.session.began(await self.do(calls.sign_in(user, password)))

    async def sign_out(self) -> None:
        """End the session everywhere."""
        await self.do(calls.sign_out())
        self.session.ended()

    def node(self, server: Server) -> "AsyncNode":
        """The control port of one of the nodes in `servers`."""
        return AsyncNode(self, server)

    def events(
        self, since: int | None = None, *, on_connection: events.OnConnection = events.ignore
    ) -> AsyncGenerator[events.Event, None]:
        """What happens from now on, or after the event `since`, for ever; a lost connection is made anew.

        `on_connection` is told of each connection and of each cut, with its reason. A loop that is left early leaves
        the connection open until `close`; `contextlib.aclosing` ends it at once.
        """
        self._streams = {stream for stream in self._streams if getattr(stream, "ag_frame", None)}
        stream = events.follow(self.session, self._renew, self._tls, since, on_connection)
        self._streams.add(stream)
        return stream

    async def do(self, call: Call[T]) -> T:
        """Ask; renew the session first when it is due, and once more when the token is refused."""
        if call.signed:
            await self._renew()
        request = self.session.request(call)
        response = await self._send(request)
        if response.status_code == UNAUTHORISED and call.signed and await self._renew(token_of(request)):
            response = await self._send(self.session.request(call))
        return call.answer(response)

    async def download(self, call: Call[bytes], target: Path) -> int:
        """Write the answer to a file as it comes and return its length in bytes."""
        await self._renew()
        length = 0
        request = self.session.request(call, accept="*/*")
        try:
            response = await self._http.send(request, stream=True)
            async with aclosing(response):
                if response.status_code >= FIRST_ERROR:
                    await response.aread()
                    raise problem_of(response)
                with await asyncio.to_thread(target.open, "wb") as file:
                    async for chunk in response.aiter_bytes():
                        length += await asyncio.to_thread(file.write, chunk)
        except httpx.TransportError as error:
            raise unreachable(request, error) from error
        return length

    async def close(self) -> None:
        """Hang up, event streams included. The session itself stays until it ends or `sign_out`."""
        for stream in self._streams:
            with suppress(RuntimeError):  # somebody reads it in this moment, and closes it
                await stream.aclose()
        self._streams.clear()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _renew(self, refused: str | None = None) -> bool:
        async with self._lock:
            if self.session.stale(refused):
                call = calls.refresh(self.session.refresh_token)
                self.session.began(call.answer(await self._send(self.session.request(call))))
        return self.session.access_token != refused

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._http.send(request)
        except httpx.TransportError as error:
            raise unreachable(request, error) from error


class AsyncNode:
    """One node's control port, asked as the client's user."""

    def __init__(self, client: AsyncClient, server: Server) -> None:
        self._client = client
        self._url = server.control_url

    state = asked_async(node_calls.state)
    timeline = asked_async(node_calls.timeline)
    snapshot = asked_async(node_calls.snapshot)
    motion = asked_async(node_calls.motion)
    probe = asked_async(node_calls.probe)
    segments = asked_async(node_calls.segments)

    async def download(self, camera_id: str, segment_id: str, target: Path) -> int:
        """Write one file of the archive to disk and return its length in bytes."""
        call = replace(node_calls.segment(camera_id, segment_id), base=self._url)
        return await self._client.download(call, target)

    async def clip(self, camera_id: str, start: Instant, end: Instant, target: Path, stream: str = "main") -> int:
        """Write footage of at most an hour to disk as one MP4; its length in bytes. It is there whole or not at all."""
        call = replace(node_calls.clip(camera_id, start, end, stream), base=self._url)
        with whole(target) as part:
            return await self._client.download(call, part)

    async def do(self, call: Call[T]) -> T:
        """Ask this node."""
        return await self._client.do(replace(call, base=self._url))
