import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from broker.codec import envelope
from broker.memory import Hub, MemoryBroker
from broker.model.resources import ServerRole
from broker.process import DatabaseSettings, Health
from broker.topology import queues_of
from broker.trust.identity import Identity
from broker.trust.tls import client_context
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from tests.databases import migrated

API = "/api/v1"


@dataclass
class Person:
    """Somebody who talks to SMServer over HTTP."""

    http: httpx.AsyncClient
    signed_in: dict = field(default_factory=dict)

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.signed_in['access_token']}"} if self.signed_in else {}

    async def ask(self, method, path, body=None, *, status=None, headers=None):
        answer = await self.http.request(method, API + path, json=body, headers={**self.headers, **(headers or {})})
        if status is not None:
            assert answer.status_code == status, (answer.status_code, answer.text)
        return answer

    async def get(self, path, status=200):
        return (await self.ask("GET", path, status=status)).json()

    async def post(self, path, body=None, status=201):
        answer = await self.ask("POST", path, body, status=status)
        return answer.json() if answer.content else None

    async def put(self, path, body, status=200):
        tag = (await self.ask("GET", path, status=200)).headers["ETag"]
        return (await self.ask("PUT", path, body, status=status, headers={"If-Match": tag})).json()

    async def delete(self, path, status=204):
        return await self.ask("DELETE", path, status=status)

    async def sign_in(self, user, password, status=200):
        answer = await self.ask("POST", "/sign-in", {"user": user, "password": password}, status=status)
        if answer.status_code == 200:
            self.signed_in = answer.json()
        return answer


class Site:
    """A running SMServer with its broker, its database and its first administrator."""

    def __init__(self, settings: SMServerSettings) -> None:
        self.settings = settings
        self.hub = Hub(settings.broker.partitions)
        self.password = ""
        self.people: list[httpx.AsyncClient] = []
        self.health = Health("smserver")

    @staticmethod
    def alarm(id_="door", camera_id="cam-1", **more):
        return {"id": id_, "name": id_.title(), "trigger": {"kind": "motion", "camera_id": camera_id}, **more}

    @staticmethod
    def camera(id_="cam-1", node_id="node-1", **more):
        return {"id": id_, "name": id_.title(), "node_id": node_id, "main_url": "rtsp://192.0.2.7/main", **more}

    async def start(self):
        self.broker = MemoryBroker(self.hub, health=self.health)
        await self.broker.start()
        self.server = SMServer(self.settings, self.broker, self.health)
        await self.server.start()
        self.password = self.server.first_password or self.password
        return self

    async def stop(self):
        for http in self.people:
            await http.aclose()
        self.people.clear()
        await self.server.close()
        await self.broker.close()

    async def restart(self):
        await self.stop()
        await self.start()

    @staticmethod
    async def eventually(check, seconds=10.0):
        """Poll until `check()` is true; its last value is returned."""
        async with asyncio.timeout(seconds):
            while True:
                value = check()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(0.02)

    def stranger(self) -> Person:
        http = httpx.AsyncClient(
            verify=client_context(), base_url=self.server.url, timeout=20, headers={"User-Agent": "tests/1"}
        )
        self.people.append(http)
        return Person(http)

    async def person(self, user, password) -> Person:
        person = self.stranger()
        await person.sign_in(user, password, status=200)
        return person

    async def admin(self) -> Person:
        return await self.person("admin", self.password)

    async def operator(self, admin, *, name="olga", rights=("live", "acknowledge"), cameras=(), alarms=()) -> Person:
        await admin.post(
            "/profiles",
            {
                "id": f"{name}s",
                "name": name,
                "rights": list(rights),
                "camera_ids": list(cameras),
                "alarm_ids": list(alarms),
            },
        )
        await admin.post("/users", {"id": name, "name": name, "profile_id": f"{name}s", "password": "correct horse"})
        return await self.person(name, "correct horse")

    def identity(self, node_id="node-1", role=ServerRole.DVRSERVER, folder="") -> Identity:
        return Identity.load_or_create(self.settings.data_dir / f"identity{folder}-{node_id}.json", node_id, role)

    def join_secret(self) -> str:
        return self.settings.join_secret_path.read_text().strip()

    async def enrol(self, identity, *, status=200, secret=None):
        body = {
            "join_secret": secret or self.join_secret(),
            "identity": identity.public().model_dump(mode="json"),
            "control_url": "http://127.0.0.1:5009",
            "stream_url": "rtsp://127.0.0.1:5011",
        }
        return (await self.stranger().ask("POST", "/enrolments", body, status=status)).json()

    async def service(self, identity) -> Person:
        person = self.stranger()
        assertion = identity.sign_assertion("smserver")
        person.signed_in = await person.post("/service-tokens", {"assertion": assertion}, status=200)
        return person

    def listen(self, reader, name, node="node-1"):
        queue = next(q for q in queues_of(reader, node=node, partitions=2) if q.row.name.startswith(name))
        return Listener(self.broker.subscriber(queue))

    async def say(self, *messages, source="engine/engine-1"):
        publisher = self.broker.publisher("tests")
        await asyncio.gather(*(publisher.publish(envelope(message, source=source)) for message in messages))
        await publisher.close()


class Listener:
    """What a reader of the bus has heard so far."""

    def __init__(self, subscriber) -> None:
        self.heard = []
        self.subscriber = subscriber
        self._task = asyncio.create_task(self._listen())

    async def _listen(self):
        async for batch in self.subscriber.batches(100):
            for delivery in batch:
                self.heard.append(delivery.envelope.message)
                delivery.done()

    async def ready(self):
        await self.subscriber.ready()
        return self

    async def close(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.subscriber.close()


def settings_in(tmp_path, url="", **smserver):
    return SMServerSettings(
        data_dir=tmp_path,
        database=DatabaseSettings(url=url),
        smserver=SMServerGroup(port=0, operations_port=0, **smserver),
    )


@asynccontextmanager
async def running(settings):
    await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
    site = await Site(settings).start()
    try:
        yield site
    finally:
        await site.stop()


@pytest.fixture
def make_site(tmp_path):
    """A site with settings of the test's own: `async with make_site(throttle_tries=2) as site`."""
    return lambda url="", **smserver: running(settings_in(tmp_path, url, **smserver))


@pytest.fixture
async def site(tmp_path):
    async with running(settings_in(tmp_path)) as site:
        yield site


@pytest.fixture
async def admin(site):
    return await site.admin()


@pytest.fixture
async def node(site):
    identity = site.identity()
    await site.enrol(identity)
    return identity
