"""The embedded default's promise: a sender's row lives until the receiver's transaction has."""

import asyncio
from datetime import UTC, datetime

from broker.codec import envelope
from broker.memory import Hub, MemoryBroker
from broker.model.messages import AcknowledgeRequested
from broker.topology import queues_of

REQUESTS = next(q for q in queues_of("engine", node="engine-1", partitions=2) if q.row.name == "engine.requests")


def request():
    message = AcknowledgeRequested(alarm_event_id="e1", user_id="u", user_name="U", at=datetime.now(UTC))
    return envelope(message, source="smserver")


async def test_a_promise_is_kept_only_when_the_reader_has_settled():
    broker = MemoryBroker(Hub(), until_settled=True)
    promise = broker.publisher("p").publish(request())
    subscriber = broker.subscriber(REQUESTS)
    (delivery,) = await anext(subscriber.batches(10))
    assert not promise.done()
    delivery.done()
    await asyncio.wait_for(promise, 1)
    await broker.close()


async def test_without_that_protection_the_promise_is_kept_before_anyone_has_read():
    broker = MemoryBroker(Hub())
    promise = broker.publisher("p").publish(request())
    assert promise.done()
    await broker.close()


async def test_a_reader_that_dies_keeps_the_promise_open_for_the_next_one():
    broker = MemoryBroker(Hub(), until_settled=True)
    promise = broker.publisher("p").publish(request())
    first = broker.subscriber(REQUESTS)
    await anext(first.batches(10))
    await first.close()
    second = broker.subscriber(REQUESTS)
    (delivery,) = await anext(second.batches(10))
    assert delivery.redelivered
    assert not promise.done()
    delivery.refuse("nobody can read this")
    await asyncio.wait_for(promise, 1)
    await broker.close()
