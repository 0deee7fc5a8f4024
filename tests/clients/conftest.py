import asyncio
from dataclasses import dataclass

import pytest

from broker.codec import envelope
from broker.memory import Hub, MemoryBroker
from broker.model.resources import ServerRole
from broker.process import Health
from broker.trust.enrolment import enrol
from broker.trust.identity import Identity
from clients.sdk import AsyncClient
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from tests.databases import migrated


@dataclass
class Site:
    """A running SMServer, and what to sign in with."""

    settings: SMServerSettings
    broker: MemoryBroker
    server: SMServer
    password: str

    @property
    def url(self):
        return self.server.url

    async def reopen(self):
        """A new SMServer on the same database, after `server.close()`."""
        self.server = SMServer(self.settings, self.broker, Health("smserver"))
        await self.server.start()

    async def say(self, *messages):
        publisher = self.broker.publisher("tests")
        await asyncio.gather(*(publisher.publish(envelope(message, source="engine/engine-1")) for message in messages))
        await publisher.close()


@pytest.fixture
async def site(tmp_path):
    settings = SMServerSettings(data_dir=tmp_path, smserver=SMServerGroup(port=0, operations_port=0))
    await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
    health = Health("smserver")
    broker = MemoryBroker(Hub(settings.broker.partitions), health=health)
    await broker.start()
    server = SMServer(settings, broker, health)
    await server.start()
    site = Site(settings, broker, server, server.first_password)
    try:
        yield site
    finally:
        await site.server.close()
        await broker.close()


@pytest.fixture
async def admin(site):
    """An async client, signed in as the first administrator."""
    async with AsyncClient(site.url) as client:
        await client.sign_in("admin", site.password)
        yield client


@pytest.fixture
async def node(site, admin):
    """The server resource of a node that has joined."""
    identity = Identity.load_or_create(site.settings.data_dir / "node-1.json", "node-1", ServerRole.DVRSERVER)
    found = await enrol(
        identity,
        site.url,
        site.settings.join_secret_path,
        control_url="http://127.0.0.1:5009",
        stream_url="rtsp://127.0.0.1:5011",
    )
    return found.server
