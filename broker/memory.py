"""The two protocols inside one process: no RabbitMQ, the same routes, safe across threads and event loops.

Messages are encoded and decoded as on the wire. What lies in a queue is lost with the process, so a publisher
can be asked to keep its promise only when every "one" queue's reader has settled the message: the sender's
journal or outbox row then lives until the receiver's transaction has. That makes the embedded default safe.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from broker import metrics
from broker.codec import DEAD_AT, DEAD_FROM, REASON, Encoded, decode, encode
from broker.errors import MessageError, PublishRefusedError, PublishUnconfirmedError
from broker.process import Health, logger
from broker.topology import DEAD, DELIVERY_LIMIT, UNROUTABLE, BoundQueue, shared_queues
from broker.transport import Envelope

log = logger(__name__)

QUEUE_LIMIT = 100_000
"""Messages a queue holds before it refuses more; the sender's journal or outbox keeps them then."""


def matches(binding: str, routing_key: str) -> bool:
    """Whether a topic binding takes a routing key: `*` stands for one word, `#` for any number, none included."""
    return _match(binding.split("."), routing_key.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])


@dataclass(slots=True)
class Item:
    """A message in a queue."""

    position: int
    encoded: Encoded
    deliveries: int = 0
    settled: Callable[[], None] | None = None
    """Called once when a reader has settled it, or it was put with the dead letters."""

    def settle(self) -> None:
        """Tell whoever waits for it."""
        if self.settled is not None:
            tell, self.settled = self.settled, None
            tell()


@dataclass(slots=True)
class _Queue:
    bound: BoundQueue
    items: deque[Item] = field(default_factory=deque)
    readers: "list[MemorySubscriber]" = field(default_factory=list)


class Hub:
    """The exchanges and queues; everything is done under one lock, and nothing slow is."""

    def __init__(self, partitions: int = 2, queue_limit: int = QUEUE_LIMIT) -> None:
        self.partitions = partitions
        self.queue_limit = queue_limit
        self._lock = threading.RLock()
        self._queues: dict[str, _Queue] = {}
        self._position = 0
        for queue in shared_queues(partitions):
            self.declare(queue)

    def declare(self, bound: BoundQueue) -> None:
        """Make a queue and bind it, unless it is there."""
        with self._lock:
            self._queues.setdefault(bound.name, _Queue(bound))

    def publish(self, encoded: Encoded, settled: Callable[[], None] | None = None) -> int:
        """Put a message into every queue that wants it; returns in how many "one" queues readers will settle it.

        `settled` is called for each of those, from whatever thread the reader lives in.

        Raises:
            PublishRefusedError: a queue that wants it is full.
        """
        with self._lock:
            targets = self._targets(encoded)
            if not targets:
                targets = self._targets(encoded._replace(exchange=UNROUTABLE.name))
                for queue in targets:  # as on RabbitMQ: what nobody wants must never hold up a sender
                    while len(queue.items) >= self.queue_limit:
                        queue.items.popleft()
            full = next((queue for queue in targets if len(queue.items) >= self.queue_limit), None)
            if full is not None:
                raise PublishRefusedError(f"the queue {full.bound.name} is full")
            awaited = 0
            for queue in targets:
                self._position += 1
                waits = settled is not None and queue.bound.row.audience == "one" and queue.bound.row.ordered
                awaited += waits
                queue.items.append(Item(self._position, encoded, settled=settled if waits else None))
                self._wake(queue)
            return awaited

    def _targets(self, encoded: Encoded) -> list[_Queue]:
        return [
            queue
            for queue in self._queues.values()
            if queue.bound.row.exchange.name == encoded.exchange
            and (queue.bound.row.exchange.type == "fanout" or matches(queue.bound.binding, encoded.routing_key))
        ]

    def items(self, queue_name: str) -> list[Item]:
        """What lies in a queue, deliveries excluded: for dead letters and tests."""
        with self._lock:
            queue = self._queues.get(queue_name)
            return list(queue.items) if queue else []

    def remove(self, queue_name: str, positions: frozenset[int]) -> int:
        """Take messages off a queue; returns how many were there."""
        with self._lock:
            queue = self._queues[queue_name]
            before = len(queue.items)
            queue.items = deque(item for item in queue.items if item.position not in positions)
            return before - len(queue.items)

    def put(self, queue_name: str, encoded: Encoded) -> None:
        """Put a message into one queue, whatever its bindings.

        Raises:
            KeyError: there is no such queue.
        """
        with self._lock:
            queue = self._queues[queue_name]
            self._position += 1
            queue.items.append(Item(self._position, encoded))
            self._wake(queue)

    def attach(self, reader: "MemorySubscriber") -> None:
        """A reader begins; of an ordered queue's readers only the first is served."""
        with self._lock:
            self.declare(reader.bound)
            self._queues[reader.bound.name].readers.append(reader)
            self._wake(self._queues[reader.bound.name])

    def detach(self, reader: "MemorySubscriber", unsettled: list[Item]) -> None:
        """A reader has gone; what it has not settled comes again, first and in order."""
        with self._lock:
            queue = self._queues[reader.bound.name]
            if reader in queue.readers:
                queue.readers.remove(reader)
            for item in sorted(unsettled, key=lambda item: item.position, reverse=True):
                if item.deliveries > DELIVERY_LIMIT:
                    self.bury(queue.bound.name, item.encoded, "delivery_limit")
                    item.settle()
                else:
                    queue.items.appendleft(item)
            self._wake(queue)

    def take(self, reader: "MemorySubscriber", limit: int) -> list[Item]:
        """The next messages for a reader, or none when it is not its turn."""
        with self._lock:
            queue = self._queues[reader.bound.name]
            if not queue.readers or (queue.bound.row.ordered and queue.readers[0] is not reader):
                return []
            taken = [queue.items.popleft() for _ in range(min(limit, len(queue.items)))]
            for item in taken:
                item.deliveries += 1
            return taken

    def bury(self, queue_name: str, encoded: Encoded, reason: str) -> None:
        """Put a message with the dead letters."""
        headers = {
            **encoded.headers,
            REASON: reason,
            DEAD_FROM: queue_name,
            DEAD_AT: datetime.now(UTC).isoformat(),
        }
        metrics.DEAD_LETTERED.labels(queue_name).inc()
        log.warning("message put with the dead letters", queue=queue_name, reason=reason, kind=headers.get("kind"))
        with self._lock:
            for queue in self._targets(encoded._replace(exchange=DEAD.name)):
                self._position += 1
                queue.items.append(
                    Item(self._position, Encoded(encoded.exchange, encoded.routing_key, headers, encoded.body))
                )
                self._wake(queue)

    @staticmethod
    def _wake(queue: _Queue) -> None:
        for reader in queue.readers:
            reader.wake()


