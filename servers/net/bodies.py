"""How much a request may bring: a body is read into memory before anybody has looked at who sends it."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 4 << 20
"""Bytes; the largest resource, an alarm with all the texts it may have, is half as long."""


class BoundedBodies:
    """Ends requests with status 413 as soon as their body is, or says that it will be, longer than `limit`."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; WebSockets have a limit of their own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "")
        length = int(said) if said.isascii() and said.isdigit() else 0

        async def bounded() -> Message:
            nonlocal length
            self._check(length)
            message = await receive()
            if not said:
                length += len(message.get("body", b""))
                self._check(length)
            return message

        await self._app(scope, bounded, send)

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise HTTPException(413, f"The body is longer than {self._limit} bytes.")
