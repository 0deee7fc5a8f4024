"""From a store of pending rows to the broker: in order per lane, ahead of confirms by a window, for ever.

The journal of a DVRServer and the outboxes of SMServer and the engine use the same relay. A row leaves its store
only when the broker has confirmed it; whatever goes wrong before that, it is sent again.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from broker.codec import decode
from broker.errors import MessageError
from broker.model.base import Priority
from broker.process import Health, logger
from broker.transport import Broker, Publisher

log = logger(__name__)

WINDOW = 500
"""Rows of a lane that are sent ahead of their confirms."""

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.0

CONFIRM_PAUSE_S = 0.02
"""How long confirmed rows wait for one another, to be deleted in one commit. Killed meanwhile, they are sent twice."""

RESCAN_S = 1.0
"""How often a lane that is never at rest looks for rows that have appeared behind its back."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pending message."""

    position: int
    headers: Mapping[str, str]
    body: bytes
    held: bool = False
    """Whether an older row of the same source waits in another lane: that one goes first."""
    source: str = ""
    """Whose order counts across lanes; empty where there is one lane."""


class Store(Protocol):
    """Where rows wait. `pending` and `confirm` are called on threads; they may block and they may fail."""

    @property
    def lanes(self) -> Sequence[Priority]:
        """The lanes that rows can have."""
        ...

    @property
    def poll_s(self) -> float:
        """How long the relay may go without looking when nobody wakes it."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong, in a sentence for `/health`; empty when nothing is."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back, from whatever thread, when there are new rows."""
        ...

    def pending(self, lane: Priority, after: int, limit: int) -> list[Row]:
        """The oldest rows of a lane behind a position, in order."""
        ...

    def confirm(self, positions: Sequence[int]) -> None:
        """Forget rows that the broker has."""
        ...

    def set_aside(self, positions: Sequence[int]) -> None:
        """Keep rows that cannot be read, for people, where they hold up no other."""
        ...


def stored_headers(text: str) -> dict[str, str]:
    """The headers of a row; none when they are damaged, which the reader of the row finds out and says."""
    try:
        headers = json.loads(text)
    except ValueError:
        return {}
    return headers if isinstance(headers, dict) else {}


