"""A node without cameras: it enrols, journals triggers and relays them, as a DVRServer does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from broker.connect import connect
from broker.journal import Journal
from broker.model.base import Priority
from broker.model.messages import TriggerActivated, TriggerEnded, TriggerKind
from broker.model.resources import ServerRole
from broker.process import Health, ProcessSettings
from broker.relay import Relay
from broker.transport import Broker
from broker.trust.enrolment import enrol
from broker.trust.identity import Identity


class TriggerNode:
    """Says that cameras have seen motion."""

    def __init__(self, journal: Journal, node_id: str) -> None:
        self.journal = journal
        self.node_id = node_id

    async def activate(self, source_id: str, lane: Priority = Priority.HIGH) -> datetime:
        """Journal the beginning of motion; returns the time that it carries."""
        return await self._append(TriggerActivated, source_id, lane)

    async def end(self, source_id: str, lane: Priority = Priority.HIGH) -> datetime:
        """Journal its end."""
        return await self._append(TriggerEnded, source_id, lane)

    async def _append(
        self, cls: type[TriggerActivated] | type[TriggerEnded], source_id: str, lane: Priority
    ) -> datetime:
        at = datetime.now(UTC)
        await self.journal.append_soon(
            lambda boot, sequence: self.fact(cls, source_id, boot=boot, sequence=sequence, at=at),
            lane=lane,
            trace_id=uuid4().hex,
        )
        return at

    def fact(
        self,
        cls: type[TriggerActivated] | type[TriggerEnded],
        source_id: str,
        *,
        boot: int,
        sequence: int,
        at: datetime | None = None,
    ) -> TriggerActivated | TriggerEnded:
        """What a detector of this node would say."""
        return cls(
            trigger=TriggerKind.MOTION,
            source_id=source_id,
            node_id=self.node_id,
            boot=boot,
            sequence=sequence,
            occurred_at=at or datetime.now(UTC),
        )


@asynccontextmanager
async def trigger_node(
    settings: ProcessSettings, folder: Path, *, node_id: str = "node-1", broker: Broker | None = None
) -> AsyncIterator[TriggerNode]:
    """A node that has enrolled and relays what it journals while the block runs."""
    health = Health("trigger-node")
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    identity = Identity.load_or_create(folder / "identity.json", node_id, ServerRole.DVRSERVER)
    await enrol(
        identity,
        settings.smserver_url,
        settings.data_dir / "keys" / "join-secret",
        control_url="http://127.0.0.1:9",
        stream_url="rtsp://127.0.0.1:9",
    )
    own = broker is None
    broker = broker or connect(settings.broker, name="trigger-node", health=health)
    if own:
        await broker.start()
    journal = Journal.open(folder / "journal.db", node_id)
    relay = asyncio.create_task(Relay(journal, broker, name="journal", health=health).run())
    try:
        yield TriggerNode(journal, node_id)
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        if own:
            await broker.close()
        journal.close()
