"""An event loop on a thread of its own: everything that waits for the network runs there, never in the GUI thread."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from broker.process import logger

T = TypeVar("T")
END_S = 5.0

log = logger(__name__)


class Background:
    """A running event loop. `submit` from any thread; what it returns can be cancelled from any thread."""

    def __init__(self, name: str = "background") -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Cancel what runs, wait for it, and end the thread. Safe to call twice."""
        if self.loop.is_closed():
            return
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(END_S)
        if self._thread.is_alive():
            log.warning("background thread does not end", thread=self._thread.name)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.run_until_complete(
                asyncio.sleep(0)
            )  # what was closed just now lets go of its socket in the next turn
            self.loop.close()
