"""Everything on one machine in one process: the embedded default."""

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from broker.connect import connect
from broker.process import LOOPBACK, Health, ProcessSettings, configure_logs, load_settings, logger, settle
from broker.transport import Broker
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerSettings
from servers.net.errors import PortTakenError
from servers.net.serve import Listener, open_operations, sentences, stop_signal

log = logger(__name__)


class Site(NamedTuple):
    """Where the parts of a running site are reached."""

    api_url: str
    stream_url: str
    page_url: str
    flower_url: str
    flower_login: str
    first_password: str | None
    settings: ProcessSettings


def describe_transport(settings: ProcessSettings) -> str:
    """A sentence for the banner: what carries messages and holds rows, and what that means."""
    broker = settings.broker.url.get_secret_value()
    carrier = (
        "Messages stay inside this process (embedded broker); journal, inbox and sweeper keep alarms safe."
        if broker == "memory://"
        else "Messages travel by RabbitMQ."
    )
    rows = "PostgreSQL" if settings.database.url.get_secret_value().startswith("postgresql") else "SQLite"
    return f"{carrier} Rows are kept in {rows}."


class Parts:
    """What runs in this process: each part with its own health, operations port and broker connection."""

    def __init__(self, stack: AsyncExitStack, settings: ProcessSettings) -> None:
        self._stack = stack
        self._settings = settings

    async def attach(self, process: str, host: str, port: int) -> tuple[Broker, Health]:
        """Open a part's operations port and give it a broker connection, both closed with the stack."""
        health = Health(process)
        operations = open_operations(
            health, host, port, f"VIGIL_{process.upper()}__OPERATIONS_PORT", tls=self._settings.tls
        )
        self._stack.callback(operations.close)
        broker = connect(self._settings.broker, name=process, health=health, ca=self._settings.tls.ca)
        await broker.start()
        self._stack.push_async_callback(broker.close)
        return broker, health

    async def run(self, server: Listener) -> None:
        """Start a server; it is closed with the stack."""
        self._stack.push_async_callback(server.close)
        await server.start()


async def run_site(settings: ProcessSettings, ready: Callable[[Site], Awaitable[None]]) -> None:
    """Start all parts, call `ready` when they listen, and stop everything cleanly at a signal.

    The DVRServer comes first, because every second before it runs is a second that is not recorded.
    """
    async with AsyncExitStack() as stack:
        parts = Parts(stack, settings)
        node_settings = load_settings(DVRServerSettings)
        node = node_settings.dvrserver
        dvrserver = DVRServer(node_settings, *await parts.attach("dvrserver", node.host, node.operations_port))
        await parts.run(dvrserver)

        await asyncio.to_thread(
            _load, "servers.smserver.server", "servers.gateway.server", "vigil.migrate", "workers.embedded"
        )
        from servers.gateway.server import Gateway  # noqa: PLC0415 - recording starts before these are loaded
        from servers.gateway.settings import GatewaySettings  # noqa: PLC0415 - the same
        from servers.smserver.server import SMServer  # noqa: PLC0415 - the same
        from servers.smserver.settings import SMServerSettings  # noqa: PLC0415 - the same
        from vigil.migrate import migrate_when_possible  # noqa: PLC0415 - the same
        from workers.embedded import EmbeddedEngine  # noqa: PLC0415 - the same
        from workers.settings import EngineSettings, FlowerSettings  # noqa: PLC0415 - the same

        sm_settings = load_settings(SMServerSettings)
        sm = sm_settings.smserver
        sm_broker, sm_health = await parts.attach("smserver", sm.host, sm.operations_port)
        await migrate_when_possible(settings, sm_health)
        smserver = SMServer(sm_settings, sm_broker, sm_health)
        await parts.run(smserver)
        # With the database away the first password comes later; then it is printed alone.
        smserver.on_first_password = print_first_password

        gateway_settings = load_settings(GatewaySettings)
        pages = gateway_settings.gateway
        gateway = Gateway(gateway_settings, *await parts.attach("gateway", pages.host, pages.operations_port))
        await parts.run(gateway)

        engine_settings, flower_settings = load_settings(EngineSettings), load_settings(FlowerSettings)
        engine_health = Health("engine")
        first = engine_settings.engine.operations_port
        operations = open_operations(engine_health, LOOPBACK, first, "VIGIL_ENGINE__OPERATIONS_PORT", tries=100)
        stack.callback(operations.close)
        # Intake lives on a thread and an event loop of its own, and starts and closes this connection there.
        engine_broker = connect(settings.broker, name="engine", health=engine_health, ca=settings.tls.ca)
        engine = EmbeddedEngine(engine_settings, engine_broker, engine_health, flower=flower_settings)
        stack.push_async_callback(asyncio.to_thread, engine.close)
        try:
            await asyncio.to_thread(engine.start)
        except OSError as error:
            raise PortTakenError(LOOPBACK, flower_settings.flower.port, "VIGIL_FLOWER__PORT") from error
        settle()
        stop = stop_signal()
        await ready(
            Site(
                api_url=smserver.url,
                stream_url=dvrserver.stream_url,
                page_url=gateway.page_url,
                flower_url=f"http://{LOOPBACK}:{engine.flower_port}",
                flower_login=engine.flower_login,
                first_password=smserver.first_password,
                settings=settings,
            )
        )
        await stop.wait()
        log.info("everything stops")


def _load(*modules: str) -> None:
    """Import modules on this thread, while the event loop goes on capturing."""
    for module in modules:
        importlib.import_module(module)


async def print_addresses(site: Site) -> None:
    """The banner of `vigil up`."""
    lines = [
        "",
        "Vigil is up.",
        f"  {describe_transport(site.settings)}",
        f"  Web client   {site.page_url}",
        f"  API          {site.api_url}",
        f"  Streams      {site.stream_url}/camera/ID/main",
        f"  Flower       {site.flower_url}   ({site.flower_login})",
    ]
    lines += ["  Ctrl-C stops everything.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    if site.first_password:
        print_first_password(site.first_password)


def print_first_password(password: str) -> None:
    """The only time that anybody sees it."""
    sys.stdout.write(f"  Sign in as admin with the one-time password {password} (it is not shown again).\n\n")
    sys.stdout.flush()


def run(settings: ProcessSettings, ready: Callable[[Site], Awaitable[None]]) -> None:
    """`run_site`, from a synchronous `main`."""
    configure_logs(settings.log)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    with sentences():
        asyncio.run(run_site(settings, ready))


def up() -> None:
    """Run everything on this machine until Ctrl-C."""
    run(load_settings(ProcessSettings), print_addresses)
