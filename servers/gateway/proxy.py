"""Passes requests on, body by body, within the limits of their row."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from broker.process import logger
from servers.gateway.passed_on import ANSWER_HEADERS, REQUEST_HEADERS, Passed
from servers.gateway.seats import FullError, Seats
from servers.net.http import Problem

log = logger(__name__)

API = "/api/v1"


async def body_of(request: Request, limit: int) -> bytes:
    """The body of a request, or a problem 413 as soon as it is longer than the limit."""
    parts = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > limit:
            raise Problem(413, detail=f"The body is longer than {limit} bytes.")
        parts.append(part)
    return b"".join(parts)


class _Answer(StreamingResponse):
    """An answer passed on piece by piece: no faster than the browser takes it, and let go of however it ends."""

    def __init__(self, answer: httpx.Response, limit: int, headers: Mapping[str, str], held: ExitStack) -> None:
        super().__init__(_limited(answer, limit), answer.status_code, headers)
        self._answer = answer
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._answer.aclose()


def forwarder(
    row: Passed,
    client: httpx.AsyncClient,
    address: Callable[[Request], str],
    seats: Seats,
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of one row. `address` gives the server's URL for a request, or raises a `Problem`."""

    async def forward(request: Request) -> Response:
        base = address(request)
        with ExitStack() as held:
            if row.counted:
                try:
                    held.enter_context(seats.one())
                except FullError as error:
                    raise Problem(503, detail=str(error), headers={"Retry-After": "2"}) from error
            return await ask(request, base, held)
        raise AssertionError("the stack swallows nothing")

    async def ask(request: Request, base: str, held: ExitStack) -> Response:
        body = await body_of(request, row.sends)
        # As bytes, the way they came: a header need not be ASCII (RFC 9110, 5.5).
        headers = {
            name.encode(): request.headers[name].encode("latin-1")
            for name in REQUEST_HEADERS
            if name in request.headers
        }
        headers[b"Accept-Encoding"] = b"identity"
        if request.client:
            headers[b"X-Forwarded-For"] = request.client.host.encode()  # SMServer slows down guessing per address
        # The parameters were matched as single path segments; they are quoted again by httpx.
        path = API + row.path.format_map({name: _quoted(value) for name, value in request.path_params.items()})
        url = httpx.URL(base.rstrip("/") + path).copy_with(query=request.url.query.encode() or None)
        try:
            answer = await client.send(
                client.build_request(row.method, url, headers=headers, content=body or None), stream=True
            )
        except httpx.TransportError as error:
            log.info("server behind does not answer", url=f"{base}{path}", error=str(error) or type(error).__name__)
            raise Problem(
                502, "The server behind the gateway does not answer", remedy="Try again in a moment."
            ) from error
        kept = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
        if int(answer.headers.get("Content-Length", 0)) > row.gets:
            await answer.aclose()
            raise Problem(502, "The answer is too long", f"More than {row.gets} bytes are not passed on.")
        return _Answer(answer, row.gets, kept, held.pop_all())

    return forward


async def _limited(answer: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    length = 0
    try:
        async for part in answer.aiter_raw():
            length += len(part)
            if length > limit:
                # The head is out already: cutting the connection is the only way to say that this is not all.
                raise ConnectionAbortedError(f"an answer is longer than {limit} bytes")
            yield part
    finally:
        await answer.aclose()


def _quoted(value: str) -> str:
    """A parameter as one path segment: dots and slashes of it must not climb."""
    quoted = quote(value, safe="")
    return quoted.replace(".", "%2E") if set(value) == {"."} else quoted
