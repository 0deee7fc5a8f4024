"""The event stream: numbered rows in the order of commits, and the hub that hands them to WebSockets."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.process import logger
from servers.smserver.store import Store
from servers.smserver.tables import counter, event

log = logger(__name__)

RECENT = 2_000
"""Events kept in memory, so that a hundred clients cost one query and not a hundred."""

POLL_S = 2.0
"""How often the table is looked at when nobody wakes the hub."""

PAGE = 500
"""Events read at once."""


class Event(NamedTuple):
    """One thing that clients are told."""

    id: int
    kind: str
    at: datetime
    data: dict[str, Any]


class Told(NamedTuple):
    """An event before it has its number."""

    kind: str
    at: datetime
    data: dict[str, Any]


def tell(connection: Connection, things: Sequence[Told]) -> None:
    """Append events within the caller's transaction, whose fate they share.

    The numbers come from a locked row, so that they are in the order of commits: a reader who has seen
    number n can never find a smaller one later.
    """
    if not things:
        return
    last = connection.execute(
        sa.update(counter)
        .where(counter.c.name == "event")
        .values(value=counter.c.value + len(things))
        .returning(counter.c.value)
    ).scalar_one()
    first = last - len(things) + 1
    connection.execute(
        sa.insert(event),
        [
            {"id": number, "kind": thing.kind, "at": thing.at, "data": thing.data}
            for number, thing in enumerate(things, first)
        ],
    )


def after(connection: Connection, last: int, limit: int = PAGE) -> list[Event]:
    """The events that follow number `last`, oldest first."""
    rows = connection.execute(
        sa.select(event.c.id, event.c.kind, event.c.at, event.c.data)
        .where(event.c.id > last)
        .order_by(event.c.id)
        .limit(limit)
    )
    return [Event(*row) for row in rows]


def last_of(connection: Connection) -> int:
    """The number of the newest event."""
    return int(connection.execute(sa.select(counter.c.value).where(counter.c.name == "event")).scalar_one())


def first_of(connection: Connection) -> int:
    """The number of the oldest event that is still kept; the next one's when there is none."""
    oldest = connection.execute(sa.select(sa.func.min(event.c.id))).scalar_one_or_none()
    return int(oldest) if oldest is not None else last_of(connection) + 1


class EventHub:
    """Reads new events once and hands them to everybody who waits. Lives on one event loop; `wake` is thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._written = asyncio.Event()
        self._news = asyncio.Condition()

    def wake(self) -> None:
        """Say that a transaction with events has been committed."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody listens any more
                self._loop.call_soon_threadsafe(self._written.set)

    async def run(self) -> None:
        """Hand out what is written, for ever; whoever calls restarts it when the database was away."""
        self._loop = asyncio.get_running_loop()
        if not self._last:
            self._last = await asyncio.to_thread(self._newest)
        while True:
            self._written.clear()
            while events := await asyncio.to_thread(self._read, self._last):
                self._recent.extend(events)
                self._last = events[-1].id
                async with self._news:
                    self._news.notify_all()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._written.wait()

    async def next(self, last: int) -> list[Event]:
        """The events after number `last`; waits until there are some."""
        while True:
            seen = self._last
            if last < seen:
                if self._recent and self._recent[0].id <= last + 1:
                    return [found for found in self._recent if found.id > last][:PAGE]
                if events := await asyncio.to_thread(self._read, last):
                    return events
            # What followed `last` may have been deleted by now: then only something newer is worth another look.
            newer = max(last, seen)
            async with self._news:
                await self._news.wait_for(lambda: newer < self._last)  # noqa: B023 - awaited before it changes

    def _read(self, last: int) -> list[Event]:
        with self._store.read() as connection:
            return after(connection, last)

    def _newest(self) -> int:
        with self._store.read() as connection:
            return last_of(connection)


def forget(connection: Connection, before: datetime) -> None:
    """Delete events that nobody resumes any more."""
    connection.execute(sa.delete(event).where(event.c.at < before))
