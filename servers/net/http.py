"""The skeleton of the HTTP ports: uvicorn inside the running event loop, and what every application has."""

import asyncio
import contextlib
import errno
import logging
import socket
import time
from email.utils import formatdate
from ipaddress import ip_address
from typing import Any

import uvicorn
from uvicorn.config import Config

from broker.process import TLSSettings, logger
from broker.trust.tls import server_context
from servers.net.bodies import BoundedBodies
from servers.net.errors import PortTakenError
from servers.net.http_connections import HANDSHAKE_WITHIN_S, HttpConnection, WebSocketConnection
from servers.net.problems import PROBLEM_RESPONSES, Problem, install_problems

__all__ = ["PROBLEM_RESPONSES", "HttpServer", "PortTakenError", "Problem", "bind", "install_problems"]

log = logger(__name__)

BACKLOG = 256
CLOSE_WITHIN_S = 3
"""What is still being answered when a server closes has this long."""

WEBSOCKET_MESSAGE_LIMIT = 1 << 20
"""Bytes; what clients send is small."""


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket's beginning; port 0 takes a free one.

    Raises:
        PortTakenError: something else listens there; names the setting that moves it.
        OSError: `host` is no address of this machine; names the setting too.
    """
    name = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ip_address(name).version == 6 else socket.AF_INET  # noqa: PLR2004 - IP's version
    except ValueError:
        family = socket.AF_INET
    # The protocol is named, for asyncio sends small answers at once (TCP_NODELAY) only on sockets that name it: without
    # it the body of an answer waits 40 ms for the acknowledgement of its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((name, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(host, port, setting) from error
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({error.strerror}); see {setting}") from error
    bound.setblocking(False)
    return bound


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with one wake-up a second instead of ten."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def open(self, listening: socket.socket) -> None:
        """Listen; returns when requests are answered."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self._tell_time()
        server = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(self.config, self.server_state, self.lifespan.state),
            sock=listening,
            ssl=self.config.ssl,
            ssl_handshake_timeout=HANDSHAKE_WITHIN_S if self.config.ssl else None,
            backlog=BACKLOG,
        )
        self.servers, self.started = [server], True

    async def run_until_stopped(self, listening: socket.socket) -> None:
        """Keep the Date header right until `stopping` is set, then finish what is being answered."""
        while not self.stopping.is_set():
            self._tell_time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 1.0)
        await self.shutdown(sockets=[listening])

    def _tell_time(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        self.server_state.default_headers = [(b"date", date), *self.config.encoded_headers]


class HttpServer:
    """Serves one ASGI application on one port, inside the running event loop.

    `host` is an address, or `localhost`. `setting` is the variable that moves the port, for errors.
    """

    def __init__(self, app: Any, host: str, port: int, *, tls: TLSSettings | None = None, setting: str = "") -> None:
        self._app = app
        self._host = host
        self._port = port
        self._tls = tls or TLSSettings()
        self._setting = setting
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._secure = False

    @property
    def port(self) -> int:
        """The port as bound."""
        return self._port

    @property
    def url(self) -> str:
        """Where it is reached, as bound."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._secure else 'http'}://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; returns when requests are answered.

        Raises:
            PortTakenError: the port is in use.
            PlainRefusedError: others could reach it and there is no certificate.
        """
        context = server_context(self._tls, self._host, self._setting.replace("_PORT", "_HOST") or "its address")
        self._secure = context is not None
        listening = bind(self._host, self._port, self._setting)
        self._port = listening.getsockname()[1]
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        config = Config(
            BoundedBodies(self._app),
            log_config=None,
            access_log=False,
            lifespan="off",
            http=HttpConnection,
            ws=WebSocketConnection,
            ws_max_size=WEBSOCKET_MESSAGE_LIMIT,
            ws_per_message_deflate=False,
            backlog=BACKLOG,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSE_WITHIN_S,
            ssl_context_factory=(lambda _config, _make: context) if context is not None else None,
        )
        self._server = _Server(config)
        try:
            await self._server.open(listening)
        except BaseException:
            listening.close()
            raise
        self._task = asyncio.create_task(self._server.run_until_stopped(listening), name=f"http-{self._port}")
        log.info("listening", url=self.url)

    async def close(self) -> None:
        """Stop listening and finish what is being answered, for at most three seconds. Safe to call twice."""
        if self._server is None or self._task is None:
            return
        self._server.stopping.set()
        await self._task
        self._task = None
