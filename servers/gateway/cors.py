"""Which pages may read port 9000's answers: those of port 9999 on the same host, and no other."""

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servers.gateway.origins import host_name, origin

METHODS = "GET, POST, PUT, DELETE"
ASKED = "Authorization, Content-Type, If-Match, If-None-Match, Range"
SHOWN = "ETag, Retry-After, Content-Range, Content-Disposition, Accept-Ranges, Vigil-Start, Vigil-End, Vigil-Epoch"
FOR_S = "600"


class PageOnly:
    """CORS (Fetch standard, 3.2) for one origin, which follows from the Host header; WebSockets of others are refused.

    Programs send no Origin and are not concerned: they show a token like everybody else. Nothing here rests on
    cookies, so another page could not use the user's session anyway.
    """

    def __init__(self, app: ASGIApp, page_port: Callable[[], int]) -> None:
        self._app = app
        self._page_port = page_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        headers = Headers(scope=scope)
        asked_by = headers.get("origin")
        allowed = asked_by is not None and asked_by == self._page_of(scope, headers)
        if scope["type"] == "websocket" and asked_by is not None and not allowed:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before the handshake: 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = {
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Vary": "Origin",
            **(
                {"Access-Control-Allow-Origin": asked_by, "Access-Control-Expose-Headers": SHOWN}
                if allowed and asked_by
                else {}
            ),
        }
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await self._preflight(added if allowed else {"Vary": "Origin"}, send, status=204 if allowed else 403)
            return

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        await self._app(scope, receive, send_with)

    def _page_of(self, scope: Scope, headers: Headers) -> str | None:
        name = host_name(headers.get("host", ""))
        if name is None:
            return None
        scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
        return origin(scheme, name, self._page_port())

    async def _preflight(self, added: dict[str, str], send: Send, *, status: int) -> None:
        more = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ASKED,
            "Access-Control-Max-Age": FOR_S,
        }
        answer = {**added, **(more if "Access-Control-Allow-Origin" in added else {})}
        raw = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b""})
