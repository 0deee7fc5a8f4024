"""The threads behind all pictures: one that receives, and one per core that decodes."""

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
STOP_S = 5.0


class Media:
    """Receives and decodes for all cells of an application. `close` it when the windows are gone."""

    def __init__(self, decoders: int | None = None) -> None:
        self.pool = ThreadPoolExecutor(decoders or os.cpu_count() or 2, thread_name_prefix="decode")
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="streams", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start a coroutine on the receiving thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Any, *arguments: Any) -> None:
        """Call a function on the receiving thread, soon."""
        with suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End all streams and threads. Safe to call twice."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):
            self.run(self._cancel_all()).result(STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self.pool.shutdown(wait=True, cancel_futures=True)
        if not self._thread.is_alive():
            self._loop.close()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed just now lets go of its socket in the next turn