class MemoryPublisher:
    """Speaks inside the process.

    A promise is kept when the message is queued or, with `until_settled`, when the readers have settled it.
    """

    def __init__(self, hub: Hub, name: str, *, until_settled: bool = False) -> None:
        self._hub = hub
        self._name = name
        self._until_settled = until_settled
        self._closed = False
        self._open: set[asyncio.Future[None]] = set()

    def publish(self, envelope: Envelope) -> "asyncio.Future[None]":
        """See `broker.transport.Publisher`."""
        promise: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            promise.set_exception(PublishUnconfirmedError("the publisher is closed"))
            promise.exception()  # a broken promise that nobody awaits is no error of the program
            return promise
        waiting = _Countdown(promise)
        try:
            awaited = self._hub.publish(
                encode(envelope, partitions=self._hub.partitions), waiting.one_less if self._until_settled else None
            )
        except PublishRefusedError as error:
            metrics.PUBLISHED.labels(self._name, "refused").inc()
            promise.set_exception(error)
            promise.exception()
            return promise
        metrics.PUBLISHED.labels(self._name, "confirmed").inc()
        waiting.expect(awaited)
        if not promise.done():
            self._open.add(promise)
            promise.add_done_callback(self._open.discard)
        return promise

    async def close(self) -> None:
        """Stop speaking; promises still open break."""
        self._closed = True
        for promise in list(self._open):
            if not promise.done():
                promise.set_exception(PublishUnconfirmedError("the publisher is closed"))
                promise.exception()


class _Countdown:
    """Keeps a promise, in its own event loop, when as many readers have settled as were expected."""

    def __init__(self, promise: "asyncio.Future[None]") -> None:
        self._promise = promise
        self._loop = promise.get_loop()
        self._lock = threading.Lock()
        self._left = 0

    def expect(self, count: int) -> None:
        """How many will settle; some may have done so already."""
        with self._lock:
            self._left += count
            kept = self._left == 0
        if kept:
            self._keep()

    def one_less(self) -> None:
        """A reader has settled it. Called from any thread."""
        with self._lock:
            self._left -= 1
            kept = self._left == 0
        if kept:
            try:
                self._loop.call_soon_threadsafe(self._keep)
            except RuntimeError:  # the publisher's loop has ended; its row stays and is published again
                return

    def _keep(self) -> None:
        if not self._promise.done():
            self._promise.set_result(None)