class Relay:
    """Publishes what a store holds. `run` goes on until it is cancelled; `wake` is safe from any thread."""

    def __init__(self, store: Store, broker: Broker, *, name: str, health: Health, pause_s: float = 0.0) -> None:
        """`pause_s` passes between two looks at a busy store: less haste for those after the first, far less work."""
        self._store = store
        self._pause_s = pause_s
        self._broker = broker
        self._name = name
        self._health = health
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lanes: list[_Lane] = []
        self._confirmed: list[tuple[_Lane, int]] = []
        self._to_confirm: asyncio.Event | None = None
        self._said: str | None = None
        store.on_change(self.wake)

    def wake(self) -> None:
        """There are new rows: look at once."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake_lanes)

    def _wake_lanes(self) -> None:
        for lane in self._lanes:
            lane.awake.set()

    async def run(self) -> None:
        """Publish for ever."""
        self._to_confirm = asyncio.Event()
        self._lanes = [
            _Lane(lane, self._broker.publisher(f"{self._name}.{lane}"), self.confirmed) for lane in self._store.lanes
        ]
        self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2, thread_name_prefix=f"relay-{self._name}") as threads:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._confirm(threads))
                    for lane in self._lanes:
                        group.create_task(self._publish(lane, threads))
            finally:
                self._loop = None
                for lane in self._lanes:
                    await lane.publisher.close()

    async def _publish(self, lane: "_Lane", threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_RETRY_S
        while True:
            lane.awake.clear()
            if lane.failed:
                # Everything sent must have met its fate before the oldest row is sent again.
                await lane.settled()
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, LAST_RETRY_S)
                lane.start_over()
            free = WINDOW - len(lane.in_flight)
            if free > 0:
                lane.begin_look(loop.time())
                limit = WINDOW if lane.skimming else free
                try:
                    rows = await loop.run_in_executor(threads, self._store.pending, lane.lane, lane.after, limit)
                except Exception as error:  # noqa: BLE001 - a lost disk or database must not end the relay
                    self._trouble("pending rows cannot be read", error)
                    lane.rescan = True
                    await asyncio.sleep(1.0)
                    continue
                self._report(self._store.trouble)
                sent = lane.send(rows, free)
                await self._set_aside(lane, threads)
                delay = FIRST_RETRY_S if lane.has_progressed() else delay
                lane.skimming = lane.skimming and not sent and len(rows) == limit
                if len(rows) == limit:
                    continue
                if sent and self._pause_s:
                    await asyncio.sleep(self._pause_s)
            if not lane.awake.is_set():
                try:
                    await asyncio.wait_for(lane.awake.wait(), self._store.poll_s)
                except TimeoutError:
                    lane.rescan = True  # a transaction with a lower position may have committed late

    def confirmed(self, lane: "_Lane", position: int) -> None:
        """The broker has a row; what is confirmed within `CONFIRM_PAUSE_S` is one commit."""
        self._confirmed.append((lane, position))
        if self._to_confirm is not None:
            self._to_confirm.set()

    async def _confirm(self, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        assert self._to_confirm is not None
        while True:
            await self._to_confirm.wait()
            await asyncio.sleep(CONFIRM_PAUSE_S)
            self._to_confirm.clear()
            batch, self._confirmed = self._confirmed, []
            positions = [position for _lane, position in batch]
            try:
                await loop.run_in_executor(threads, self._store.confirm, positions)
            except Exception as error:  # noqa: BLE001 - see _publish
                self._trouble("confirmed rows cannot be deleted", error)
                self._confirmed[:0] = batch
                self._to_confirm.set()
                await asyncio.sleep(1.0)
                continue
            for lane, position in batch:
                lane.forget(position)
            self._look_at_held_rows()

    def _look_at_held_rows(self) -> None:
        """A row of another lane, which is gone now, may have been what they waited for."""
        for lane in self._lanes:
            if lane.holding:
                lane.holding, lane.rescan = False, True
                lane.awake.set()

    async def _set_aside(self, lane: "_Lane", threads: ThreadPoolExecutor) -> None:
        """Move unreadable rows out of the way of those of their source in other lanes."""
        positions = sorted(lane.to_set_aside)
        if not positions:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(threads, self._store.set_aside, positions)
        except Exception as error:  # noqa: BLE001 - see _publish; the next look tries again
            self._trouble("unreadable rows cannot be set aside", error)
            return
        lane.to_set_aside.difference_update(positions)
        self._look_at_held_rows()

    def _trouble(self, sentence: str, error: Exception) -> None:
        log.warning("relay has trouble with its store", relay=self._name, problem=sentence, error=str(error))
        self._report(f"{sentence}: {error}")

    def _report(self, trouble: str) -> None:
        if trouble != self._said:
            self._said = trouble
            self._health.set(self._name, ok=not trouble, detail=trouble)


class _Lane:
    """Where one lane has got to."""

    def __init__(self, lane: Priority, publisher: Publisher, confirmed: Callable[["_Lane", int], None]) -> None:
        self.lane = lane
        self.publisher = publisher
        self.awake = asyncio.Event()
        self.after = 0
        self.rescan = True
        """Look from the beginning: an older row may have become free, or visible."""
        self.rescan_at = 0.0
        """When to do so in any case, by the loop's clock: in a lasting storm no look ever finds nothing."""
        self.skimming = False
        """Still among rows that are known from before."""
        self.failed = False
        self.holding = False
        self.progressed = False
        self.in_flight: set[int] = set()
        """Sent and not yet deleted."""
        self._open = 0
        """Sent and neither confirmed nor broken."""
        self._all_settled = asyncio.Event()
        self._unreadable: set[int] = set()
        self.to_set_aside: set[int] = set()
        """Unreadable and still where others wait for it."""
        self._left: set[int] = set()
        """Deleted since the store was asked: its answer may still have them."""
        self._held_sources: set[str] = set()
        """Sources of which this look has passed by a held row."""
        self._confirmed = confirmed

    def begin_look(self, now: float) -> None:
        """Before each question to the store: go back to the beginning when there is reason to."""
        self._left.clear()
        if self.rescan or now >= self.rescan_at:
            self.rescan, self.after, self.skimming = False, 0, True
            self.rescan_at = now + RESCAN_S
            self._held_sources.clear()

    def has_progressed(self) -> bool:
        """Whether a row was confirmed since this was last asked."""
        progressed, self.progressed = self.progressed, False
        return progressed

    def send(self, rows: Sequence[Row], free: int) -> int:
        """Publish rows that are not on their way yet; returns how many."""
        sent = 0
        for row in rows:
            if sent == free:
                break
            self.after = row.position
            if row.position in self.in_flight or row.position in self._left or row.position in self._unreadable:
                continue
            if row.held or row.source in self._held_sources:
                self.holding = True
                if row.source:  # what follows it must not overtake it, even if it becomes free in this moment
                    self._held_sources.add(row.source)
                continue
            try:
                envelope = decode(row.headers, row.body)
            except MessageError as error:
                log.warning("pending row is unreadable and is set aside", position=row.position, reason=error.reason)
                self._unreadable.add(row.position)
                self.to_set_aside.add(row.position)
                continue
            promise = self.publisher.publish(envelope)
            self.in_flight.add(row.position)
            self._open += 1
            sent += 1
            promise.add_done_callback(partial(self._settle, row.position))
        return sent

    def _settle(self, position: int, promise: "asyncio.Future[None]") -> None:
        self._open -= 1
        if self._open == 0:
            self._all_settled.set()
        if promise.cancelled() or promise.exception() is not None:
            self.in_flight.discard(position)
            self.failed = True
            self.awake.set()
        else:
            self.progressed = True
            self._confirmed(self, position)

    def forget(self, position: int) -> None:
        """A row has left the store."""
        if len(self.in_flight) >= WINDOW:
            self.awake.set()
        self.in_flight.discard(position)
        self._left.add(position)

    async def settled(self) -> None:
        """Wait until every promise is kept or broken."""
        while self._open:
            self._all_settled.clear()
            await self._all_settled.wait()

    def start_over(self) -> None:
        """Send everything again that is not confirmed."""
        self.failed = False
        self.rescan = True
