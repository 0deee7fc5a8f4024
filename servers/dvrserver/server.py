"""The DVRServer: captures, records, detects, serves. Everything it needs to go on is on its own disk."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from broker.journal import Journal
from broker.model.base import Priority
from broker.model.health import HealthEvent
from broker.model.messages import CameraCondition, NodeStateReported
from broker.model.resources import ServerRole
from broker.process import Health, logger
from broker.relay import Relay
from broker.replica import Replica
from broker.transport import Broker
from broker.trust.egress import EgressPolicy
from broker.trust.identity import Identity
from broker.trust.tls import server_context
from broker.trust.tokens import TokenChecker
from servers.dvrserver import metrics
from servers.dvrserver.archive import Archive, RecordingError, Retention
from servers.dvrserver.cameras import Cameras
from servers.dvrserver.capture import Capture
from servers.dvrserver.configuration import Configuration, server_addresses
from servers.dvrserver.footage import Footage
from servers.dvrserver.motion import MotionPool
from servers.dvrserver.orders import Orders
from servers.dvrserver.probe import Probe
from servers.dvrserver.reports import Reports
from servers.dvrserver.sessions import follow_sessions
from servers.dvrserver.settings import DVRServerSettings
from servers.dvrserver.streams import Streams
from servers.dvrserver.triggers import Triggers
from servers.net.rounds import Rounds
from servers.net.rtsp_server import RtspServer

if TYPE_CHECKING:
    from servers.net.http import HttpServer

log = logger(__name__)

RESTART_S = 1.0
"""A task that failed for a reason nobody thought of begins again after this."""


class DVRServer:
    """One recording node. `start` returns when it listens; SMServer and broker are waited for in the background."""

    def __init__(self, settings: DVRServerSettings, broker: Broker, health: Health) -> None:
        self.node_id = settings.dvrserver.node_id
        self.control_url = ""
        """Where clients dial the control port, once started."""
        self.stream_url = ""
        """Where clients dial the streams, once started."""
        self._settings = settings
        self._broker = broker
        self._health = health
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cameras: Cameras | None = None
        self._triggers: Triggers | None = None
        self._reports: Reports | None = None

    async def start(self) -> None:
        """Open what is on disk, listen, and begin to capture.

        Raises:
            PortTakenError: names the setting that moves the port.
            PlainRefusedError: a port would speak without TLS beyond this machine.
            KeyFileError: the node's identity is damaged.
            JournalError: the journal cannot be opened.
        """
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End capture and all tasks, write what is open, free the ports. Safe to call twice."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def _start(self) -> None:
        settings, own, stack = self._settings, self._settings.dvrserver, self._stack
        folder = settings.node_dir
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o750)
        identity = await asyncio.to_thread(
            Identity.load_or_create, folder / "identity.json", own.node_id, ServerRole.DVRSERVER
        )
        journal = await asyncio.to_thread(Journal.open, folder / "journal.db", own.node_id)
        stack.push_async_callback(asyncio.to_thread, journal.close)
        replica = await asyncio.to_thread(Replica.open, folder / "replica.json")
        checker = TokenChecker(folder, grace_s=own.token_grace_s)
        stack.push_async_callback(self._end_tasks)
        self._keep("relay", Relay(journal, self._broker, name="journal", health=self._health).run)

        triggers = Triggers(
            journal,
            own.node_id,
            lane=lambda camera_id: replica.lanes.get(camera_id, Priority.LOW),
            open_file=folder / "open-triggers.json",
        )
        triggers.start()
        stack.push_async_callback(asyncio.to_thread, triggers.close)
        archive = await self._open_archive(stack)
        motion = MotionPool(triggers.motion, processes=own.decoder_processes, on_problem=self._motion_problem)
        stack.push_async_callback(motion.close)
        await motion.start()
        egress = EgressPolicy(settings.egress.allow, lambda: server_addresses(replica))
        reports = Reports(
            self._broker.publisher("reports"),
            own.node_id,
            boot=journal.boot,
            operations_url=f"http://{self._advertised}:{own.operations_port}",
            revision=lambda: replica.revision,
            state_s=own.state_s,
        )
        rounds = Rounds()
        cameras = Cameras(
            replica=replica,
            identity=identity,
            make_capture=lambda source, watcher: Capture(
                source,
                own,
                egress=egress,
                archive=archive,
                feed=motion.feed,
                watcher=watcher,
                rounds=rounds,
                ca=settings.tls.ca,
            ),
            motion=motion,
            triggers=triggers,
            reports=reports,
        )
        self._cameras, self._triggers, self._reports = cameras, triggers, reports
        reports.cameras = cameras.states
        stack.push_async_callback(reports.stopped)
        stack.push_async_callback(cameras.close)
        provider = Streams(
            checker=checker,
            replica=replica,
            identity=identity,
            find=cameras.find,
            archive=archive,
            recorded=cameras.recorded,
        )
        streams = RtspServer(
            provider,
            own.host,
            own.stream_port,
            tls=server_context(settings.tls, own.host, "VIGIL_DVRSERVER__HOST"),
            setting="VIGIL_DVRSERVER__STREAM_PORT",
        )
        stack.push_async_callback(streams.close)
        await streams.start()
        cameras.reconcile()  # pictures come while the control port is being set up

        control = await self._open_control(
            stack,
            checker,
            replica,
            footage=Footage(archive, motion, cameras.find),
            archive=archive,
            probe=Probe(egress, motion, cameras.credentials, settings.tls.ca),
        )
        self.control_url = control.url.replace(own.host, self._advertised) if own.advertise_host else control.url
        scheme = "rtsps" if streams.tls else "rtsp"
        self.stream_url = f"{scheme}://{self._advertised}:{streams.port}"
        replica.on_change(cameras.configuration_changed)
        replica.on_change(lambda _change: _end_forbidden(streams, provider))
        configuration = Configuration(
            settings,
            identity=identity,
            checker=checker,
            replica=replica,
            broker=self._broker,
            health=self._health,
        )
        self._keep("configuration", lambda: configuration.run(self.control_url, self.stream_url))
        self._keep("sessions", lambda: follow_sessions(settings, self._broker, checker, streams))
        self._keep("expiry", lambda: self._expire(archive, cameras))
        self._keep("journal", lambda: self._watch_journal(journal, reports))
        reports.health(HealthEvent.PROCESS_STARTED)
        self._keep("reports", reports.run)
        metrics.watch(self)
        stack.callback(metrics.forget, self)

    def state(self) -> NodeStateReported:
        """What the node says of itself, as it is now. Only once started."""
        assert self._reports is not None
        return self._reports.state()

    @property
    def _advertised(self) -> str:
        own = self._settings.dvrserver
        host = own.advertise_host or own.host
        return f"[{host}]" if ":" in host else host

    async def _open_control(
        self,
        stack: AsyncExitStack,
        checker: TokenChecker,
        replica: Replica,
        *,
        footage: Footage,
        archive: Archive,
        probe: Probe,
    ) -> "HttpServer":
        """The control port. FastAPI is loaded on a thread, so that pictures come meanwhile."""
        cameras, reports = self._cameras, self._reports
        assert cameras is not None
        assert reports is not None
        await asyncio.to_thread(import_module, "servers.dvrserver.control")
        from servers.dvrserver.control import Parts, make_app  # noqa: PLC0415 - loaded by now, see above
        from servers.net.http import HttpServer  # noqa: PLC0415 - the same
        from servers.net.policy import Policies  # noqa: PLC0415 - the same

        parts = Parts(
            state=reports.state,
            exists=lambda camera_id: camera_id in cameras.configured(),
            footage=footage,
            orders=Orders(archive),
            probe=probe,
            motion=cameras.motion,
            health=self._health,
        )
        own = self._settings.dvrserver
        control = HttpServer(
            make_app(Policies(checker, replica.access, lambda id_: _enabled(replica, id_)), parts),
            own.host,
            own.control_port,
            tls=self._settings.tls,
            setting="VIGIL_DVRSERVER__CONTROL_PORT",
        )
        stack.push_async_callback(control.close)
        await control.start()
        return control

    async def _open_archive(self, stack: AsyncExitStack) -> Archive:
        settings, loop = self._settings, asyncio.get_running_loop()

        def on_state(camera_id: str, stream: str, error: RecordingError | None) -> None:
            """Called on the archive's own thread."""
            problem = str(error) if error else ""
            loop.call_soon_threadsafe(self._recording_changed, camera_id, stream, problem)

        archive = Archive(
            settings.archive_dir,
            settings.node_dir / "index.db",
            segment_s=settings.dvrserver.segment_s,
            sync_s=settings.dvrserver.sync_s,
            on_state=on_state,
        )
        await asyncio.to_thread(archive.open)
        stack.push_async_callback(asyncio.to_thread, archive.close)
        return archive

    def _recording_changed(self, camera_id: str, stream: str, problem: str) -> None:
        if self._cameras is not None:
            self._cameras.recording_changed(camera_id, "main" if stream == "main" else "sub", problem)

    def _motion_problem(self, camera_id: str, problem: str) -> None:
        if self._cameras is not None:
            self._cameras.motion_problem(camera_id, problem)

    async def _expire(self, archive: Archive, cameras: Cameras) -> None:
        while True:
            await asyncio.sleep(self._settings.dvrserver.expire_s)
            retentions = {id_: Retention.of(camera) for id_, camera in cameras.configured().items()}
            await asyncio.to_thread(archive.expire, retentions, time.time_ns() // 1000)
            states = cameras.states()
            running = sum(state.condition is CameraCondition.RUNNING for state in states)
            self._health.set("cameras", ok=True, detail=f"{running} of {len(states)} give pictures")

    async def _watch_journal(self, journal: Journal, reports: Reports) -> None:
        """Tell when the journal's disk takes no more triggers, and when it does again."""
        trouble = ""
        while True:
            if bool(journal.trouble) != bool(trouble):
                event = HealthEvent.JOURNAL_FULL if journal.trouble else HealthEvent.JOURNAL_RESTORED
                reports.health(event, detail=journal.trouble)
            trouble = journal.trouble
            await asyncio.sleep(self._settings.dvrserver.state_s)

    def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.add(asyncio.create_task(_for_ever(name, run), name=name))

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # --- figures --------------------------------------------------------------------------------------------------

    def captures(self) -> Iterable[Capture]:
        """All connections to cameras."""
        return self._cameras.captures() if self._cameras else ()

    def triggers_written(self) -> int:
        """Triggers journalled since the start."""
        return self._triggers.written if self._triggers else 0

    def triggers_lost(self) -> int:
        """Triggers that could not be kept."""
        return self._triggers.lost if self._triggers else 0


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task again when it fails for a reason that nobody thought of."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("task failed and begins again", task=name)
        await asyncio.sleep(RESTART_S)


def _enabled(replica: Replica, server_id: str) -> bool:
    server = replica.servers.get(server_id)
    return server is not None and server.enabled


def _end_forbidden(streams: RtspServer, provider: Streams) -> None:
    """Close what somebody watches who may not any more."""
    streams.end_where(lambda who: not provider.permits(who), "the user may not watch this camera any more")
