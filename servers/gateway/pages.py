"""Port 9999: the web client's files, and where it finds its data."""

import hashlib
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
from servers.gateway.settings import VideoStreamType
from servers.net.http import install_problems
from servers.net.policy import open_to_all, public, require_policies

SHELL_SUFFIXES = frozenset({".html", ".js", ".css", ".svg", ".png", ".json"})


class PageConfig(Value):
    """What the page must know before it can ask anything."""

    data_port: int = Field(description="The gateway's other port, on the host that served the page.")
    video_stream_type: VideoStreamType = Field(description="Which of a camera's streams live pictures show.")


class Shell(Value):
    """The page's own files, which a phone keeps so that the page starts without a network."""

    version: str = Field(description="Changes with any of them.")
    files: tuple[str, ...] = Field(description="Their paths.")


def shell_of(folder: Path) -> Shell:
    """What a service worker keeps: all files of the folder but notes, licences and itself."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in SHELL_SUFFIXES and path.name != "service_worker.js"
    )
    digest = hashlib.sha256()
    for path in found:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return Shell(
        version=digest.hexdigest()[:16], files=tuple(f"/{path.relative_to(folder).as_posix()}" for path in found)
    )


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


def page_app(webclient_dir: Path, config_of: Callable[[], PageConfig]) -> ASGIApp:
    """The application of port 9999."""
    app = FastAPI(title="Vigil web client", docs_url=None, redoc_url=None, openapi_url=None)
    install_problems(app)

    @app.get("/config.json", dependencies=[Depends(public)])
    async def config() -> Annotated[PageConfig, "where the data is"]:
        """Where the page finds its data."""
        return config_of()

    @app.get("/shell.json", dependencies=[Depends(public)])
    def shell() -> Annotated[Shell, "what a phone keeps"]:
        """The page's own files."""
        return shell_of(webclient_dir)

    app.mount("/", open_to_all(StaticFiles(directory=webclient_dir, html=True, check_dir=False)))
    require_policies(app)
    return SecurityHeaders(app, lambda: config_of().data_port)
