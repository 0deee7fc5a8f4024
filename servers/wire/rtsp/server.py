"""The server's side of an RTSP connection as a state machine.

Give it bytes with `receive_data`, take events with `next_event` until there are none, answer each with `respond`,
and write what `data_to_send` returns after every step. What needs no decision is answered inside.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from servers.wire.rtsp.errors import LocalProtocolError, MalformedError, RemoteProtocolError
from servers.wire.rtsp.headers import DEFAULT_SESSION_TIMEOUT_S, Range, Replaying, Session, Transport, parse_number
from servers.wire.rtsp.messages import Headers, Request, Response
from servers.wire.rtsp.parser import MAX_CLIENT_FRAME, Frames, Parser
from servers.wire.rtsp.uri import StreamUri

KNOWN_OPTIONS = frozenset({"onvif-replay"})
"""What Require may name (RFC 2326, 12.32): the RTP header extension of ONVIF's replay."""
MAX_TRACKS = 128
"""Tracks of a stream: two channels each, numbered by one byte."""


class State(Enum):
    """RFC 2326, A.2, and the end."""

    INIT = "init"
    READY = "ready"
    PLAYING = "playing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that the application answers with `respond`."""

    request: Request
    uri: StreamUri


@dataclass(frozen=True, slots=True, kw_only=True)
class Described(Asked):
    """DESCRIBE: which tracks are there?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp(Asked):
    """SETUP: carry this track to me."""

    transport: Transport
    """What was chosen of the client's offers, with the channels that will be used when `track` is answered 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Asked):
    """PLAY: begin, go on, or go elsewhere."""

    range: Range | None = None
    scale: float | None = None
    speed: float | None = None
    replaying: Replaying = field(default_factory=Replaying)
    extension: bool = False
    """Whether this session has asked for `onvif-replay`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Asked):
    """PAUSE: send nothing for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornDown(Asked):
    """TEARDOWN: the session ends, the connection may stay."""


# fmt: off
TRANSITIONS: dict[tuple[State, str], tuple[type[Asked], State]] = {
    # in state         on method      say         and once answered 200, enter
    (State.INIT,    "DESCRIBE"): (Described, State.INIT),
    (State.INIT,    "SETUP"):    (SetUp,     State.READY),
    (State.READY,   "DESCRIBE"): (Described, State.READY),
    (State.READY,   "SETUP"):    (SetUp,     State.READY),
    (State.READY,   "PLAY"):     (Played,    State.PLAYING),
    (State.READY,   "PAUSE"):    (Paused,    State.READY),
    (State.READY,   "TEARDOWN"): (TornDown,  State.INIT),
    (State.PLAYING, "DESCRIBE"): (Described, State.PLAYING),
    (State.PLAYING, "PLAY"):     (Played,    State.PLAYING),
    (State.PLAYING, "PAUSE"):    (Paused,    State.READY),
    (State.PLAYING, "TEARDOWN"): (TornDown,  State.INIT),
}
# fmt: on
"""Whatever is absent is answered 455 Method Not Valid in This State."""

METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER")
PUBLIC = ", ".join(METHODS)


