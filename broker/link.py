"""One connection to RabbitMQ, for ever: connect, declare, serve whoever has a channel on it, begin again."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel

from broker import metrics
from broker.declare import QueueStatement, statements
from broker.process import BrokerSettings, logger
from broker.trust.tls import client_context

log = logger(__name__)

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
"""The longest pause between two tries to connect."""

STEADY_S = 5.0
"""A connection that stood this long was a good one: the next pause is short again. Others are not worth a hurry."""

CONNECT_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 2.0


class ChannelLostError(Exception):
    """The channel or its connection is gone; whoever owns it opens another."""


class User(Protocol):
    """Somebody with a channel on a link."""

    async def serve(self, connection: AsyncioConnection) -> None:
        """Live on this connection until cancelled."""
        ...

    def unblocked(self) -> None:
        """RabbitMQ takes messages again."""
        ...


def parameters(url: str, ca: Path | None) -> pika.URLParameters:
    """How to dial: of amqps:// the certificate is checked, with `ca` trusted beside the system's authorities."""
    found = pika.URLParameters(url)
    if url.startswith("amqps:"):
        found.ssl_options = pika.SSLOptions(client_context(ca), found.host)
    return found


def backoff() -> Iterator[float]:
    """Growing pauses, in seconds."""
    delays = [FIRST_RETRY_S * 2**step for step in range(6)]
    return itertools.chain(delays, itertools.repeat(LAST_RETRY_S))


