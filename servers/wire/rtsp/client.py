"""The client's side of an RTSP connection as a state machine: DESCRIBE, a SETUP for each track, PLAY.

Call `start`, then `data_to_send`; give it bytes with `receive_data` and take events with `next_event` until there
are none, writing what `data_to_send` returns after every step. Errors are the `RtspClientError` tree, as sentences
for who configured the source.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from servers.wire import sdp
from servers.wire.media import Format
from servers.wire.rtsp import digest
from servers.wire.rtsp.auth_headers import Challenge
from servers.wire.rtsp.errors import (
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
    RtspProtocolError,
    RtspRefusedError,
    RtspUnauthorisedError,
    RtspUnreachableError,
    RtspUnsupportedError,
)
from servers.wire.rtsp.headers import Range, RTPInfo, Session, Transport, parse_number
from servers.wire.rtsp.messages import REASONS, Headers, Request, Response
from servers.wire.rtsp.parser import Frames, Parser

DEFAULT_PORT = 554
DEFAULT_TLS_PORT = 322
MAX_KEEP_ALIVE_S = 30.0
"""Longest time between signs of life, whatever the source allows."""

MAX_TRIES = 2
"""How often one request is repeated with a new answer to a challenge."""


class Step(Enum):
    """What the connection waits for."""

    START = "start"
    DESCRIBE = "DESCRIBE"
    SETUP = "SETUP"
    READY = "ready"
    """All is set up, or paused; only where PLAY is called by the edge."""
    PLAY = "PLAY"
    PLAYING = "playing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A source's address, taken apart."""

    url: str
    """For request lines: without user name and password."""
    host: str
    port: int
    tls: bool
    username: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read what an operator entered; raises `RtspUnsupportedError`."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise RtspUnsupportedError(
                "the address cannot be read; enter one such as rtsp://192.0.2.7:554/stream"
            ) from None
        if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname:
            raise RtspUnsupportedError(
                f"an address of scheme {parts.scheme!r} is not played; enter one such as rtsp://192.0.2.7:554/stream"
            )
        tls = parts.scheme == "rtsps"
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        return cls(
            url=urlunsplit(bare),
            host=parts.hostname,
            port=port or (DEFAULT_TLS_PORT if tls else DEFAULT_PORT),
            tls=tls,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrack:
    """A track that was set up."""

    format: Format
    payload_type: int
    channel: int
    """Of RTP; RTCP is one above."""
    control: str
    """Its address."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All tracks are set up; PLAY is under way."""

    tracks: tuple[ClientTrack, ...]


@dataclass(frozen=True, slots=True)
class Playing:
    """The source agreed to PLAY."""

    info: tuple[RTPInfo, ...]
    range: Range | None = None
    """What is played, where the source says it."""
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Paused:
    """The source agreed to PAUSE."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The source did not agree to a PLAY or PAUSE of the edge; the session goes on."""

    error: RtspRefusedError


class ClientConnection:
    """One connection to a source. `cnonce` is a random word for digest authentication.

    With `replay`, all is set up for recorded video (ONVIF Streaming Specification, 6) and PLAY is left to the edge:
    call `play` and `pause` after `Ready`, one at a time.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        audio: bool = True,
        cnonce: str,
        replay: bool = False,
    ) -> None:
        self.address = Address.parse(url)
        self.step = Step.START
        self.session: Session | None = None
        self._username = username or self.address.username
        self._password = password if username else self.address.password
        self._audio = audio
        self._cnonce = cnonce
        self._replay = replay
        self._parser = Parser()
        self._out: deque[bytes] = deque()
        self._cseq = 0
        self._asked: Request | None = None
        """The request of the dialogue that awaits its answer, without CSeq and Authorization."""
        self._asked_cseq = 0
        self._side: dict[int, Request] = {}
        """Requests beside the dialogue (keep-alive), by CSeq."""
        self._challenge: Challenge | None = None
        self._uses = 0
        self._tries = 0
        self._keep_alive_method = "GET_PARAMETER"
        self._base = self.address.url
        self._aggregate = self.address.url
        self._waiting: list[sdp.Media] = []
        self._tracks: list[ClientTrack] = []

    # --- What the edge calls ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the description."""
        self.step = Step.DESCRIBE
        self._ask(Request("DESCRIBE", self.address.url, Headers({"Accept": "application/sdp"})))

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what the network gave; `data` may be overwritten once `next_event` has returned None."""
        if self.step is not Step.CLOSED:
            self._parser.receive(data)

    def next_event(self) -> Ready | Playing | Paused | Refused | Frames | None:
        """The next thing that matters, or None: read more."""
        while self.step is not Step.CLOSED:
            try:
                message = self._parser.next()
            except RemoteProtocolError as error:
                self.step = Step.CLOSED
                raise self._not_rtsp(error) from error
            if message is None:
                return None
            if isinstance(message, Frames):
                return message
            if isinstance(message, Request):
                self._serve(message)
            elif event := self._answered(message):
                return event
        return None

    @property
    def keep_alive_s(self) -> float:
        """How often to call `keep_alive`."""
        return min(MAX_KEEP_ALIVE_S, self.session.timeout_s / 2) if self.session else MAX_KEEP_ALIVE_S

    def play(self, headers: Mapping[str, str]) -> None:
        """Ask for PLAY; `Playing` or `Refused` follows."""
        self._command("PLAY", headers)

    def pause(self) -> None:
        """Ask for PAUSE; `Paused` or `Refused` follows."""
        self._command("PAUSE", {})

    def _command(self, method: str, headers: Mapping[str, str]) -> None:
        if not self._replay or self.step not in (Step.READY, Step.PLAYING) or self._asked is not None:
            raise LocalProtocolError(f"{method} cannot be asked for in step {self.step.value}")
        self._ask(Request(method, self._aggregate, Headers(headers)))

    def keep_alive(self) -> None:
        """Say that we are still here."""
        if self.step in (Step.READY, Step.PLAYING):
            request = Request(self._keep_alive_method, self._aggregate)
            self._side[self._send(request)] = request

    def send_frame(self, frame: bytes) -> None:
        """Send an interleaved frame, e.g. a receiver report."""
        self._out.append(frame)

    def tear_down(self) -> None:
        """Say goodbye; the connection is of no more use."""
        if self.session and self.step in (Step.SETUP, Step.READY, Step.PLAY, Step.PLAYING):
            self._send(Request("TEARDOWN", self._aggregate))
        self.step = Step.CLOSED

    def data_to_send(self) -> bytes:
        """Bytes that must be written now."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # --- Requests -----------------------------------------------------------------------------------------------------

    def _ask(self, request: Request) -> None:
        self._asked = request
        self._asked_cseq = self._send(request)

    def _send(self, request: Request) -> int:
        request = replace(request, uri=_escaped(request.uri))
        self._cseq += 1
        fields = [("CSeq", str(self._cseq)), ("User-Agent", "Vigil"), *request.headers]
        if self.session:
            fields.append(("Session", self.session.id))
        if self._challenge:
            self._uses += 1
            given = digest.answer(
                self._challenge,
                request.method,
                request.uri,
                username=self._username,
                password=self._password,
                cnonce=self._cnonce,
                count=self._uses,
            )
            fields.append(("Authorization", given.serialise()))
        self._out.append(replace(request, headers=Headers(fields)).serialise())
        return self._cseq

    def _serve(self, request: Request) -> None:
        """Answer a request of the source's own."""
        status = 200 if request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE") else 501
        self._out.append(Response(status, Headers({"CSeq": request.headers.get("CSeq", "0")})).serialise())
        if request.method in ("REDIRECT", "TEARDOWN"):
            self.step = Step.CLOSED
            raise RtspUnreachableError(f"the source ended the session ({request.method})")

    # --- Answers ------------------------------------------------------------------------------------------------------

    def _answered(self, response: Response) -> Ready | Playing | Paused | Refused | None:
        number = response.headers.get("CSeq").strip()
        cseq = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None  # noqa: PLR2004 - sane
        if cseq in self._side:
            self._kept_alive(self._side.pop(cseq), response)
            return None
        asked = self._asked
        # Some sources leave CSeq out; then the answer can only be to what we asked.
        if asked is None or cseq not in (None, self._asked_cseq):
            return None
        if response.status == 401:  # noqa: PLR2004 - Unauthorized
            self._authorise(asked, response)
            return None
        self._asked = None
        self._tries = 0
        if response.status // 100 == 2:  # noqa: PLR2004 - success
            return self._accepted(asked, response)
        if asked.method == "SETUP" and self._tracks and self._waiting[0].format.media == "audio":
            return self._next_track()  # A stream without its sound is better than none.
        if self._replay and asked.method in ("PLAY", "PAUSE"):
            return Refused(_refused(asked, response))
        self.step = Step.CLOSED
        raise _refused(asked, response) if self._replay else self._refusal(asked, response)

    def _accepted(self, asked: Request, response: Response) -> Ready | Playing | Paused | None:
        try:
            match asked.method:
                case "DESCRIBE":
                    self._described(response)
                case "SETUP":
                    return self._set_up(asked, response)
                case "PLAY":
                    self.step = Step.PLAYING
                    return _playing(response)
                case "PAUSE":
                    self.step = Step.READY
                    return Paused()
        except MalformedError as error:
            self.step = Step.CLOSED
            raise RtspProtocolError(
                f"the source answered {asked.method} in a way that cannot be read: {error}"
            ) from error
        return None

    def _described(self, response: Response) -> None:
        kind = response.headers.get("Content-Type", "application/sdp").split(";")[0].strip().lower()
        if kind != "application/sdp":
            raise MalformedError(f"a description of type {kind[:40]!r} instead of application/sdp")
        described = sdp.parse(response.body)
        base = response.headers.get("Content-Base") or response.headers.get("Content-Location") or self.address.url
        self._base = base.strip()
        self._aggregate = resolve(self._base, described.control)
        self._waiting = _chosen(described, audio=self._audio)
        if not self._waiting:
            self.step = Step.CLOSED
            found = ", ".join(described.names) or "nothing"
            raise RtspUnsupportedError(
                f"the source offers {found}; H.264 video is taken: set the camera's encoder to H.264"
            )
        self.step = Step.SETUP
        self._ask_set_up()

    def _ask_set_up(self) -> None:
        media = self._waiting[0]
        channel = 2 * len(self._tracks)
        transport = Transport(interleaved=(channel, channel + 1))
        fields = {"Transport": transport.serialise(), **({"Require": "onvif-replay"} if self._replay else {})}
        self._ask(Request("SETUP", resolve(self._base, media.control), Headers(fields)))

    def _set_up(self, asked: Request, response: Response) -> Ready | None:
        # Some sources leave Session out altogether: then we cannot name it either.
        if value := response.headers.get("Session"):
            self.session = Session.parse(value)
        channel = 2 * len(self._tracks)
        if value := response.headers.get("Transport"):
            granted = Transport.parse(value)
            if not granted.tcp:
                self.step = Step.CLOSED
                raise RtspUnsupportedError("the source insists on UDP; switch on RTP over RTSP (TCP) in the camera")
            # The source may dictate other channels, but not the same for two tracks: then ours are the better guess.
            if granted.interleaved and granted.interleaved[0] not in {track.channel for track in self._tracks}:
                channel = granted.interleaved[0]
        media = self._waiting[0]
        self._tracks.append(
            ClientTrack(format=media.format, payload_type=media.payload_type, channel=channel, control=asked.uri)
        )
        return self._next_track()

    def _next_track(self) -> Ready | None:
        self._waiting.pop(0)
        if self._waiting:
            self._ask_set_up()
            return None
        if self._replay:
            self.step = Step.READY
            return Ready(tuple(self._tracks))
        self.step = Step.PLAY
        self._ask(Request("PLAY", self._aggregate, Headers({"Range": "npt=0.000-"})))
        return Ready(tuple(self._tracks))

    def _kept_alive(self, request: Request, response: Response) -> None:
        if response.status == 401:  # noqa: PLR2004 - Unauthorized: the nonce grew old; the next sign of life uses a new one
            self._take_challenge(response)
        elif response.status in (404, 405, 451, 455, 501) and request.method == "GET_PARAMETER":
            self._keep_alive_method = "OPTIONS"

    # --- Refusals -----------------------------------------------------------------------------------------------------

    def _take_challenge(self, response: Response) -> Challenge | None:
        challenges = Challenge.parse_all(response.headers.all("WWW-Authenticate"))
        chosen = digest.strongest(challenges)
        if chosen:
            self._challenge, self._uses = chosen, 0
        return chosen

    def _authorise(self, asked: Request, response: Response) -> None:
        before = self._challenge
        chosen = self._take_challenge(response)
        self._tries += 1
        # A second try is fair when the first went out without an answer, or with an answer to an older question.
        fair = self._tries == 1 and (before is None or (chosen and chosen.nonce != before.nonce))
        if not self._username:
            problem = "the source asks for a user name and a password; enter them in the camera's settings"
        elif chosen is None:
            problem = "the source asks for a kind of password that is not known here; switch on digest authentication"
        elif fair or (chosen.stale and self._tries <= MAX_TRIES):
            self._ask(asked)
            return
        else:
            problem = f"the source does not accept the password of {self._username!r}; check user name and password"
        self.step = Step.CLOSED
        raise RtspUnauthorisedError(problem)

    @staticmethod
    def _refusal(asked: Request, response: Response) -> Exception:
        status = response.status
        said = f"{status} {response.reason or REASONS.get(status, '')}".strip()
        if status // 100 == 3:  # noqa: PLR2004 - redirections
            # Following would let a source send us anywhere, past the egress policy.
            where = response.headers.get("Location")[:200] or "another address"
            return RtspRefusedError(f"the source redirects to {where}; enter that address if it is right", status)
        if status == 461:  # noqa: PLR2004 - Unsupported Transport
            return RtspUnsupportedError("the source does not carry RTP over TCP; switch it on in the camera")
        remedy = {
            403: "check that this user may watch live video",
            404: "check the path of the address",
            453: "the camera's bandwidth is used up; lower it or the number of viewers",
            503: "the camera is busy; it may serve too many viewers",
        }.get(status, "check the address and the camera's settings")
        return RtspRefusedError(f"the source answered {asked.method} with {said}; {remedy}", status)

    def _not_rtsp(self, error: RemoteProtocolError) -> RtspProtocolError:
        if error.data.startswith(b"HTTP/"):
            return RtspProtocolError("a web server answers at this address; enter the RTSP port, usually 554")
        return RtspProtocolError(
            f"what answers at {self.address.host}:{self.address.port} is not RTSP ({error}); check address and port"
        )


def resolve(base: str, control: str) -> str:
    """The address of a control attribute. Peers append it to the base as text, even behind a query (C.1.1)."""
    if control in ("", "*"):
        return base
    if control.lower().startswith(("rtsp://", "rtsps://")):
        return control
    return f"{base.rstrip('/')}/{control.lstrip('/')}"


def _escaped(uri: str) -> str:
    """An address that stays one word in a request line, whatever the source or the operator wrote into it."""
    return re.sub(r"[^\x21-\x7e]", lambda found: quote(found[0]), uri)


def _chosen(described: sdp.Description, *, audio: bool) -> list[sdp.Media]:
    video = [media for media in described.media if media.format.media == "video"][:1]
    sound = [media for media in described.media if media.format.media == "audio"][:1] if audio else []
    return video + sound


def _playing(response: Response) -> Playing:
    headers = response.headers
    try:
        range_ = Range.parse(value) if (value := headers.get("Range")) else None
        scale = parse_number("Scale", headers.get("Scale"))
    except MalformedError:
        range_ = scale = None  # Cameras write what they like there, and it is not needed to watch them.
    return Playing(RTPInfo.parse_all(headers.get("RTP-Info")), range_, 1.0 if scale is None else scale)


def _refused(asked: Request, response: Response) -> RtspRefusedError:
    """What a server of recorded video says, in its own words where it has some."""
    sentence = ""
    if response.headers.get("Content-Type").lower().startswith("text/plain"):
        sentence = " ".join(response.body[:1000].decode("utf-8", "replace").split())
    said = f"{response.status} {response.reason or REASONS.get(response.status, '')}".strip()
    return RtspRefusedError(sentence or f"the server answered {asked.method} with {said}", response.status)
