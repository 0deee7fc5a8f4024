"""The gateway as one object: two ports, and what keeps them up to date."""

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

from broker import topology
from broker.codec import envelope
from broker.model.messages import ConfigurationChange, NodeStateReported, SessionRevoked
from broker.model.resources import Camera, Right, Server, ServerRole
from broker.process import Health, logger
from broker.replica import Replica, Snapshot
from broker.transport import Broker, Publisher, Subscriber
from broker.trust.enrolment import enrol, stay_in_touch
from broker.trust.http import API, ServiceSession, service_client
from broker.trust.identity import Identity
from broker.trust.tls import client_context
from broker.trust.tokens import TokenChecker
from servers.gateway.data import data_api, data_app
from servers.gateway.pages import PageConfig, page_app
from servers.gateway.seats import Seats
from servers.gateway.settings import GatewaySettings
from servers.gateway.sockets import EventRelay, LiveSockets
from servers.gateway.streams import Streams
from servers.gateway.tickets import CameraDoor, TicketOffice
from servers.net.http import HttpServer
from servers.net.rtsp_client import Sink, play

log = logger(__name__)

REPORT_EVERY_S = 10.0
NODE_TIMEOUT_S = 30.0
JOIN_FIRST_S = 5.0
"""How long the configuration is not asked for because this process has not joined the site yet."""


