"""The two small protocols through which everybody speaks and listens.

`broker/amqp.py` implements them on RabbitMQ and `broker/memory.py` inside one process; both route by
`broker/topology.py`. `broker/connect.py` chooses by the setting VIGIL_BROKER__URL.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.model.base import Instant, Priority
from broker.model.messages import Message
from broker.topology import BoundQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message with what its headers say (CloudEvents 1.0: id, source, type, time)."""

    message: Message
    id: str
    """Unique for ever; an inbox knows it. Journal rows use `node.boot.sequence`, others a UUID."""
    source: str
    """Who said it, e.g. `dvrserver/node-1`."""
    time: Instant
    trace_id: str = ""
    """32 hexadecimal digits that follow an event through all processes (W3C Trace Context)."""
    lane: Priority = Priority.LOW
    """Which of the lanes it takes, where its route has lanes."""


class Publisher(Protocol):
    """Speaks in order. One publisher has its own channel, so that one lane's trouble is no other's."""

    def publish(self, envelope: Envelope) -> "asyncio.Future[None]":
        """Hand a message over at once and return a promise that is kept when the broker has confirmed it.

        Messages go out in the order of the calls. The promise breaks with `PublishRefusedError` or
        `PublishUnconfirmedError`; whoever wants the message to arrive calls again.
        """
        ...

    async def close(self) -> None:
        """Stop speaking; promises still open break."""
        ...


class Delivery(Protocol):
    """One message that has come in, ours until it is settled."""

    @property
    def envelope(self) -> Envelope:
        """What was said."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        ...

    def done(self) -> None:
        """It is handled for good: take it off the queue. Safe from the subscriber's own event loop only."""
        ...

    def refuse(self, reason: str) -> None:
        """It can never be handled: put it with the dead letters, with this reason."""
        ...


class Subscriber(Protocol):
    """Listens to one queue. Reconnects for ever; what was not settled comes again."""

    def batches(self, limit: int) -> "AsyncIterator[Sequence[Delivery]]":
        """Deliveries as they come, at least one and at most `limit` at a time, without waiting for a full batch.

        Unreadable messages never appear here: they go to the dead letters with their reason.
        """
        ...

    async def ready(self) -> None:
        """Wait until the queue exists: what is said from now on is not missed."""
        ...

    async def close(self) -> None:
        """Stop listening; what is not settled goes back to the queue."""
        ...


class Broker(Protocol):
    """The connection of one process. `start` returns at once; connecting goes on for ever in the background."""

    async def start(self) -> None:
        """Begin to connect and declare the topology."""
        ...

    async def close(self) -> None:
        """Hang up cleanly."""
        ...

    def publisher(self, name: str) -> Publisher:
        """A new publisher; `name` is seen in logs and metrics."""
        ...

    def subscriber(self, queue: BoundQueue, *, prefetch: int = 500) -> Subscriber:
        """A new reader of a queue, which is declared if need be."""
        ...