def jitter(delay: float) -> float:
    """A pause that does not bring all processes back in the same moment."""
    return delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class ChannelCalls:
    """A channel whose calls are awaited; every wait ends when the channel does."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.code: int | None = None
        """RabbitMQ's reply code, once it has closed the channel or its connection."""
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(self._on_close)

    def _on_close(self, _channel: Channel, reason: Exception) -> None:
        if not self.closed.done():
            self.code = getattr(reason, "reply_code", None)
            self.closed.set_result(sentence(reason))

    @classmethod
    async def open(cls, connection: AsyncioConnection) -> "ChannelCalls":
        """Open a channel; if the connection is lost meanwhile, the wait ends only by being cancelled."""
        opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
        connection.channel(on_open_callback=partial(resolve, opened))
        return cls(await opened)

    async def call(self, method: Callable[..., Any], **arguments: Any) -> None:
        """Call a method that answers by a callback."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        method(**arguments, callback=partial(resolve, answered))
        await asyncio.wait([answered, self.closed], return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise ChannelLostError(self.closed.result())

    def close(self) -> None:
        """Close the channel, if that has not happened."""
        if self.channel.is_open:
            self.channel.close()


def sentence(reason: BaseException) -> str:
    """An error of pika in words."""
    code, text = getattr(reason, "reply_code", None), getattr(reason, "reply_text", "")
    return (
        f"{text} ({code})" if code else f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
    )


class Link:
    """One connection, for ever. Its users get a new one each time the last was lost."""

    def __init__(
        self, settings: BrokerSettings, name: str, partitions: int, report: Callable[[], None], ca: Path | None = None
    ) -> None:
        self.name = name
        self.trouble = "not connected yet"
        self.blocked = False
        self._settings = settings
        self._partitions = partitions
        self._report = report
        self._users: dict[User, asyncio.Task[None] | None] = {}
        self._connection: AsyncioConnection | None = None
        self._parameters = parameters(settings.url.get_secret_value(), ca)
        self._parameters.heartbeat = settings.heartbeat_s
        self._parameters.client_properties = {"connection_name": name}
        self._parameters.connection_attempts = 1
        self._parameters.socket_timeout = CONNECT_TIMEOUT_S
        self._parameters.stack_timeout = CONNECT_TIMEOUT_S
        self._parameters.blocked_connection_timeout = None

    @property
    def peer(self) -> str:
        """Where RabbitMQ is, without the password."""
        return f"{self._parameters.host}:{self._parameters.port}"

    def add(self, user: User) -> None:
        """Serve somebody from now on."""
        self._users[user] = None
        if self._connection is not None:
            self._users[user] = asyncio.create_task(user.serve(self._connection))

    async def remove(self, user: User) -> None:
        """Serve somebody no more."""
        await end(self._users.pop(user, None))

    async def run(self) -> None:
        """Connect, declare, serve, and begin again."""
        delays = backoff()
        while True:
            try:
                connection, closed = await self._connect()
            except (ChannelLostError, OSError, pika.exceptions.AMQPError) as error:
                self._say(str(error))
                await asyncio.sleep(jitter(next(delays)))
                continue
            stood_since = None
            try:
                await self._until_closed(self._declare(connection), closed)
                stood_since = asyncio.get_running_loop().time()
                self._connection = connection
                self._say("")
                for user in self._users:
                    self._users[user] = asyncio.create_task(user.serve(connection))
                await asyncio.shield(closed)
                self._say(closed.result())
            except ChannelLostError as error:
                self._say(str(error))
            except Exception as error:
                log.exception("connection to rabbitmq had an unexpected end", connection=self.name)
                self._say(sentence(error))
            finally:
                self._connection = None
                self.blocked = False
                for user, task in list(self._users.items()):
                    await end(task)
                    if user in self._users:
                        self._users[user] = None
                await _hang_up(connection, closed)
            if stood_since is not None and asyncio.get_running_loop().time() - stood_since >= STEADY_S:
                delays = backoff()
            await asyncio.sleep(jitter(next(delays)))

    async def _until_closed(self, work: Awaitable[None], closed: "asyncio.Future[str]") -> None:
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task, closed], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ChannelLostError(closed.result())
            task.result()
        finally:
            task.cancel()

    async def _connect(self) -> "tuple[AsyncioConnection, asyncio.Future[str]]":
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[AsyncioConnection] = loop.create_future()
        closed: asyncio.Future[str] = loop.create_future()

        def on_error(_connection: object, error: BaseException | str) -> None:
            if not opened.done():
                cause = error if isinstance(error, BaseException) else None
                opened.set_exception(ChannelLostError(_cause(cause) if cause else str(error)))

        connection = AsyncioConnection(
            self._parameters,
            on_open_callback=partial(resolve, opened),
            on_open_error_callback=on_error,
            on_close_callback=lambda _connection, reason: resolve(closed, sentence(reason)),
            custom_ioloop=loop,
        )
        try:
            await opened
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                connection.close()
            raise
        connection.add_on_connection_blocked_callback(lambda _connection, _frame: self._block(blocked=True))
        connection.add_on_connection_unblocked_callback(lambda _connection, _frame: self._block(blocked=False))
        return connection, closed

    async def _declare(self, connection: AsyncioConnection) -> None:
        exchanges, queues = statements(self._partitions)
        calls = await ChannelCalls.open(connection)
        for exchange in exchanges:
            await calls.call(
                calls.channel.exchange_declare,
                exchange=exchange.name,
                exchange_type=exchange.type,
                durable=True,
                arguments=exchange.arguments,
            )
        for queue in queues:
            await declare_queue(calls, queue)
        calls.close()

    def _block(self, *, blocked: bool) -> None:
        self.blocked = blocked
        log.warning("publishing is blocked by rabbitmq" if blocked else "publishing is unblocked", connection=self.name)
        self._report()
        if not blocked:
            for user in self._users:
                user.unblocked()

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            if trouble:
                log.warning("connection to rabbitmq is down", connection=self.name, peer=self.peer, reason=trouble)
            else:
                log.info("connection to rabbitmq stands", connection=self.name, peer=self.peer)
        self.trouble = trouble
        metrics.CONNECTED.labels(self.name).set(0 if trouble else 1)
        self._report()


async def declare_queue(calls: ChannelCalls, queue: QueueStatement) -> None:
    """Declare and bind a queue."""
    channel = calls.channel
    await calls.call(channel.queue_declare, queue=queue.name, durable=True, arguments=queue.arguments)
    await calls.call(channel.queue_bind, queue=queue.name, exchange=queue.exchange, routing_key=queue.binding)


def _cause(error: BaseException) -> str:
    """The innermost reason: pika wraps the socket's error several times."""
    while True:
        several, inner = getattr(error, "exceptions", None), getattr(error, "exception", None)
        if several:
            error = several[-1]
        elif isinstance(inner, BaseException):
            error = inner
        elif error.args and isinstance(error.args[0], BaseException):
            error = error.args[0]
        else:
            return sentence(error)


def resolve(future: "asyncio.Future[Any]", value: Any) -> None:
    """Set a result unless there is one."""
    if not future.done():
        future.set_result(value)


async def end(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _hang_up(connection: AsyncioConnection, closed: "asyncio.Future[str]") -> None:
    if closed.done():
        return
    with contextlib.suppress(Exception):  # pika objects to closing what is half open
        if not connection.is_closing:
            connection.close()
        await asyncio.wait_for(asyncio.shield(closed), CLOSE_TIMEOUT_S)
