"""The part of a worker that takes in events: an event loop on a thread of its own, beside Celery's consumer."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select

from broker.codec import envelope
from broker.model.messages import ConfigurationChange, NodeStateReported
from broker.model.resources import ServerRole
from broker.outbox import OUTBOX_PAUSE_S, OutboxStore
from broker.process import logger
from broker.relay import Relay
from broker.replica import Replica, Snapshot
from broker.topology import BoundQueue, queues_of
from broker.transport import Broker, Envelope
from broker.trust.enrolment import enrol
from broker.trust.http import API, service_client
from workers.reader import Reader, Work
from workers.rules import AlarmIndex
from workers.runtime import Runtime
from workers.seat import Seat
from workers.store.intake import Intake
from workers.store.lifecycle import Due
from workers.store.requests import Requests
from workers.store.routes import store_routes
from workers.tables import inbox, outbox

log = logger(__name__)

READER = "engine"
REPORT_S = 10.0
ANNOUNCE_S = 0.02
"""How long announcements wait for others, to be read and confirmed in one go."""
AGAIN_S = 1.0
FRESH_S = 3.0
"""How long the first events wait for SMServer to say what is configured by now; then the copy on disk counts."""
STOP_S = 10.0


class IntakeEngine:
    """Reads triggers and requests, follows the configuration and announces from the outbox.

    `start` returns at once; whatever is away, it waits for it and says so in health.
    """

    def __init__(self, runtime: Runtime, broker: Broker, *, take: Callable[[Intake], Work] | None = None) -> None:
        """`take` makes the work of the trigger queues from the intake; tests put something between."""
        self._runtime = runtime
        self._broker = broker
        self._take = take
        self._settings = runtime.settings
        self._alarms = AlarmIndex()
        self._configured = asyncio.Event()
        self._fetched = asyncio.Event()
        self._routes_changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._relay: Relay | None = None
        self._announcing = False
        self._main: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run_thread, name="intake", daemon=True)

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()
        self._started.wait(STOP_S)

    def close(self) -> None:
        """End the thread; what was not acknowledged comes again to the next worker."""
        loop, main = self._loop, self._main
        if loop is not None and main is not None:
            try:
                loop.call_soon_threadsafe(main.cancel)
            except RuntimeError:  # it has ended by itself
                return
            self._thread.join(STOP_S)

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._run_for_ever())
        except asyncio.CancelledError:
            pass
        finally:
            self._started.set()

    async def _run_for_ever(self) -> None:
        """A mistake in the program must not leave a worker that lives and takes in nothing."""
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._started.set()
        while True:
            try:
                await self._run()
            except Exception as error:
                log.exception("intake has ended by a mistake in the program and begins again")
                detail = f"it has ended and begins again: {type(error).__name__}; the log says why"
                self._runtime.health.set("intake", ok=False, detail=detail)
            await asyncio.sleep(AGAIN_S)

    async def _run(self) -> None:
        runtime = self._runtime
        async with AsyncExitStack() as stack:
            seat = Seat.take(self._settings.directory)
            stack.callback(seat.leave)
            threads = ThreadPoolExecutor(8, thread_name_prefix="intake")
            stack.callback(threads.shutdown, wait=False, cancel_futures=True)
            await self._broker.start()
            stack.push_async_callback(self._broker.close)
            replica = Replica.open(self._replica_path(seat))
            replica.on_change(partial(self._configure, replica))
            self._configure(replica, None)
            await self._wait_for_tables(threads)
            store = OutboxStore(runtime.relaxed, outbox)  # what it deletes twice was only said twice
            stack.callback(store.close)
            relay = Relay(store, self._broker, name="outbox", health=runtime.health, pause_s=OUTBOX_PAUSE_S)
            self._relay = relay
            runtime.announce = self._announce
            queues = queues_of(
                READER, node=seat.name(self._settings.engine.node_id), partitions=self._settings.broker.partitions
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(relay.run())
                group.create_task(self._join())
                group.create_task(self._store_routes(replica, threads))
                group.create_task(self._report(replica, seat.name(self._settings.engine.node_id)))
                for queue in queues:
                    group.create_task(self._for_ever(queue.name, partial(self._read, queue, replica, threads)))
                runtime.health.set("intake", ok=True)

    def _replica_path(self, seat: Seat) -> Path:
        name = "replica.json" if seat.number == 1 else f"replica-{seat.number}.json"
        return self._settings.directory / name

    # --- configuration ------------------------------------------------------------------------------------------

    def _configure(self, replica: Replica, change: ConfigurationChange | None) -> None:
        """Take up what the copy holds. A whole new index takes less than a millisecond per hundred alarms."""
        del change
        self._alarms = AlarmIndex(replica.alarms.values())
        if replica.revision:
            self._configured.set()
            self._runtime.health.set("configuration", ok=True, detail=f"revision {replica.revision}")
        else:
            self._runtime.health.set("configuration", ok=False, detail="waiting for the first copy from SMServer")
        self._routes_changed.set()

    async def _join(self) -> None:
        await enrol(
            self._runtime.identity,
            self._settings.smserver_url,
            self._settings.join_secret_file,
            health=self._runtime.health,
            ca=self._settings.tls.ca,
        )

    async def _fetch(self) -> Snapshot:
        async with service_client(
            self._settings.smserver_url, auth=self._runtime.session, ca=self._settings.tls.ca
        ) as client:
            answer = (await client.get(f"{API}/config/snapshot")).raise_for_status()
            snapshot = Snapshot.model_validate_json(answer.content, extra="ignore")
        self._fetched.set()  # whoever waits for it comes after the copy has taken it in: nothing is awaited between
        return snapshot

    async def _store_routes(self, replica: Replica, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._routes_changed.wait()
            self._routes_changed.clear()
            store = partial(
                store_routes,
                self._runtime.database,
                replica.cameras,
                replica.servers,
                replica.revision,
                fresh=self._fetched.is_set(),
            )
            try:
                await loop.run_in_executor(threads, store)
            except Exception as error:  # noqa: BLE001 - the database is away; the routes it has serve until then
                log.warning("routes to cameras cannot be stored yet", error=str(error))
                self._routes_changed.set()
                await asyncio.sleep(AGAIN_S)

    # --- queues -------------------------------------------------------------------------------------------------

    async def _read(self, queue: BoundQueue, replica: Replica, threads: ThreadPoolExecutor) -> None:
        subscriber = self._broker.subscriber(queue, prefetch=self._settings.broker.prefetch)
        try:
            if queue.row.audience == "each":
                await replica.follow(subscriber, self._fetch)
                return
            await self._configured.wait()  # before that, an event would find no alarm and be lost
            with contextlib.suppress(TimeoutError):  # nor may it miss one that was configured while nobody was here
                async with asyncio.timeout(FRESH_S):
                    await self._fetched.wait()
            own = self._settings.engine
            work = self._trigger_work() if "{lane}" in queue.row.name else self._request_work()
            reader = Reader(
                work=work,
                after_commit=self._after_commit,
                database=self._runtime.database,
                threads=threads,
                health=self._runtime.health,
                node_id=own.node_id,
                limit=own.batch,
                tries=own.tries,
            )
            await reader.read(subscriber)
        finally:
            await subscriber.close()

    def _trigger_work(self) -> Work:
        intake = Intake(self._runtime.database, self._runtime.source, self._settings.engine.wake_s)
        if self._take is not None:
            return self._take(intake)
        return lambda envelopes: intake.take_in(envelopes, self._alarms)

    def _request_work(self) -> Work:
        requests = Requests(self._runtime.database, self._runtime.source, self._settings.engine.wake_s)

        def work(envelopes: "list[Envelope]") -> list[Due]:
            return [due for one in envelopes for due in requests.apply(one)]

        return work  # type: ignore[return-value]

    def _after_commit(self, due: list[Due]) -> None:
        if due:
            self._runtime.dispatcher.send(due)
        self._announce()

    def _announce(self) -> None:
        """Wake the relay in a moment: announcements of several transactions go out together. From any thread."""
        loop = self._loop
        if loop is not None and not self._announcing:
            self._announcing = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(loop.call_later, ANNOUNCE_S, self._wake_relay)

    def _wake_relay(self) -> None:
        self._announcing = False
        if self._relay is not None:
            self._relay.wake()

    # --- life ---------------------------------------------------------------------------------------------------

    async def _for_ever(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("reader of a queue has failed and begins again", queue=name)
                await asyncio.sleep(AGAIN_S)
            else:
                return  # the subscriber was closed: the process ends

    async def _wait_for_tables(self, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()

        def look() -> None:
            with self._runtime.database.connect() as connection:
                connection.execute(select(inbox.c.id).limit(1))

        while True:
            try:
                await loop.run_in_executor(threads, look)
            except Exception as error:  # noqa: BLE001 - away, or not migrated yet
                detail = f"cannot be read; is it there, and did `vigil migrate` run? {error}"
                self._runtime.health.set("database", ok=False, detail=detail[:500])
                await asyncio.sleep(AGAIN_S)
            else:
                self._runtime.health.set("database", ok=True)
                return

    async def _report(self, replica: Replica, name: str) -> None:
        publisher = self._broker.publisher("state")
        boot = int(datetime.now(UTC).timestamp())
        while True:
            state = NodeStateReported(
                node_id=name,
                role=ServerRole.ENGINE,
                boot=boot,
                revision=replica.revision,
                at=datetime.now(UTC),
                operations_url=self._runtime.operations_url,
            )
            try:
                await publisher.publish(envelope(state, source=self._runtime.source))
            except Exception as error:  # noqa: BLE001 - the next report says the same
                log.debug("state cannot be reported", error=str(error))
            await asyncio.sleep(REPORT_S)
