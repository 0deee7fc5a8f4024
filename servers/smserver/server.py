"""SMServer: composes store, configuration, sessions, nodes, the bus and the HTTP port into one object."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from broker.outbox import OUTBOX_PAUSE_S, OutboxStore
from broker.process import Health, logger
from broker.relay import Relay
from broker.topology import BoundQueue, queues_of
from broker.transport import Broker, Subscriber
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer
from broker.trust.vault import Vault
from servers.net.http import HttpServer
from servers.smserver import alarm_log, bootstrap, conditions, tables
from servers.smserver.api.app import make_app
from servers.smserver.api.context import Services
from servers.smserver.configuration import Configuration
from servers.smserver.errors import NotReadyError
from servers.smserver.events import EventHub
from servers.smserver.housekeeping import INTERVAL_S, tidy
from servers.smserver.intake import drain, take_in
from servers.smserver.nodes import Nodes
from servers.smserver.sessions import Sessions
from servers.smserver.settings import SMServerSettings
from servers.smserver.store import Store
from servers.smserver.updates import LOOK_S, Updates
from servers.smserver.vaulting import Secrets

log = logger(__name__)

DATABASE = "database"
"""The part of `/health` that says whether rows can be kept."""

RETRY_S = 1.0
WELL_S = 10.0
"""How long a task that had failed must run before it counts as well."""
WATCH_S = 5.0
"""How often the database is looked at when nothing else does."""


class SMServer:
    """One site's SMServer. The database's schema must be there (`vigil migrate`); until then it waits and says so."""

    def __init__(self, settings: SMServerSettings, broker: Broker, health: Health) -> None:
        self.first_password: str | None = None
        """The one-time password of user `admin`, when this start was the site's first."""
        self.on_first_password: Callable[[str], None] | None = None
        """Called with that password as soon as it exists, which may be long after `start`."""
        self._settings = settings
        self._broker = broker
        self._health = health
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: dict[str, float] = {}
        self._store: Store | None = None
        self._outbox: OutboxStore | None = None
        self._http: HttpServer | None = None

    @property
    def url(self) -> str:
        """Where the API is reached, as bound."""
        assert self._http is not None, "start first"
        return self._http.url

    async def start(self) -> None:
        """Listen; with the database at hand the site is also ready for its first sign-in.

        Raises:
            PortTakenError: the port is in use.
            PlainRefusedError: others could reach it and there is no certificate.
            KeyFileError: a key file is damaged.
        """
        services, checker = await asyncio.to_thread(self._compose)
        own = self._settings.smserver
        self._http = HttpServer(
            make_app(services, checker), own.host, own.port, tls=self._settings.tls, setting="VIGIL_SMSERVER__PORT"
        )
        await self._http.start()
        ready = await self._try_prepare(services)
        self._spawn("run", self._run(services, ready=ready))

    async def close(self) -> None:
        """Stop listening, end all tasks, close the database. Safe to call twice."""
        if self._http is not None:
            await self._http.close()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._outbox is not None:
            await asyncio.to_thread(self._outbox.close)
            self._outbox = None
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
            self._store = None

    def _compose(self) -> tuple[Services, TokenChecker]:
        settings = self._settings
        keys_dir = settings.keys_dir
        keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        bootstrap.join_secret(settings.join_secret_path)
        keys = SigningKeys(keys_dir / "signing-keys.json")
        issuer = TokenIssuer(keys)
        checker = TokenChecker(keys_dir / "own-tokens", grace_s=0)
        checker.update(keys.jwks())
        store = self._store = Store(settings.database_url("smserver"))
        self._outbox = OutboxStore(store.engine, tables.outbox)
        relay = self._relay = Relay(
            self._outbox, self._broker, name="outbox", health=self._health, pause_s=OUTBOX_PAUSE_S
        )
        hub = EventHub(store)

        def committed() -> None:
            relay.wake()
            hub.wake()

        configuration = Configuration(store, Secrets(Vault(keys_dir / "master-key")), committed)
        services = Services(
            store=store,
            configuration=configuration,
            sessions=Sessions(store, issuer, settings.smserver, committed),
            nodes=Nodes(store, configuration, keys, issuer, settings.join_secret_path),
            hub=hub,
            updates=Updates(settings.updates_dir, store, committed),
            keys=keys,
            issuer=issuer,
            health=self._health,
            committed=committed,
        )
        return services, checker

    # --- In the background ----------------------------------------------------------------------------------

    async def _run(self, services: Services, *, ready: bool) -> None:
        """Wait for the database, then run everything that needs it, and keep an eye on it."""
        while not ready:
            await asyncio.sleep(RETRY_S)
            ready = await self._try_prepare(services)
        store, committed = services.store, services.committed
        self._keep("relay", self._relay.run)
        self._keep("hub", services.hub.run)
        self._keep("alarms", lambda: self._read("alarms", lambda it: take_in(it, store, alarm_log.take_in, committed)))
        self._keep("state", lambda: self._read("state", lambda it: take_in(it, store, conditions.take_in, committed)))
        self._keep("notices", lambda: self._read("notices", drain))
        self._keep("updates", lambda: self._look_for_updates(services.updates))
        self._keep("tidy", lambda: self._tidy(store))
        self._keep("watch", lambda: self._watch(store, committed))

    async def _watch(self, store: Store, committed: Callable[[], None]) -> None:
        """Look after the database, and after processes that have fallen silent."""
        listening_since = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_S)
            broker = self._health.report()["parts"].get("broker")
            if not await self._look_at(store) or (broker and not broker["ok"]):
                listening_since = time.monotonic()  # it is we who are deaf
            elif time.monotonic() - listening_since > conditions.SILENT_S:
                with contextlib.suppress(NotReadyError):
                    await asyncio.to_thread(_notice_silence, store)
                committed()

    async def _try_prepare(self, services: Services) -> bool:
        if not await self._look_at(services.store):
            return False
        try:
            password = await asyncio.to_thread(bootstrap.first_administrator, services.store, services.configuration)
        except NotReadyError as error:
            self._health.set(DATABASE, ok=False, detail=str(error))
            return False
        if password:
            self.first_password = password
            if self.on_first_password:
                self.on_first_password(password)
        return True

    async def _look_at(self, store: Store) -> bool:
        try:
            await asyncio.to_thread(store.check)
        except NotReadyError as error:
            self._health.set(DATABASE, ok=False, detail=str(error))
            return False
        self._health.set(DATABASE, ok=True, detail="answers")
        return True

    async def _tidy(self, store: Store) -> None:
        while True:
            with contextlib.suppress(NotReadyError):
                await asyncio.to_thread(tidy, store, self._settings.smserver)
            await asyncio.sleep(INTERVAL_S)

    async def _look_for_updates(self, updates: Updates) -> None:
        while True:
            with contextlib.suppress(NotReadyError):
                await asyncio.to_thread(updates.look)
            await asyncio.sleep(LOOK_S)

    async def _read(self, name: str, read: Callable[[Subscriber], Awaitable[None]]) -> None:
        queue = _queue(f"smserver.{name}", self._settings.broker.partitions)
        subscriber = self._broker.subscriber(queue, prefetch=self._settings.broker.prefetch)
        try:
            await read(subscriber)
        finally:
            await subscriber.close()  # what it had in hand comes again

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run something for ever: one that fails for a reason nobody thought of begins again after a pause."""

        async def again_and_again() -> None:
            part = f"smserver-{name}"
            while True:
                try:
                    await work()
                except NotReadyError:
                    pass
                except Exception as error:
                    log.exception("task has failed and begins again", task=part)
                    self._health.set(part, ok=False, detail=f"has failed and begins again: {type(error).__name__}")
                    failed_at = time.monotonic()
                    asyncio.get_running_loop().call_later(RETRY_S + WELL_S, self._well, part, failed_at)
                    self._failed[part] = failed_at
                else:
                    return  # its subscriber was closed: the process ends
                await asyncio.sleep(RETRY_S)

        self._spawn(name, again_and_again())

    def _well(self, part: str, failed_at: float) -> None:
        if self._failed.get(part) == failed_at:
            self._health.set(part, ok=True, detail="works again")

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"smserver-{name}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """No task ends by itself; one that does is a mistake of ours, which `/health` shows."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task has ended", task=task.get_name(), exc_info=error)
            self._health.set(task.get_name(), ok=False, detail="has stopped working; restart SMServer")


def _queue(row_name: str, partitions: int) -> BoundQueue:
    return next(queue for queue in queues_of("smserver", node="", partitions=partitions) if queue.row.name == row_name)


def _notice_silence(store: Store) -> None:
    with store.write() as connection:
        conditions.notice_silence(connection)