class MemoryDelivery:
    """A message on loan."""

    __slots__ = ("_envelope", "_item", "_subscriber")

    def __init__(self, subscriber: "MemorySubscriber", item: Item, envelope: Envelope) -> None:
        self._subscriber = subscriber
        self._item = item
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        """What was said."""
        return self._envelope

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        return self._item.deliveries > 1

    def done(self) -> None:
        """Take it off the queue."""
        self._subscriber.settle(self._item)

    def refuse(self, reason: str) -> None:
        """Put it with the dead letters."""
        self._subscriber.refuse(self._item, reason)


class MemorySubscriber:
    """Reads one queue from one event loop."""

    def __init__(self, hub: Hub, bound: BoundQueue, prefetch: int) -> None:
        self.bound = bound
        self._hub = hub
        self._prefetch = prefetch
        self._unsettled: dict[int, Item] = {}
        self._closed = False
        self._attached = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake: asyncio.Event | None = None
        hub.declare(bound)

    async def ready(self) -> None:
        """Wait until the queue exists: at once."""

    async def batches(self, limit: int) -> AsyncIterator[Sequence[MemoryDelivery]]:
        """See `broker.transport.Subscriber`."""
        self._loop = asyncio.get_running_loop()
        awake = self._awake = asyncio.Event()
        if not self._attached and not self._closed:
            self._attached = True
            self._hub.attach(self)
        while not self._closed:
            awake.clear()
            free = min(limit, self._prefetch - len(self._unsettled))
            taken = self._hub.take(self, free) if free > 0 else []
            if batch := self._readable(taken):
                yield batch
            elif not taken:  # else behind those that could not be read there may be others
                await awake.wait()

    def _readable(self, items: list[Item]) -> list[MemoryDelivery]:
        batch = []
        for item in items:
            metrics.DELIVERED.labels(self.bound.name).inc()
            try:
                envelope = decode(item.encoded.headers, item.encoded.body)
            except MessageError as error:
                self._hub.bury(self.bound.name, item.encoded, error.reason)
                item.settle()
            else:
                self._unsettled[item.position] = item
                batch.append(MemoryDelivery(self, item, envelope))
        return batch

    def settle(self, item: Item) -> None:
        """Forget a message that is handled."""
        if self._unsettled.pop(item.position, None) is not None:
            item.settle()
            self.wake()

    def refuse(self, item: Item, reason: str) -> None:
        """Hand a message to the dead letters."""
        if self._unsettled.pop(item.position, None) is not None:
            self._hub.bury(self.bound.name, item.encoded, reason)
            item.settle()
            self.wake()

    def wake(self) -> None:
        """Look at the queue again. Called from any thread."""
        loop, awake = self._loop, self._awake
        if loop is None or awake is None:
            return
        try:
            loop.call_soon_threadsafe(awake.set)
        except RuntimeError:  # the loop has ended without a close
            self._closed = True

    async def close(self) -> None:
        """Stop listening; what is not settled comes again."""
        self.end()

    def end(self) -> None:
        """Give everything back; safe to call twice and from any thread."""
        if self._closed and not self._attached:
            return
        self._closed = True
        if self._attached:
            self._attached = False
            unsettled, self._unsettled = list(self._unsettled.values()), {}
            self._hub.detach(self, unsettled)
        self.wake()


class MemoryBroker:
    """The connection of one part of the process to the hub. Closing it closes only what it gave out."""

    def __init__(self, hub: Hub | None = None, *, health: Health | None = None, until_settled: bool = False) -> None:
        self.hub = hub or Hub()
        self._until_settled = until_settled
        self._health = health
        self._publishers: list[MemoryPublisher] = []
        self._subscribers: list[MemorySubscriber] = []

    async def start(self) -> None:
        """Say that all is well."""
        if self._health:
            self._health.set("broker", ok=True, detail="in memory")

    async def close(self) -> None:
        """Close publishers and subscribers that are still open."""
        for publisher in self._publishers:
            await publisher.close()
        for subscriber in self._subscribers:
            subscriber.end()
        self._publishers.clear()
        self._subscribers.clear()

    def publisher(self, name: str) -> MemoryPublisher:
        """A new publisher."""
        publisher = MemoryPublisher(self.hub, name, until_settled=self._until_settled)
        self._publishers.append(publisher)
        return publisher

    def subscriber(self, queue: BoundQueue, *, prefetch: int = 500) -> MemorySubscriber:
        """A new reader."""
        subscriber = MemorySubscriber(self.hub, queue, prefetch)
        self._subscribers.append(subscriber)
        return subscriber
