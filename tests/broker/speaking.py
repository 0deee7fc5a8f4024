"""What the tests of the bus say and how they read it."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from broker.codec import envelope
from broker.model.base import Priority
from broker.model.messages import TriggerActivated
from broker.topology import queues_of

_sequence = itertools.count(1)


def trigger(source_id="cam-1", *, sequence=None, node_id="node-1"):
    return TriggerActivated(
        trigger="motion",
        source_id=source_id,
        node_id=node_id,
        boot=1,
        sequence=next(_sequence) if sequence is None else sequence,
        occurred_at=datetime.now(UTC),
    )


def sealed(source_id="cam-1", *, sequence=None, lane=Priority.LOW, **more):
    return envelope(trigger(source_id, sequence=sequence), source="dvrserver/node-1", lane=lane, **more)


def queue_named(reader, start, node="n1", partitions=2):
    return next(q for q in queues_of(reader, node=node, partitions=partitions) if q.name.startswith(start))


async def read(subscriber, count, *, settle=True, timeout_s=40.0):
    """The next `count` deliveries of a queue."""
    got = []
    async with asyncio.timeout(timeout_s):
        async for batch in subscriber.batches(100):
            for delivery in batch:
                got.append(delivery)
                if settle:
                    delivery.done()
            if len(got) >= count:
                break
    return got


async def eventually(condition, *, timeout_s=40.0):
    """Wait until a condition holds; asks every 10 ms until the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def running(coroutine):
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
