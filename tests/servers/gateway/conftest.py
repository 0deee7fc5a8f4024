"""A site in small: a real SMServer and Gateway, and a node whose camera is a LiveStream."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from websockets.asyncio.client import connect

from broker.memory import Hub, MemoryBroker
from broker.model.resources import Camera, ServerRole
from broker.process import Health
from broker.trust.enrolment import enrol
from broker.trust.errors import TokenRefusedError
from broker.trust.identity import Identity
from broker.trust.tls import client_context
from broker.trust.tokens import TokenChecker
from clients.sdk import AsyncClient
from servers.gateway.server import Gateway
from servers.gateway.settings import GatewayGroup, GatewaySettings
from servers.net.errors import UnauthorisedError
from servers.net.http import HttpServer
from servers.net.live import LiveStream
from servers.net.rtsp_server import RtspServer
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from servers.wire.media import AccessUnit, H264Format
from tests.databases import migrated

SPS = bytes.fromhex("6742c01fda014016ec05a808080a000003000200000300651e306540")
PPS = bytes.fromhex("68ce0fc8")
VIDEO = H264Format(sps=SPS, pps=PPS, width=1280, height=720)
STEP = 3600
"""25 pictures a second."""


def nal(body):
    return len(body).to_bytes(4, "big") + body


def picture(number, *, key=False, size=400):
    """An access unit that says its number; key frames carry their parameter sets."""
    text = b"%08d" % number
    data = nal(SPS) + nal(PPS) + nal(b"\x65" + text + bytes(size)) if key else nal(b"\x41" + text + bytes(size))
    return AccessUnit(track=0, timestamp=number * STEP, key=key, data=data, received_us=number * 40_000)


async def eventually(check, seconds=10.0):
    """Poll until `check()` is true."""
    async with asyncio.timeout(seconds):
        while True:
            if found := check():
                return found
            await asyncio.sleep(0.01)


class Node:
    """What the gateway sees of a DVRServer: streams that want a ticket, and a control port."""

    def __init__(self, folder) -> None:
        self.stream = LiveStream((VIDEO,))
        self.refuses = False
        self.tickets = []
        self.asked = []
        self.checker = TokenChecker(folder)
        self.rtsp = RtspServer(self, "127.0.0.1", 0)
        self.control = HttpServer(self._control(), "127.0.0.1", 0)
        self.number = 0

    async def authorise(self, request):
        ticket = request.query.get("ticket", "")
        try:
            if self.refuses:
                raise UnauthorisedError("not now")
            claims = self.checker.check(ticket, "ticket")
        except TokenRefusedError as error:
            raise UnauthorisedError(error.reason) from error
        self.tickets.append(ticket)
        return claims

    async def describe(self, path, query, who):
        return self.stream.formats

    def open(self, path, query, who):
        return self.stream

    def show(self, count=1, *, key_every=25, size=400):
        """Send that many pictures."""
        for _ in range(count):
            self.stream.push([picture(self.number, key=self.number % key_every == 0, size=size)])
            self.number += 1

    def _control(self):
        app = FastAPI()

        @app.get("/api/v1/{path:path}")
        async def anything(path: str, request: Request):
            self.asked.append((path, dict(request.query_params), dict(request.headers)))
            return JSONResponse({"path": path}, headers={"Vigil-Start": "1"} if path.endswith("media") else None)

        @app.post("/api/v1/{path:path}")
        async def never(path: str):
            self.asked.append((path, "POST", {}))

        return app


class Site:
    """SMServer, gateway and node, with an administrator signed in through the gateway."""

    smserver: SMServer
    gateway: Gateway
    node: Node
    admin: AsyncClient
    http: httpx.AsyncClient

    @property
    def page_origin(self):
        return self.gateway.page_url

    async def ticket(self, client=None, camera_id="gate"):
        return (await (client or self.admin).stream_ticket(camera_id)).ticket

    @asynccontextmanager
    async def live(self, ticket=None, *, camera_id="gate", stream="main", origin=None):
        """A browser's live socket, the ticket already shown."""
        url = f"{self.gateway.data_url.replace('http', 'ws')}/live/{camera_id}?stream={stream}"
        async with connect(url, origin=origin, max_size=None) as socket:
            await socket.send(json.dumps({"ticket": ticket or await self.ticket(camera_id=camera_id)}))
            yield socket


@pytest.fixture
async def site(tmp_path):
    async with AsyncExitStack() as stack:
        site = Site()
        settings = SMServerSettings(data_dir=tmp_path, smserver=SMServerGroup(port=0, operations_port=0))
        await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
        health = Health("tests")
        broker = site.broker = MemoryBroker(Hub(settings.broker.partitions), health=health)
        await broker.start()
        stack.push_async_callback(broker.close)

        site.smserver = SMServer(settings, broker, health)
        stack.push_async_callback(site.smserver.close)
        await site.smserver.start()
        site.password = site.smserver.first_password

        site.node = Node(tmp_path / "node")
        await site.node.rtsp.start()
        stack.push_async_callback(site.node.rtsp.close)
        await site.node.control.start()
        stack.push_async_callback(site.node.control.close)
        enrolled = await enrol(
            Identity.load_or_create(tmp_path / "node-1.json", "node-1", ServerRole.DVRSERVER),
            site.smserver.url,
            settings.join_secret_path,
            control_url=site.node.control.url,
            stream_url=f"rtsp://127.0.0.1:{site.node.rtsp.port}",
        )
        site.node.checker.update(enrolled.jwks)

        site.gateway = Gateway(
            GatewaySettings(
                data_dir=tmp_path, smserver_url=site.smserver.url, gateway=GatewayGroup(page_port=0, data_port=0)
            ),
            broker,
            Health("gateway"),
        )
        stack.push_async_callback(site.gateway.close)
        await site.gateway.start()

        site.http = await stack.enter_async_context(httpx.AsyncClient(verify=client_context(), trust_env=False))
        site.admin = await stack.enter_async_context(AsyncClient(site.gateway.data_url))
        await site.admin.sign_in("admin", site.password)
        async with AsyncClient(site.smserver.url) as client:
            await client.sign_in("admin", site.password)
            for camera_id in ("gate", "yard"):
                await client.cameras.add(
                    Camera(id=camera_id, name=camera_id, node_id="node-1", main_url="rtsp://192.0.2.7/main")
                )
        await eventually(lambda: site.gateway._replica.cameras.get("yard") and site.gateway._checker.ready)
        yield site


@pytest.fixture
async def alone(tmp_path):
    """A gateway whose SMServer is not there, for what it does by itself."""
    health = Health("gateway")
    broker = MemoryBroker(Hub(2), health=health)
    settings = GatewaySettings(
        data_dir=tmp_path, smserver_url="http://127.0.0.1:1", gateway=GatewayGroup(page_port=0, data_port=0)
    )
    gateway = Gateway(settings, broker, health)
    await broker.start()
    await gateway.start()
    yield gateway
    await gateway.close()
    await broker.close()


@pytest.fixture
async def http():
    async with httpx.AsyncClient(verify=client_context(), trust_env=False) as http:
        yield http
