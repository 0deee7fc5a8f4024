"""Where a stream is found, and what the operator is told when it is not."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from clients.sdk.errors import (
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    SdkError,
    UnreachableError,
)
from servers.wire.rtsp.errors import (
    RtspClientError,
    RtspRefusedError,
    RtspSilentError,
    RtspUnauthorisedError,
    RtspUnreachableError,
    RtspUnsupportedError,
)

if TYPE_CHECKING:
    from clients.sdk import AsyncClient
    from clients.sdk.values import StreamTicket

StreamName = Literal["main", "sub"]


class StreamAddress(NamedTuple):
    """Where a stream is, with the right to play it."""

    url: str
    tls: ssl.SSLContext | None = None
    """For rtsps://; none trusts the system's authorities."""


Opener = Callable[[StreamName], Awaitable[StreamAddress]]
"""Asked anew for each connection, on the receiving thread. Raises `SdkError` or `RtspClientError`."""
Ask = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]
"""Runs a coroutine of the session's client on the thread of that client."""


def ticket_opener(ask: Ask, client: "AsyncClient", camera_id: str, *, tls: ssl.SSLContext | None = None) -> Opener:
    """Opens a camera's live streams with tickets of SMServer."""

    async def open_stream(stream: StreamName) -> StreamAddress:
        async def wanted() -> "StreamTicket":
            return await client.stream_ticket(camera_id, stream)

        ticket = await asyncio.wrap_future(ask(wanted()))
        return StreamAddress(ticket.url, tls)

    return open_stream


FORBIDDEN = "You may not watch this camera."
_REFUSALS = {
    403: FORBIDDEN,
    404: "The recording server does not have this camera yet; trying again.",
    503: "The camera gives no picture; trying again.",
}
"""By the status of the recording server's answer."""
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (NotAllowedError, FORBIDDEN),
    (NotFoundError, FORBIDDEN),
    (NotSignedInError, "You are not signed in any more."),
    (UnreachableError, "The management server does not answer; trying again."),
    (SdkError, "The management server refuses the stream: {error}"),
    (RtspRefusedError, "The recording server refuses the stream; trying again."),
    (RtspUnauthorisedError, "The recording server does not accept this session; trying again."),
    (RtspUnreachableError, "The recording server does not answer; trying again."),
    (RtspSilentError, "The stream stands still; trying again."),
    (RtspUnsupportedError, "This stream cannot be shown: {error}"),
    (RtspClientError, "The stream is broken: {error}"),
)
"""The first that fits."""


def sentence_of(error: Exception) -> str:
    """What an operator reads in the cell while it is tried again."""
    if isinstance(error, RtspRefusedError) and error.status in _REFUSALS:
        return _REFUSALS[error.status]
    said = next((said for cls, said in _SENTENCES if isinstance(error, cls)), "The stream cannot be shown: {error}")
    return said.format(error=error or type(error).__name__)
