"""Port 9999: the web client's files, and where it finds its data."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.model.base import Value
from servers.gateway.origins import host_name, page_headers
from servers.net.http import install_problems
from servers.net.policy import open_to_all, public, require_policies


class PageConfig(Value):
    """What the page must know before it can ask anything."""

    data_port: int = Field(description="The gateway's other port, on the host that served the page.")


class SecurityHeaders:
    """Puts the page's security headers on every answer, and refuses a Host that is none."""

    def __init__(self, app: ASGIApp, data_port: Callable[[], int]) -> None:
        self._app = app
        self._data_port = data_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        name = host_name(Headers(scope=scope).get("host", ""))
        if name is None:
            await PlainTextResponse("The Host header is no host.\n", 400)(scope, receive, send)
            return
        added = page_headers(scope["scheme"], name, self._data_port())

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        await self._app(scope, receive, send_with)


def page_app(webclient_dir: Path, data_port: Callable[[], int]) -> ASGIApp:
    """The application of port 9999."""
    app = FastAPI(title="Vigil web client", docs_url=None, redoc_url=None, openapi_url=None)
    install_problems(app)

    @app.get("/config.json", dependencies=[Depends(public)])
    async def config() -> Annotated[PageConfig, "where the data is"]:
        """Where the page finds its data."""
        return PageConfig(data_port=data_port())

    app.mount("/", open_to_all(StaticFiles(directory=webclient_dir, html=True, check_dir=False)))
    require_policies(app)
    return SecurityHeaders(app, data_port)
