"""The two protocols on RabbitMQ, with pika's asyncio adapter.

One connection publishes and one consumes, so that a publisher blocked by RabbitMQ never delays acknowledgements.
Both reconnect for ever (`broker/link.py`). Each publisher and each subscriber has a channel of its own and opens it
anew whenever it is lost.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel

from broker import metrics
from broker.codec import CE_ID, CONTENT_TYPE, DEAD_AT, DEAD_FROM, KIND, REASON, Encoded, decode, encode
from broker.declare import queue_statement
from broker.errors import MessageError, PublishRefusedError, PublishUnconfirmedError
from broker.link import ChannelCalls, ChannelLostError, Link, backoff, declare_queue, end, jitter, sentence
from broker.process import BrokerSettings, Health, logger
from broker.topology import DEAD, BoundQueue
from broker.transport import Envelope

log = logger(__name__)

INTERNAL_ERROR = 541
"""How RabbitMQ 3 answers who reads a queue that has no leader: it closes the whole connection."""

REFUSE_RETRY_S = 1.0
"""Pause before a dead letter is published again."""


@dataclass(slots=True)
class _Sent:
    encoded: Encoded
    id: str
    promise: "asyncio.Future[None]"
    deadline: float


class AmqpPublisher:
    """Speaks on a channel of its own, up to a window ahead of the broker's confirms."""

    def __init__(self, link: Link, settings: BrokerSettings, name: str) -> None:
        self._link = link
        self._name = name
        self._partitions = settings.partitions
        self._window = settings.window
        self._timeout_s = settings.confirm_timeout_s
        self._waiting: deque[_Sent] = deque()
        self._outstanding: dict[int, _Sent] = {}
        self._calls: ChannelCalls | None = None
        self._tag = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._in_flight = metrics.IN_FLIGHT.labels(name)
        self._outcomes = {
            outcome: metrics.PUBLISHED.labels(name, outcome) for outcome in ("confirmed", "refused", "unconfirmed")
        }

    def publish(self, envelope: Envelope) -> "asyncio.Future[None]":
        """See `broker.transport.Publisher`. Without a connection the message waits until the confirm timeout."""
        return self.publish_encoded(encode(envelope, partitions=self._partitions), envelope.id)

    def publish_encoded(self, encoded: Encoded, id_: str) -> "asyncio.Future[None]":
        """Publish what is encoded already, e.g. a dead letter."""
        loop = asyncio.get_running_loop()
        promise: asyncio.Future[None] = loop.create_future()
        promise.add_done_callback(_look)
        if self._closed:
            promise.set_exception(PublishUnconfirmedError("the publisher is closed"))
            return promise
        self._waiting.append(_Sent(encoded, id_, promise, self._deadline()))
        self.pump()
        self._arm()
        return promise

    def pump(self) -> None:
        """Send what waits, as far as the window goes."""
        calls = self._calls
        if calls is None or self._link.blocked:
            return
        try:
            while self._waiting and len(self._outstanding) < self._window and calls.channel.is_open:
                self._tag += 1
                self._outstanding[self._tag] = sent = self._waiting.popleft()
                sent.deadline = self._deadline()  # what counts is how long the broker is silent, not how long we waited
                self._send(calls.channel, sent)
        except pika.exceptions.AMQPError as error:  # the connection is closing: serve() hears of it next
            self._lose(sentence(error))
        self._in_flight.set(len(self._outstanding))

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_s

    @staticmethod
    def _send(channel: Channel, sent: _Sent) -> None:
        encoded = sent.encoded
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=sent.id,
            type=str(encoded.headers.get(KIND, "")),
            headers=encoded.headers,
        )
        channel.basic_publish(encoded.exchange, encoded.routing_key, encoded.body, properties, mandatory=True)

    def unblocked(self) -> None:
        """Send what has waited."""
        self.pump()

    async def serve(self, connection: AsyncioConnection) -> None:
        """Keep a channel open on this connection."""
        delays = backoff()
        try:
            while True:
                calls = None
                try:
                    calls = await ChannelCalls.open(connection)
                    calls.channel.add_on_return_callback(self._on_return)
                    self._tag = 0
                    await calls.call(calls.channel.confirm_delivery, ack_nack_callback=self._on_confirm)
                    self._calls = calls
                    self.pump()
                    reason = await asyncio.shield(calls.closed)
                except (ChannelLostError, pika.exceptions.AMQPError) as error:
                    reason = str(error)
                if (
                    calls is not None and self._calls is calls
                ):  # else we closed it, and what waits now is for the next one
                    self._lose(reason)
                await asyncio.sleep(jitter(next(delays)))
        finally:
            if self._calls is not None:
                self._lose("the connection was lost")

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        tag: int = method.delivery_tag
        tags = [each for each in self._outstanding if each <= tag] if method.multiple else [tag]
        acked = isinstance(method, pika.spec.Basic.Ack)
        for each in tags:
            sent = self._outstanding.pop(each, None)
            if sent is None or sent.promise.done():
                continue
            if acked:
                sent.promise.set_result(None)
            else:
                sent.promise.set_exception(PublishRefusedError("rabbitmq has refused the message (nack)"))
            self._outcomes["confirmed" if acked else "refused"].inc()
        if acked:
            self.pump()
        elif self._calls is not None:
            # What follows a refused message would overtake its second try: all of it goes back to the sender.
            calls = self._calls
            self._lose("rabbitmq has refused a message before this one")
            calls.close()

    def _on_return(self, _channel: Channel, method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
        for sent in self._outstanding.values():
            if sent.id == properties.message_id and not sent.promise.done():
                sent.promise.set_exception(PublishRefusedError(f"no queue takes it: {method.reply_text}"))
                self._outcomes["refused"].inc()
                return

    def _arm(self) -> None:
        if self._timer is None and (self._outstanding or self._waiting):
            oldest = next(iter(self._outstanding.values()), None) or self._waiting[0]
            self._timer = asyncio.get_running_loop().call_at(oldest.deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        oldest = next(iter(self._outstanding.values()), None) or (self._waiting[0] if self._waiting else None)
        if oldest is not None and oldest.deadline <= now:
            calls = self._calls
            if self._outstanding and calls is not None and not self._link.blocked:
                log.warning("rabbitmq is silent and the channel is closed", publisher=self._name)
                self._lose(f"no confirm within {self._timeout_s:g} s")
                calls.close()
            else:
                # Not sent, or held up by a blocked connection. Late confirms carry tags that nobody waits for.
                self._break(f"not connected, or blocked, for {self._timeout_s:g} s")
        self._arm()

    def _lose(self, reason: str) -> None:
        self._calls = None
        self._break(reason)

    def _break(self, reason: str) -> None:
        """Break every promise, those not sent yet included: sent later, they would overtake the others' second try."""
        sent = [*self._outstanding.values(), *self._waiting]
        self._outstanding.clear()
        self._waiting.clear()
        self._in_flight.set(0)
        for each in sent:
            if not each.promise.done():
                each.promise.set_exception(PublishUnconfirmedError(reason))
                self._outcomes["unconfirmed"].inc()

    async def close(self) -> None:
        """See `broker.transport.Publisher`."""
        self._closed = True
        calls = self._calls
        await self._link.remove(self)
        self._break("the publisher is closed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if calls is not None:
            calls.close()


def _look(promise: "asyncio.Future[None]") -> None:
    """A broken promise that nobody awaits is no error of the program."""
    if not promise.cancelled():
        promise.exception()


@dataclass(slots=True)
class _Arrived:
    tag: int
    redelivered: bool
    routing_key: str
    headers: dict[str, Any]
    body: bytes


class AmqpDelivery:
    """A message on loan from a channel; once that is lost, settling it does nothing, for it comes again."""

    __slots__ = ("_arrived", "_envelope", "_epoch", "_subscriber")

    def __init__(self, subscriber: "AmqpSubscriber", epoch: int, arrived: _Arrived, envelope: Envelope) -> None:
        self._subscriber = subscriber
        self._epoch = epoch
        self._arrived = arrived
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        """What was said."""
        return self._envelope

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        return self._arrived.redelivered

    def done(self) -> None:
        """Take it off the queue."""
        self._subscriber.settle(self._epoch, self._arrived.tag)

    def refuse(self, reason: str) -> None:
        """Put it with the dead letters."""
        self._subscriber.bury(self._epoch, self._arrived, reason)


class AmqpSubscriber:
    """Listens to one queue on a channel of its own."""

    def __init__(
        self,
        link: Link,
        bound: BoundQueue,
        prefetch: int,
        dead: Callable[[], AmqpPublisher],
        on_trouble: "Callable[[AmqpSubscriber], None]",
    ) -> None:
        self.trouble = ""
        """Why the queue cannot be read although the connection stands."""
        self._link = link
        self._on_trouble = on_trouble
        self._bound = bound
        self._prefetch = prefetch
        self._dead = dead
        self._arrived: deque[_Arrived] = deque()
        self._awake = asyncio.Event()
        self._ready = asyncio.Event()
        self._calls: ChannelCalls | None = None
        self._epoch = 0
        self._open_tags: dict[int, None] = {}
        self._settled: set[int] = set()
        self._flush_planned = False
        self._closed = False
        self._delivered = metrics.DELIVERED.labels(bound.name)

    @property
    def queue(self) -> str:
        """The name of what is read."""
        return self._bound.name

    async def ready(self) -> None:
        """Wait until the queue exists and is read."""
        await self._ready.wait()

    async def batches(self, limit: int) -> AsyncIterator[Sequence[AmqpDelivery]]:
        """See `broker.transport.Subscriber`."""
        while not self._closed:
            batch: list[AmqpDelivery] = []
            while self._arrived and len(batch) < limit:
                arrived = self._arrived.popleft()
                try:
                    envelope = decode(arrived.headers, arrived.body)
                except MessageError as error:
                    self.bury(self._epoch, arrived, error.reason)
                else:
                    batch.append(AmqpDelivery(self, self._epoch, arrived, envelope))
            if batch:
                yield batch
            elif not self._arrived:
                self._awake.clear()
                await self._awake.wait()

    def unblocked(self) -> None:
        """A reader does not mind."""

    async def serve(self, connection: AsyncioConnection) -> None:
        """Keep a channel open on this connection."""
        delays, calls = backoff(), None
        try:
            while True:
                try:
                    calls = await ChannelCalls.open(connection)
                    await declare_queue(calls, queue_statement(self._bound))
                    await calls.call(calls.channel.basic_qos, prefetch_count=self._prefetch)
                    calls.channel.add_on_cancel_callback(partial(_cancelled, calls))
                    self._calls = calls
                    await calls.call(
                        calls.channel.basic_consume, queue=self._bound.name, on_message_callback=self._on_message
                    )
                    delays = backoff()
                    self._ready.set()
                    self._say("")
                    reason = await asyncio.shield(calls.closed)
                except (ChannelLostError, pika.exceptions.AMQPError) as error:
                    reason = str(error)
                log.warning("reading a queue was interrupted", queue=self._bound.name, reason=reason)
                self._lose(calls)
                calls = None
                await asyncio.sleep(jitter(next(delays)))
        finally:
            self._lose(calls)

    async def move(self, link: Link) -> None:
        """Live on another connection from now on."""
        await self._link.remove(self)
        self._link = link
        if not self._closed:
            link.add(self)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble(self)

    def _lose(self, calls: ChannelCalls | None) -> None:
        if calls is not None and calls.code == INTERNAL_ERROR and not self._ready.is_set():
            self._say(f"the queue {self.queue} cannot be read: {calls.closed.result()}")
        self._epoch += 1
        self._calls = None
        self._ready.clear()
        self._arrived.clear()
        self._open_tags.clear()
        self._settled.clear()

    def _on_message(self, _channel: Channel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._delivered.inc()
        self._open_tags[method.delivery_tag] = None
        headers = dict(properties.headers or {})
        self._arrived.append(
            _Arrived(method.delivery_tag, bool(method.redelivered), method.routing_key or "", headers, body)
        )
        self._awake.set()

    def settle(self, epoch: int, tag: int) -> None:
        """Acknowledge in this turn of the loop, together with others."""
        if epoch != self._epoch or tag not in self._open_tags:
            return
        self._settled.add(tag)
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        calls = self._calls
        if calls is None or not calls.channel.is_open or not self._settled:
            return
        first: list[int] = []
        for tag in self._open_tags:
            if tag not in self._settled:
                break
            first.append(tag)
        if first:
            calls.channel.basic_ack(first[-1], multiple=True)
        self._settled.difference_update(first)
        for tag in self._settled:
            calls.channel.basic_ack(tag)
        for tag in itertools.chain(first, self._settled):
            del self._open_tags[tag]
        self._settled.clear()

    def bury(self, epoch: int, arrived: _Arrived, reason: str) -> None:
        """Publish a message to the dead letters, then acknowledge it. Until that is confirmed it stays ours."""
        if epoch != self._epoch or arrived.tag not in self._open_tags:
            return
        headers = {key: value for key, value in arrived.headers.items() if isinstance(value, str)}
        headers |= {REASON: reason, DEAD_FROM: self._bound.name, DEAD_AT: datetime.now(UTC).isoformat()}
        encoded = Encoded(DEAD.name, arrived.routing_key, headers, arrived.body)
        promise = self._dead().publish_encoded(encoded, str(headers.get(CE_ID, "")))

        def settled(promise: "asyncio.Future[None]") -> None:
            if promise.cancelled() or promise.exception() is not None:
                if not self._closed:
                    promise.get_loop().call_later(REFUSE_RETRY_S, self.bury, epoch, arrived, reason)
                return
            metrics.DEAD_LETTERED.labels(self._bound.name).inc()
            log.warning("message put with the dead letters", queue=self._bound.name, reason=reason)
            self.settle(epoch, arrived.tag)

        promise.add_done_callback(settled)

    async def close(self) -> None:
        """See `broker.transport.Subscriber`."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        calls = self._calls
        await self._link.remove(self)
        if calls is not None:
            calls.close()
        self._awake.set()


def _cancelled(calls: ChannelCalls, _frame: object) -> None:
    """The queue was deleted under us: begin again."""
    calls.close()


class AmqpBroker:
    """One process on RabbitMQ."""

    def __init__(self, settings: BrokerSettings, *, name: str, health: Health, ca: Path | None = None) -> None:
        # pika reports each failed try with a traceback; what matters of it is said here once.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._settings = settings
        self._name = name
        self._health = health
        self._ca = ca
        self._publish = self._link("publish")
        self._consume = self._link("consume")
        self._tasks: list[asyncio.Task[None]] = []
        self._publishers: list[AmqpPublisher] = []
        self._subscribers: list[AmqpSubscriber] = []
        self._apart: dict[AmqpSubscriber, Link] = {}
        self._dead: AmqpPublisher | None = None

    def _link(self, purpose: str) -> Link:
        return Link(self._settings, f"{self._name} {purpose}", self._settings.partitions, self._report, self._ca)

    async def start(self) -> None:
        """Begin to connect and declare the topology; returns at once."""
        self._report()
        self._tasks = [asyncio.create_task(link.run(), name=link.name) for link in (self._publish, self._consume)]

    async def close(self) -> None:
        """Hang up cleanly; safe to call twice."""
        for subscriber in self._subscribers:
            await subscriber.close()
        for publisher in self._publishers:
            await publisher.close()
        for task in self._tasks:
            await end(task)
        self._tasks, self._publishers, self._subscribers, self._dead = [], [], [], None
        self._apart.clear()

    def publisher(self, name: str) -> AmqpPublisher:
        """A new publisher."""
        publisher = AmqpPublisher(self._publish, self._settings, name)
        self._publishers.append(publisher)
        self._publish.add(publisher)
        return publisher

    def subscriber(self, queue: BoundQueue, *, prefetch: int = 500) -> AmqpSubscriber:
        """A new reader."""
        subscriber = AmqpSubscriber(self._consume, queue, prefetch, self._dead_publisher, self._on_trouble)
        self._subscribers.append(subscriber)
        self._consume.add(subscriber)
        return subscriber

    def _dead_publisher(self) -> AmqpPublisher:
        if self._dead is None:
            self._dead = self.publisher("dead letters")
        return self._dead

    def _on_trouble(self, subscriber: AmqpSubscriber) -> None:
        """Move the reader of a queue without a leader to a connection of its own.

        On the shared one each try would interrupt the others, and count as a try of all that they have in hand.
        """
        if subscriber.trouble and subscriber not in self._apart:
            link = self._link(f"consume {subscriber.queue}")
            self._apart[subscriber] = link
            self._tasks += [asyncio.create_task(link.run()), asyncio.create_task(subscriber.move(link))]
        self._report()

    def _report(self) -> None:
        metrics.BLOCKED.set(int(self._publish.blocked))
        trouble = self._publish.trouble or self._consume.trouble
        trouble = trouble or next((one.trouble for one in self._subscribers if one.trouble), "")
        if trouble:
            detail = f"RabbitMQ at {self._publish.peer} cannot be used: {trouble}; trying for ever"
        elif self._publish.blocked:
            detail = f"RabbitMQ at {self._publish.peer} has blocked publishing: it is short of memory or disk"
        else:
            detail = f"RabbitMQ at {self._publish.peer}"
        self._health.set("broker", ok=not trouble and not self._publish.blocked, detail=detail)
