"""Reads a queue into the database: batches together, doubtful messages alone, acknowledged after the commit."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from broker.database import is_away
from broker.process import Health, logger
from broker.transport import Delivery, Envelope, Subscriber
from workers.store import quarantine
from workers.store.lifecycle import Due

log = logger(__name__)

AWAY_WAIT_S = 1.0
TRY_WAIT_S = 0.1

Work = Callable[[Sequence[Envelope]], list[Due]]
"""Handles a batch in one transaction and returns the actions to dispatch; called on a thread."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one queue after another's manner; several may run side by side on one event loop."""

    work: Work
    after_commit: Callable[[list[Due]], None]
    """Dispatches and wakes the relay. Called on the event loop and must not block."""
    database: Engine
    threads: Executor
    health: Health
    node_id: str
    limit: int
    tries: int

    async def read(self, subscriber: Subscriber) -> None:
        """Read until the subscriber is closed."""
        async for batch in subscriber.batches(self.limit):
            again = [delivery for delivery in batch if delivery.redelivered]
            fresh = [delivery for delivery in batch if not delivery.redelivered]
            if again:
                await self._read_again(again)
            if fresh:
                await self._read_together(fresh)

    async def _read_together(self, deliveries: Sequence[Delivery]) -> None:
        envelopes = [delivery.envelope for delivery in deliveries]
        try:
            due = await self._patiently(self.work, envelopes)
        except Exception as error:  # noqa: BLE001 - one of them cannot be handled; the others must not suffer
            log.warning("batch cannot be handled together", events=len(deliveries), error=str(error))
            for delivery in deliveries:
                await self._read_alone(delivery)
        else:
            self.after_commit(due)
            for delivery in deliveries:
                delivery.done()

    async def _read_again(self, deliveries: Sequence[Delivery]) -> None:
        """Redelivered: some are done already, and any of the others may have ended a worker before."""
        ids = [delivery.envelope.id for delivery in deliveries]
        known = await self._patiently(quarantine.known, self.database, ids)
        for delivery in deliveries:
            if delivery.envelope.id in known:
                delivery.done()
            else:
                await self._read_alone(delivery)

    async def _read_alone(self, delivery: Delivery) -> None:
        event = delivery.envelope
        while True:
            tries = await self._patiently(quarantine.begin_try, self.database, event.id)
            if tries > self.tries:
                await self._set_aside(event)
                break
            try:
                due = await self._patiently(self.work, [event])
            except Exception as error:
                log.exception("event cannot be handled", event_id=event.id, tries=tries, trace_id=event.trace_id)
                reason = f"{type(error).__name__}: {error}"
                await self._patiently(quarantine.note_failure, self.database, event.id, reason)
                await asyncio.sleep(TRY_WAIT_S * tries)
            else:
                self.after_commit(due)
                await self._patiently(quarantine.forget_tries, self.database, event.id)
                break
        delivery.done()

    async def _set_aside(self, event: Envelope) -> None:
        def set_aside() -> str:
            return quarantine.set_aside(self.database, event, node_id=self.node_id)

        reason = await self._patiently(set_aside)
        self.after_commit([])
        log.error("event is put into quarantine", event_id=event.id, reason=reason, trace_id=event.trace_id)

    async def _patiently(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call on a thread; while the database is away, again and again, with the messages in hand."""
        loop = asyncio.get_running_loop()
        waited = False
        while True:
            try:
                result = await loop.run_in_executor(self.threads, function, *args)
            except Exception as error:
                if not is_away(error):
                    raise
                why = getattr(error, "orig", None) or error
                if not waited:
                    log.warning("intake waits for the database", error=str(why))
                waited = True
                self.health.set("database", ok=False, detail=f"intake waits for it: {why}")
                await asyncio.sleep(AWAY_WAIT_S)
            else:
                if waited:
                    log.info("database is back")
                    self.health.set("database", ok=True)
                return result