class ServerConnection:
    """One client's connection. `session_id` is random: it names the session that the client's first SETUP makes."""

    def __init__(self, session_id: str, *, session_timeout_s: int = DEFAULT_SESSION_TIMEOUT_S) -> None:
        self.state = State.INIT
        self.session = Session(session_id, session_timeout_s)
        self.error: RemoteProtocolError | None = None
        """What the client did wrong when that closed the connection."""
        self.frames_received = 0
        """Reports of the client (RTCP); they are signs of life and nothing else."""
        self.tracks: frozenset[int] = frozenset()
        """Indices that were set up."""
        self._parser = Parser(max_frame=MAX_CLIENT_FRAME)
        self._asked: Asked | None = None
        self._next_state = State.INIT
        self._extension = False
        self._out: deque[bytes] = deque()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what the network gave; then call `next_event`."""
        if self.state is not State.CLOSED:
            self._parser.receive(data)

    def next_event(self) -> Asked | None:
        """What the client asks next, or None: read more, or answer the last event first."""
        if self._asked is not None:
            return None
        while self.state is not State.CLOSED and self._asked is None:
            try:
                message = self._parser.next()
                if message is None:
                    return None
                if isinstance(message, Frames):
                    self.frames_received += 1
                elif isinstance(message, Request):
                    self._asked = self._request(message)
                # Responses are to requests that we never send: swallowed.
            except RemoteProtocolError as error:
                self._fail(error)
        return self._asked

    def respond(
        self, status: int, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Answer the last event. Only 200 moves the state."""
        asked = self._asked
        if asked is None:
            raise LocalProtocolError("there is no request to answer")
        self._asked = None
        fields = list(Headers(headers))
        if status == 200:  # noqa: PLR2004 - OK
            if isinstance(asked, SetUp):
                self.tracks |= {asked.uri.track or 0}
                fields.insert(0, ("Transport", asked.transport.serialise()))
            elif isinstance(asked, TornDown):
                self.tracks = frozenset()
                self._extension = False
            if not isinstance(asked, Described):
                fields.insert(0, ("Session", self.session.serialise() if isinstance(asked, SetUp) else self.session.id))
            self.state = self._next_state
        self._answer(asked.request, status, fields, body)

    def send_frame(self, frame: bytes) -> None:
        """Send interleaved frames, RTP or RTCP. Only while PLAYING."""
        if self.state is not State.PLAYING:
            raise LocalProtocolError(f"no frame may be sent in state {self.state.value}")
        self._out.append(frame)

    def played_out(self) -> None:
        """The range has been sent to its end: the session is ready for another PLAY (RFC 2326, A.2)."""
        if self.state is State.PLAYING:
            self.state = State.READY
            if self._next_state is State.PLAYING and not isinstance(self._asked, Played):
                self._next_state = State.READY

    def close(self) -> None:
        """Nothing more will be read or answered."""
        self.state = State.CLOSED
        self._asked = None

    def data_to_send(self) -> bytes:
        """Bytes that must be written now."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # --- What is answered inside --------------------------------------------------------------------------------------

    def _request(self, request: Request) -> Asked | None:
        cseq = request.headers.get("CSeq")
        if not (cseq.isascii() and cseq.isdigit()):
            raise MalformedError(f"{request.method[:40]} without a CSeq")  # RFC 2326, 12.17
        try:
            return self._decide(request, StreamUri.parse(request.uri))
        except MalformedError:
            # The message as such was whole: the next one can be read.
            self._answer(request, 400)
            return None

    def _decide(self, request: Request, uri: StreamUri) -> Asked | None:
        method = request.method
        session = request.headers.get("Session").split(";")[0].strip()
        if method not in METHODS:
            self._answer(request, 501, [("Public", PUBLIC)])
        elif unknown := [name for name in _options(request) if name not in KNOWN_OPTIONS]:
            self._answer(request, 551, [("Unsupported", ", ".join(unknown))])
        elif session and (session != self.session.id or self.state is State.INIT):
            self._answer(request, 454)
        elif method == "OPTIONS":
            self._answer(request, 200, [("Public", PUBLIC)])
        elif method in ("GET_PARAMETER", "SET_PARAMETER"):
            # 10.8: without a body it asks whether we are alive; we have no parameters.
            self._answer(request, 451 if request.body else 200, [("Session", session)] if session else [])
        elif (self.state, method) not in TRANSITIONS:
            allowed = [name for state, name in TRANSITIONS if state is self.state]
            self._answer(request, 455, [("Allow", ", ".join(["OPTIONS", *allowed, "GET_PARAMETER"]))])
        else:
            return self._ask(request, uri)
        return None

    def _ask(self, request: Request, uri: StreamUri) -> Asked | None:
        event, self._next_state = TRANSITIONS[self.state, request.method]
        # Asked for with SETUP or PLAY, it holds for the session: clients do either.
        if event in (SetUp, Played) and "onvif-replay" in _options(request):
            self._extension = True
        if event is SetUp:
            transport = _choose(request.headers.get("Transport"), uri.track or 0)
            if transport is None:
                self._answer(request, 461)
                return None
            return SetUp(request=request, uri=uri, transport=transport)
        if event is Played:
            value = request.headers.get("Range")
            return Played(
                request=request,
                uri=uri,
                range=Range.parse(value) if value else None,
                scale=parse_number("Scale", request.headers.get("Scale")),
                speed=parse_number("Speed", request.headers.get("Speed")),
                replaying=Replaying.parse(request.headers.get("Rate-Control"), request.headers.get("Frames")),
                extension=self._extension,
            )
        return event(request=request, uri=uri)

    def _answer(
        self, request: Request | None, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        cseq = request.headers.get("CSeq") if request else ""
        fields = [("CSeq", cseq)] if cseq else []
        self._out.append(Response(status, Headers([*fields, ("Server", "Vigil"), *headers]), body).serialise())

    def _fail(self, error: RemoteProtocolError) -> None:
        self.error = error
        self._answer(None, error.status, [("Connection", "close")])
        self.close()


def _options(request: Request) -> list[str]:
    said = ",".join(request.headers.all("Require"))
    return [name.strip().lower() for name in said.split(",") if name.strip()]


def _choose(offers: str, track: int) -> Transport | None:
    """The first offer that we take. We dictate the channels, so that one set of frames serves every client."""
    if track >= MAX_TRACKS:
        return None
    for offer in Transport.parse_all(offers):
        if offer.tcp and offer.mode in ("", "PLAY"):
            return Transport(interleaved=(2 * track, 2 * track + 1))
    return None