class Gateway:
    """Serves the web client's pages and their data. `vigil/` composes it."""

    def __init__(self, settings: GatewaySettings, broker: Broker, health: Health) -> None:
        own = settings.gateway
        self._settings = settings
        self._broker = broker
        self._health = health
        self._identity = Identity.load_or_create(settings.own_dir / "identity.json", own.node_id, ServerRole.GATEWAY)
        self._checker = TokenChecker(settings.own_dir)
        self._replica = Replica.open(settings.own_dir / "replica.json")
        self._session = ServiceSession(
            self._identity, settings.smserver_url, ca=settings.tls.ca, store=settings.own_dir / "service-token"
        )
        self._client = service_client(ca=settings.tls.ca, timeout_s=NODE_TIMEOUT_S)
        seats = Seats(own.max_viewers)
        self._streams = Streams(self._pull, seats)
        secure = settings.smserver_url.startswith("https")
        self._events = EventRelay(
            settings.smserver_url, self._checker, client_context(settings.tls.ca) if secure else None
        )
        office = TicketOffice(self._checker, self._replica.access)
        self.api = data_api(
            smserver_url=settings.smserver_url,
            client=self._client,
            server_of=self._server,
            may=CameraDoor(self._checker, self._replica.access, self._camera).check,
            seats=seats,
            live=LiveSockets(office, self._streams, self._server, own.video_stream_type),
            events=self._events,
        )
        listen = partial(HttpServer, host=own.host, tls=settings.tls)
        self._data = listen(
            data_app(self.api, lambda: self._pages.port), port=own.data_port, setting="VIGIL_GATEWAY__DATA_PORT"
        )
        self._pages = listen(
            page_app(
                settings.webclient_path,
                lambda: PageConfig(data_port=self._data.port, video_stream_type=own.video_stream_type),
            ),
            port=own.page_port,
            setting="VIGIL_GATEWAY__PAGE_PORT",
        )
        self._joined = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._channels: list[Subscriber | Publisher] = []
        self._replica.on_change(self._configuration_changed)

    @property
    def page_url(self) -> str:
        """What to type into a browser."""
        return self._pages.url

    @property
    def data_url(self) -> str:
        """Where the page finds its data."""
        return self._data.url

    async def start(self) -> None:
        """Listen on both ports; joining the site and following its configuration go on in the background.

        Raises:
            PortTakenError: a port is in use.
        """
        folder = self._settings.webclient_path
        found = (folder / "index.html").is_file()
        where = f"no index.html in {folder}; see VIGIL_GATEWAY__WEBCLIENT_DIR"
        self._health.set("webclient", ok=found, detail="" if found else where)
        await self._data.start()
        try:
            await self._pages.start()
        except BaseException:
            await self._data.close()
            raise
        queues = {
            queue.row.exchange: queue
            for queue in topology.queues_of(
                "gateway", node=self._identity.id, partitions=self._settings.broker.partitions
            )
        }
        changes = self._broker.subscriber(queues[topology.CONFIG])
        notices = self._broker.subscriber(queues[topology.NOTICES])
        reports = self._broker.publisher("state")
        self._channels = [changes, notices, reports]
        self._run("join", self._join())
        self._run(
            "keys",
            stay_in_touch(self._checker, self._settings.smserver_url, health=self._health, ca=self._settings.tls.ca),
        )
        self._run("configuration", self._replica.follow(changes, self._snapshot))
        self._run("notices", self._hear(notices))
        self._run("reports", self._report(reports))

    async def close(self) -> None:
        """End all sockets, streams and tasks, and free the ports. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        channels, self._channels = self._channels, []
        for channel in channels:
            await channel.close()
        await self._streams.close()
        await self._pages.close()
        await self._data.close()
        await self._client.aclose()
        await asyncio.to_thread(self._session.close)

    # --- what the ports need ------------------------------------------------------------------------------------

    def _server(self, server_id: str) -> Server | None:
        server = self._replica.servers.get(server_id)
        return server if server and server.enabled and server.role is ServerRole.DVRSERVER else None

    def _camera(self, camera_id: str) -> Camera | None:
        return self._replica.cameras.get(camera_id)  # looked up anew: a snapshot replaces all of them

    async def _pull(self, url: str, sink: Sink, *, audio: bool) -> None:
        tls = client_context(self._settings.tls.ca) if url.startswith("rtsps:") else None
        await play(url, sink, audio=audio, tls=tls)

    # --- what goes on in the background -------------------------------------------------------------------------

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"gateway-{name}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Only joining ends by itself; another task that does is a mistake of ours, which `/health` shows."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task has ended", task=task.get_name(), exc_info=error)
            self._health.set(task.get_name(), ok=False, detail="has stopped working; restart the gateway")

    async def _join(self) -> None:
        enrolled = await enrol(
            self._identity,
            self._settings.smserver_url,
            self._settings.join_secret_path,
            control_url=self.data_url,
            health=self._health,
            ca=self._settings.tls.ca,
        )
        await asyncio.to_thread(self._checker.update, enrolled.jwks)
        self._joined.set()

    async def _snapshot(self) -> Snapshot:
        # Before the first enrolment SMServer would refuse; later it need not be waited for.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._joined.wait(), JOIN_FIRST_S)
        async with service_client(self._settings.smserver_url, auth=self._session, ca=self._settings.tls.ca) as client:
            answer = (await client.get(f"{API}/config/snapshot")).raise_for_status()
        return Snapshot.model_validate_json(answer.content, extra="ignore")

    async def _hear(self, notices: Subscriber) -> None:
        async for batch in notices.batches(100):
            for delivery in batch:
                message = delivery.envelope.message
                if isinstance(message, SessionRevoked):
                    await asyncio.to_thread(self._checker.revoke, message.session_id, message.at)
                    self._streams.end_session(message.session_id)
                    self._events.end_session(message.session_id)
                delivery.done()

    async def _report(self, publisher: Publisher) -> None:
        own = self._settings.gateway
        while True:
            state = NodeStateReported(
                node_id=own.node_id,
                role=ServerRole.GATEWAY,
                boot=0,
                revision=self._replica.revision,
                at=datetime.now(UTC),
                operations_url=f"http://{own.host}:{own.operations_port}",
            )
            said = publisher.publish(envelope(state, source=f"gateway/{own.node_id}"))
            # A report that does not arrive is replaced by the next one.
            said.add_done_callback(lambda promise: promise.cancelled() or promise.exception())
            await asyncio.sleep(REPORT_EVERY_S)

    def _configuration_changed(self, change: ConfigurationChange | None) -> None:
        del change

        def may_watch(user_id: str, camera_id: str) -> bool:
            access = self._replica.access(user_id)
            return access is not None and access.camera(camera_id, Right.LIVE)

        self._streams.recheck(may_watch, self._replica.cameras.__contains__)
