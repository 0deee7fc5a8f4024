"""The RTSP server shell: who asks is decided by a provider, what they get comes from its sources."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from servers.net.live import Source
from servers.wire.media import Format
from servers.wire.rtsp.messages import Headers


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
        """Say who asks, or raise `UnauthorisedError(challenges)` or `ForbiddenError`. Asked once per connection and path."""

    async def describe(self, path: str, query: dict[str, str], who: Any) -> tuple[Format, ...]:
        """The tracks of a stream; raises NotFoundError, ForbiddenError or UnavailableError."""

    def open(self, path: str, query: dict[str, str], who: Any) -> Source:
        """What to play; raises as `describe` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSession:
    """One client's connection."""

    id: str
    who: Any
    path: str
    peer: str
    playing: bool
    since: float
    """Seconds since 1970, UTC."""


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
        idle_s: float = 60.0,
    ) -> None:
        self.port = port

    async def start(self) -> None:
        """Listen; raises `PortTakenError`."""

    async def close(self) -> None:
        """End all sessions and free the port; safe to call twice."""

    def sessions(self) -> tuple[StreamSession, ...]:
        """All connections that were authorised."""
        return ()

    def end(self, session_id: str, reason: str) -> bool:
        """End one session by its id; whether there was one."""
        return False

    def end_where(self, chosen: Callable[[Any], bool], reason: str) -> int:
        """End the sessions whose `who` is chosen; how many there were."""
        return 0
