"""The sync client."""

import ssl
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from broker.model.base import Instant
from broker.model.resources import Alarm, Camera, Profile, Server, User
from broker.trust.tls import client_context
from clients.sdk import calls, node_calls
from clients.sdk.asked import asked
from clients.sdk.call import FIRST_ERROR, Call, T
from clients.sdk.errors import problem_of, unreachable
from clients.sdk.files import whole
from clients.sdk.resources import Layouts, Resources
from clients.sdk.session import PROGRAM, Session, token_of
from clients.sdk.values import SignedIn

UNAUTHORISED = 401
TIMEOUT_S = 10.0


class Client:
    """Asks SMServer and the nodes, as one user. Safe to use from several threads.

    The access token is renewed by itself. Errors are those of `clients/sdk/errors.py`.
    """

    def __init__(
        self,
        url: str,
        *,
        verify: ssl.SSLContext | bool = True,
        timeout_s: float = TIMEOUT_S,
        program: str = PROGRAM,
    ) -> None:
        """`program` is what the audit trail says about who asks."""
        # Vigil's servers are dialled directly: a proxy of the environment is for the world outside.
        self._http = httpx.Client(verify=client_context() if verify is True else verify, trust_env=False)
        self._lock = threading.Lock()
        self.session = Session(url, timeout_s, program)
        self.cameras = Resources(self, "/cameras", Camera)
        self.alarms = Resources(self, "/alarms", Alarm)
        self.users = Resources(self, "/users", User)
        self.profiles = Resources(self, "/profiles", Profile)
        self.servers = Resources(self, "/servers", Server)
        self.layouts = Layouts(self)

    me = asked(calls.me)
    stream_secret = asked(calls.stream_secret)
    stream_ticket = asked(calls.stream_ticket)
    change_password = asked(calls.change_password)
    alarm_events = asked(calls.alarm_events)
    alarm_event = asked(calls.alarm_event)
    acknowledge = asked(calls.acknowledge)
    audit = asked(calls.audit)
    health_events = asked(calls.health_events)
    node_states = asked(calls.node_states)

    def sign_in(self, user: str, password: str) -> SignedIn:
        """Begin a session."""
        return self.session.began(self.do(calls.sign_in(user, password)))

    def sign_out(self) -> None:
        """End the session everywhere."""
        self.do(calls.sign_out())
        self.session.ended()

    def node(self, server: Server) -> "Node":
        """The control port of one of the nodes in `servers`."""
        return Node(self, server)

    def do(self, call: Call[T]) -> T:
        """Ask; renew the session first when it is due, and once more when the token is refused."""
        if call.signed:
            self._renew()
        request = self.session.request(call)
        response = self._send(request)
        if response.status_code == UNAUTHORISED and call.signed and self._renew(token_of(request)):
            response = self._send(self.session.request(call))
        return call.answer(response)

    def download(self, call: Call[bytes], target: Path) -> int:
        """Write the answer to a file as it comes and return its length in bytes."""
        self._renew()
        length = 0
        request = self.session.request(call, accept="*/*")
        try:
            with closing(self._http.send(request, stream=True)) as response, target.open("wb") as file:
                if response.status_code >= FIRST_ERROR:
                    response.read()
                    raise problem_of(response)
                for chunk in response.iter_bytes():
                    length += file.write(chunk)
        except httpx.TransportError as error:
            raise unreachable(request, error) from error
        return length

    def close(self) -> None:
        """Hang up. The session itself stays until it ends or `sign_out`."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _renew(self, refused: str | None = None) -> bool:
        with self._lock:
            if self.session.stale(refused):
                call = calls.refresh(self.session.refresh_token)
                self.session.began(call.answer(self._send(self.session.request(call))))
        return self.session.access_token != refused

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request)
        except httpx.TransportError as error:
            raise unreachable(request, error) from error


class Node:
    """One node's control port, asked as the client's user."""

    def __init__(self, client: Client, server: Server) -> None:
        self._client = client
        self._url = server.control_url

    state = asked(node_calls.state)
    timeline = asked(node_calls.timeline)
    snapshot = asked(node_calls.snapshot)
    motion = asked(node_calls.motion)
    probe = asked(node_calls.probe)
    segments = asked(node_calls.segments)

    def download(self, camera_id: str, segment_id: str, target: Path) -> int:
        """Write one file of the archive to disk and return its length in bytes."""
        return self._client.download(replace(node_calls.segment(camera_id, segment_id), base=self._url), target)

    def clip(self, camera_id: str, start: Instant, end: Instant, target: Path, stream: str = "main") -> int:
        """Write footage of at most an hour to disk as one MP4; its length in bytes. It is there whole or not at all."""
        call = replace(node_calls.clip(camera_id, start, end, stream), base=self._url)
        with whole(target) as part:
            return self._client.download(call, part)

    def do(self, call: Call[T]) -> T:
        """Ask this node."""
        return self._client.do(replace(call, base=self._url))
