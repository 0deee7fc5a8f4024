"""What SMServer reads from the bus: one transaction per batch, acknowledged after its commit."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from broker.process import logger
from broker.transport import Delivery, Envelope, Subscriber
from servers.smserver.errors import NotReadyError
from servers.smserver.store import Store

log = logger(__name__)

BATCH = 500
RETRY_S = 1.0
PAUSE_S = 0.1
"""Between two batches: in a storm they become larger, and so a fifth as costly. The first of a row never waits."""

Write = Callable[[Connection, Sequence[Envelope]], object]
"""Stores envelopes in a transaction; may be called again with the same ones."""


async def take_in(subscriber: Subscriber, store: Store, write: Write, committed: Callable[[], None]) -> None:
    """Read a queue for ever. While the database is away the batch waits; nothing is acknowledged before a commit."""
    async for batch in subscriber.batches(BATCH):
        await _handle(list(batch), store, write)
        committed()
        await asyncio.sleep(PAUSE_S)


async def _handle(batch: list[Delivery], store: Store, write: Write) -> None:
    while True:
        try:
            await asyncio.to_thread(_commit, store, write, [delivery.envelope for delivery in batch])
        except NotReadyError:
            await asyncio.sleep(RETRY_S)
            continue
        except Exception as error:  # whatever a message does here, the others must go on
            if len(batch) > 1:  # one of them is the culprit: the rest must not suffer for it
                for delivery in batch:
                    await _handle([delivery], store, write)
                return
            envelope = batch[0].envelope
            log.exception("message cannot be stored", message_id=envelope.id, kind=envelope.message.kind())
            batch[0].refuse(f"SMServer cannot store it: {type(error).__name__}")
            return
        for delivery in batch:
            delivery.done()
        return


def _commit(store: Store, write: Write, envelopes: Sequence[Envelope]) -> None:
    with store.write() as connection:
        write(connection, envelopes)


async def drain(subscriber: Subscriber) -> None:
    """Read a queue of which nothing is needed yet, so that it does not grow."""
    async for batch in subscriber.batches(BATCH):
        for delivery in batch:
            delivery.done()
