"""`vigil simulator`."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from broker.process import configure_logs, load_settings
from broker.trust.errors import TrustError
from clients.simulator.settings import SimulatorSettings

app = typer.Typer(add_completion=False)


@app.command()
def simulator(
    cameras: Annotated[int | None, typer.Option(help="How many cameras.", min=1, max=500)] = None,
    stamp: Annotated[bool | None, typer.Option("--stamp", help="Encode live, with number and time as blocks.")] = None,
) -> None:
    """Serve simulated cameras until Ctrl-C. All other settings are variables that begin with VIGIL_SIMULATOR__."""
    given = {name: value for name, value in (("cameras", cameras), ("stamp", stamp)) if value is not None}
    settings = load_settings(SimulatorSettings)
    settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update=given)})
    configure_logs(settings.log)
    try:
        asyncio.run(_serve(settings))
    except (OSError, TrustError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error


async def _serve(settings: SimulatorSettings) -> None:
    from clients.simulator.server import Simulator  # noqa: PLC0415 - `--help` answers without PyAV and FastAPI

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = Simulator(settings)
    started = asyncio.create_task(running.start())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            await stopped
    finally:
        started.cancel()
        stopped.cancel()
        await asyncio.gather(started, stopped, return_exceptions=True)
        await running.close()
