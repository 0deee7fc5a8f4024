"""Everything on one machine in one process: the embedded default."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from broker.connect import connect
from broker.process import Health, ProcessSettings, configure_logs, load_settings, logger
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerSettings
from servers.net.http import PortTakenError
from servers.net.serve import open_operations, until_stopped

log = logger(__name__)


class Site(NamedTuple):
    """Where the parts of a running site are reached."""

    api_url: str
    control_url: str
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


async def run_site(settings: ProcessSettings, ready: Callable[[Site], Awaitable[None]]) -> None:
    """Start all parts, call `ready` when they listen, and stop everything cleanly at a signal.

    The DVRServer comes first, because every second before it runs is a second that is not recorded.
    """
    async with AsyncExitStack() as stack:
        dvr_settings = load_settings(DVRServerSettings)
        dvr_health = _operations(
            stack, "dvrserver", dvr_settings.dvrserver.host, dvr_settings.dvrserver.operations_port
        )
        dvr_broker = connect(settings.broker, name="dvrserver", health=dvr_health)
        await dvr_broker.start()
        stack.push_async_callback(dvr_broker.close)
        dvrserver = DVRServer(dvr_settings, dvr_broker, dvr_health)
        stack.push_async_callback(dvrserver.close)
        await dvrserver.start()

        from servers.gateway.server import Gateway  # noqa: PLC0415 - recording starts before these are loaded
        from servers.gateway.settings import GatewaySettings  # noqa: PLC0415 - the same
        from servers.smserver.server import SMServer  # noqa: PLC0415 - the same
        from servers.smserver.settings import SMServerSettings  # noqa: PLC0415 - the same
        from vigil.migrate import migrate_all  # noqa: PLC0415 - the same

        await asyncio.to_thread(migrate_all, settings)
        sm_settings = load_settings(SMServerSettings)
        sm_health = _operations(stack, "smserver", sm_settings.smserver.host, sm_settings.smserver.operations_port)
        sm_broker = connect(settings.broker, name="smserver", health=sm_health)
        await sm_broker.start()
        stack.push_async_callback(sm_broker.close)
        smserver = SMServer(sm_settings, sm_broker, sm_health)
        stack.push_async_callback(smserver.close)
        await smserver.start()

        gateway_settings = load_settings(GatewaySettings)
        own = gateway_settings.gateway
        gateway_health = _operations(stack, "gateway", own.host, own.operations_port)
        gateway_broker = connect(settings.broker, name="gateway", health=gateway_health)
        await gateway_broker.start()
        stack.push_async_callback(gateway_broker.close)
        gateway = Gateway(gateway_settings, gateway_broker, gateway_health)
        stack.push_async_callback(gateway.close)
        await gateway.start()

        from workers.embedded import EmbeddedEngine  # noqa: PLC0415 - Celery and Flower load while cameras record
        from workers.settings import EngineSettings, FlowerSettings  # noqa: PLC0415 - the same

        engine_settings = load_settings(EngineSettings)
        engine_health = _operations(stack, "engine", "127.0.0.1", engine_settings.engine.operations_port)
        engine_broker = connect(settings.broker, name="engine", health=engine_health)
        engine = EmbeddedEngine(engine_settings, engine_broker, engine_health)
        stack.push_async_callback(asyncio.to_thread, engine.close)
        await asyncio.to_thread(engine.start)
        flower = load_settings(FlowerSettings).flower
        await ready(
            Site(
                api_url=smserver.url,
                control_url=dvrserver.control_url,
                stream_url=dvrserver.stream_url,
                page_url=gateway.page_url,
                flower_url=f"http://127.0.0.1:{flower.port}",
                flower_login="",
                first_password=smserver.first_password,
                settings=settings,
            )
        )
        await until_stopped()
        log.info("everything stops")


def _operations(stack: AsyncExitStack, process: str, host: str, port: int) -> Health:
    health = Health(process)
    server = open_operations(health, host, port, f"VIGIL_{process.upper()}__OPERATIONS_PORT")
    stack.callback(server.close)
    return health


async def print_addresses(site: Site) -> None:
    """The banner of `vigil up`."""
    lines = [
        "",
        "Vigil is up.",
        f"  {describe_transport(site.settings)}",
        f"  Web client   {site.page_url}",
        f"  API          {site.api_url}",
        f"  Streams      {site.stream_url}/camera/ID/main",
        f"  Flower       {site.flower_url}",
    ]
    if site.first_password:
        lines.append(f"  Sign in as admin with the one-time password {site.first_password} (it is not shown again).")
    lines += ["  Ctrl-C stops everything.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def run(settings: ProcessSettings, ready: Callable[[Site], Awaitable[None]]) -> None:
    """`run_site`, from a synchronous `main`."""
    configure_logs(settings.log)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        asyncio.run(run_site(settings, ready))
    except PortTakenError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error


def up() -> None:
    """Run everything on this machine until Ctrl-C."""
    run(load_settings(ProcessSettings), print_addresses)
