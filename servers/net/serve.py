"""The life of one server process: read settings, log, listen, wait for a signal, stop cleanly."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Protocol

from broker.connect import connect
from broker.errors import BrokerError
from broker.process import Health, OperationsServer, ProcessSettings, TLSSettings, configure_logs, logger, settle
from broker.transport import Broker
from broker.trust.errors import TrustError
from broker.trust.tls import server_context
from servers.net.errors import PortTakenError

log = logger(__name__)


class Listener(Protocol):
    """What all servers have in common."""

    async def start(self) -> None:
        """Return when it listens."""
        ...

    async def close(self) -> None:
        """End its tasks and free its ports."""
        ...


def stop_signal() -> asyncio.Event:
    """Set at the first SIGINT or SIGTERM from now on. Take it before anybody is told that the process is up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def open_operations(
    health: Health, host: str, port: int, setting: str, *, tries: int = 1, tls: TLSSettings | None = None
) -> OperationsServer:
    """Start the operations port, the first free one of `tries`. Without `tls`, bind it to loopback only.

    Raises:
        PortTakenError: the port is in use; names its setting.
        PlainRefusedError: others could reach it and there is no certificate.
    """
    context = server_context(tls, host, setting.replace("OPERATIONS_PORT", "HOST")) if tls else None
    try:
        return OperationsServer(health, host, port, tries=tries, tls=context).start()
    except OSError as error:
        raise PortTakenError(host, port, setting) from error


async def serve(
    process: str,
    settings: ProcessSettings,
    operations: tuple[str, int],
    make: Callable[[Broker, Health], Listener],
) -> None:
    """Run one server until a signal. `operations` is the host and port of `/health` and `/metrics`."""
    health = Health(process)
    async with AsyncExitStack() as stack:
        setting = f"VIGIL_{process.upper()}__OPERATIONS_PORT"
        port = open_operations(health, *operations, setting, tls=settings.tls)
        stack.callback(port.close)
        broker = connect(settings.broker, name=process, health=health, ca=settings.tls.ca)
        await broker.start()
        stack.push_async_callback(broker.close)
        server = make(broker, health)
        stack.push_async_callback(server.close)
        await server.start()
        settle()
        stop = stop_signal()
        log.info("process started", process=process)
        await stop.wait()
        log.info("process stops", process=process)


def run(
    process: str,
    settings: ProcessSettings,
    operations: tuple[str, int],
    make: Callable[[Broker, Health], Listener],
) -> None:
    """`serve`, from a synchronous `main`: what the operator must know is one line on standard error."""
    configure_logs(settings.log)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    with sentences():
        asyncio.run(serve(process, settings, operations, make))


@contextmanager
def sentences() -> Iterator[None]:
    """End the process with one line for what the operator can mend: a taken port, a damaged key, no certificate."""
    try:
        yield
    except (PortTakenError, TrustError, BrokerError) as error:
        sys.stderr.write(f"Vigil cannot start: {error}\n")
        raise SystemExit(1) from error
