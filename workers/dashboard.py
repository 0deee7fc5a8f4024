"""Flower, behind a login and on loopback only."""

import asyncio
import contextlib
import secrets
import threading
from typing import Any

from celery import Celery

from broker.ports import number_of
from broker.process import LOOPBACK, logger
from broker.trust.errors import TrustError
from broker.trust.keyfile import read_or_create_private
from broker.trust.tls import is_loopback
from workers.settings import FlowerSettings

log = logger(__name__)

START_S = 10.0


def login(settings: FlowerSettings) -> tuple[str, str]:
    """User and password of the dashboard; a password is made and kept (0600) where none is set."""
    own = settings.flower
    password = own.password.get_secret_value()
    if not password:
        path = settings.data_dir / "keys" / "flower-password"
        password = read_or_create_private(path, lambda: secrets.token_urlsafe(12).encode()).decode().strip()
    return own.user, password


def options_of(settings: FlowerSettings) -> Any:
    """Flower's options, set in its own registry (it keeps one per process)."""
    from flower.options import default_options  # noqa: PLC0415 - only processes with a dashboard load it

    user, password = login(settings)
    default_options.address = LOOPBACK
    default_options.port = settings.flower.port
    default_options.basic_auth = [f"{user}:{password}"]
    default_options.persistent = False
    default_options.enable_events = True
    default_options.max_tasks = 2000
    default_options.inspect_timeout = 1000.0
    return default_options


def guard(settings: FlowerSettings) -> None:
    """Give `celery … flower` an address, a port and a login where its command line names none.

    Raises:
        TrustError: its command line would open it to other machines; Flower's /metrics has no login at all.
    """
    from flower.options import default_options  # noqa: PLC0415 - see options_of

    if not (default_options.basic_auth or default_options.auth):
        default_options.basic_auth = [":".join(login(settings))]
    default_options.address = default_options.address or LOOPBACK
    if not (is_loopback(default_options.address) or settings.tls.allow_plain):
        raise TrustError(
            f"others could reach --address={default_options.address} and read its pages and metrics on their way; "
            f"leave it out, or set VIGIL_TLS__ALLOW_PLAIN=true"
        )
    if default_options.port == number_of("flower", "dashboard"):
        default_options.port = settings.flower.port


class Dashboard:
    """Flower in a thread of this process: the only place from which it sees a worker on a memory transport."""

    def __init__(self, app: Celery, settings: FlowerSettings) -> None:
        self._app = app
        self._settings = settings
        self._flower: Any = None
        self._loop: Any = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flower", daemon=True)
        self.port = 0
        self.error: BaseException | None = None

    def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._thread.start()
        self._ready.wait(START_S)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Stop listening and end the thread."""
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.add_callback(self._stop)
            self._thread.join(START_S)

    def _stop(self) -> None:
        flower = self._flower
        flower.events.stop()
        flower.executor.shutdown(wait=False, cancel_futures=True)
        self._loop.stop()

    def _run(self) -> None:
        from flower.app import Flower  # noqa: PLC0415 - see options_of
        from flower.urls import settings as flower_settings  # noqa: PLC0415 - the same
        from tornado.ioloop import IOLoop  # noqa: PLC0415 - the same

        asyncio.set_event_loop(asyncio.new_event_loop())
        try:
            self._loop = IOLoop.current()
            self._flower = Flower(
                capp=self._app, options=options_of(self._settings), io_loop=self._loop, **flower_settings
            )
            self.port = self._flower.start_http_server()
        except BaseException as error:  # noqa: BLE001 - it is raised again by start
            self.error = error
            self._ready.set()
            return
        self._loop.add_callback(self._ready.set)
        try:
            self._flower.start()
        except Exception:
            log.exception("the dashboard has ended by a mistake in the program")
        finally:
            self._loop.close(all_fds=True)
