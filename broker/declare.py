"""The topology table as RabbitMQ's own statements; the same for 3.10 and 4.x.

Quorum queues: a backstop delivery limit (3.10 has none unless asked, 4.x has 20, too few for lost connections
that each count as a try), at-least-once dead-lettering (which needs the overflow `reject-publish`), a single active
consumer where order matters. Exchanges hand what nobody wants to an alternate exchange.
"""

from pathlib import Path
from typing import Any, NamedTuple

from broker.topology import (
    DEAD,
    DELIVERY_LIMIT,
    EACH_QUEUE_EXPIRES_MS,
    EXCHANGES,
    UNROUTABLE,
    BoundQueue,
    Exchange,
    shared_queues,
)

UNROUTABLE_LIMIT = 100_000
"""Messages kept of those that nobody wanted; the oldest go first."""

NEVER = 1_000_000
"""A delivery limit that looking at dead letters never reaches: each look counts as a try."""


class ExchangeStatement(NamedTuple):
    """One exchange.declare."""

    name: str
    type: str
    arguments: dict[str, Any]


class QueueStatement(NamedTuple):
    """One queue.declare and its queue.bind."""

    name: str
    arguments: dict[str, Any]
    exchange: str
    binding: str


def exchange_statement(exchange: Exchange) -> ExchangeStatement:
    """How an exchange is declared."""
    last = exchange in (UNROUTABLE, DEAD)
    return ExchangeStatement(exchange.name, exchange.type, {} if last else {"alternate-exchange": UNROUTABLE.name})


def queue_statement(queue: BoundQueue) -> QueueStatement:
    """How a queue is declared and bound."""
    row = queue.row
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if row.exchange is DEAD:
        arguments["x-delivery-limit"] = NEVER
    elif row.exchange is UNROUTABLE:
        arguments |= {"x-delivery-limit": NEVER, "x-max-length": UNROUTABLE_LIMIT, "x-overflow": "drop-head"}
    else:
        arguments |= {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
    if row.ordered:
        arguments["x-single-active-consumer"] = True
    if row.audience == "each":
        arguments["x-expires"] = EACH_QUEUE_EXPIRES_MS
    return QueueStatement(queue.name, arguments, row.exchange.name, queue.binding)


def statements(partitions: int) -> tuple[list[ExchangeStatement], list[QueueStatement]]:
    """All that exists before anybody reads."""
    return (
        [exchange_statement(exchange) for exchange in EXCHANGES],
        [queue_statement(queue) for queue in shared_queues(partitions)],
    )


def declare(url: str, partitions: int, ca: Path | None = None) -> int:
    """Build the topology on a RabbitMQ and return how many queues it has; for `python -m broker --declare`."""
    import pika  # noqa: PLC0415 - printing the topology needs no client

    from broker.link import parameters  # noqa: PLC0415 - the same

    exchanges, queues = statements(partitions)
    connection = pika.BlockingConnection(parameters(url, ca))
    try:
        channel = connection.channel()
        for exchange in exchanges:
            channel.exchange_declare(exchange.name, exchange.type, durable=True, arguments=exchange.arguments)
        for queue in queues:
            channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
            channel.queue_bind(queue.name, queue.exchange, queue.binding)
    finally:
        connection.close()
    return len(queues)
