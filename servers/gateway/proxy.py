"""Passes requests on, body by body, within the limits of their row."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from broker.process import logger
from servers.gateway.passed_on import ANSWER_HEADERS, REQUEST_HEADERS, Passed
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


def forwarder(
    row: Passed, client: httpx.AsyncClient, address: Callable[[Mapping[str, str]], str]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of one row. `address` gives the server's URL from the path's parameters, or raises a `Problem`."""

    async def forward(request: Request) -> Response:
        base = address(request.path_params)
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
        return StreamingResponse(_limited(answer, row.gets), answer.status_code, kept)

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
