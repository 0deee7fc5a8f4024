"""Wakes action workers: one Celery message per action, sent on a thread of its own without waiting for confirms.

A message is a wake-up call and the row is the truth. So nothing here blocks intake or the sweeper, and what
cannot be sent is dropped: the sweeper dispatches it again.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterable

from celery import Celery
from kombu import Connection
from prometheus_client import Counter

from broker.process import logger
from workers.store.lifecycle import Due

log = logger(__name__)

DISPATCHED = Counter("vigil_actions_dispatched", "Wake-up calls for action workers.", ("outcome",))

HELD = 10_000
"""Wake-up calls that wait for the broker; more are left to the sweeper."""

RETRY_S = 2.0
"""How long the broker is left alone after a failure."""

CONNECT_S = 3.0


class Dispatcher:
    """Sends wake-up calls. `send` returns at once and is safe from any thread."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queue: queue.Queue[Due | None] = queue.Queue(HELD)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._given_up = False

    def send(self, due: Iterable[Due]) -> None:
        """Wake a worker for each action."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
                self._thread.start()
        for one in due:
            try:
                self._queue.put_nowait(one)
            except queue.Full:
                DISPATCHED.labels("left to the sweeper").inc()

    def close(self) -> None:
        """Send what is held and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._queue.put_nowait(None)
            except queue.Full:  # the broker is away: what is held is the sweeper's
                self._given_up = True
            thread.join(CONNECT_S + RETRY_S)

    def _run(self) -> None:
        connection: Connection | None = None
        silent_until = 0.0
        while (due := self._queue.get()) is not None and not self._given_up:
            if time.monotonic() < silent_until:
                DISPATCHED.labels("left to the sweeper").inc()
                continue
            try:
                if connection is None:
                    connection = self._app.connection_for_write(connect_timeout=CONNECT_S)
                    connection.connect()
                    producer = self._app.amqp.Producer(connection.default_channel, auto_declare=False)
                self._app.send_task(
                    f"action.{due.kind}",
                    args=(due.action_id,),
                    queue=f"actions.{due.lane}",
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )
                DISPATCHED.labels("sent").inc()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the broker, the sweeper tries again
                log.warning("wake-up calls cannot be sent; the sweeper will", error=str(error) or type(error).__name__)
                DISPATCHED.labels("failed").inc()
                silent_until = time.monotonic() + RETRY_S
                _hang_up(connection)
                connection = None
        _hang_up(connection)


def _hang_up(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.release()
