"""`vigil worker`, `vigil beat` and `vigil flower`: Celery's own commands with this project's application."""

import os
import socket
from typing import Annotated

import typer

from broker.process import LOOPBACK, load_settings
from workers.settings import FlowerSettings

ALL_QUEUES = "engine,actions.high,actions.average,actions.low"


def worker(
    queues: Annotated[str, typer.Option("-Q", "--queues", help="What it works on.")] = ALL_QUEUES,
    name: Annotated[str, typer.Option("-n", "--name", help="Unique; default: worker-<process id>.")] = "",
) -> None:
    """Run a worker: intake where `engine` is among its queues, actions where theirs are."""
    unique = name or f"worker-{os.getpid()}"
    _celery("worker", "-Q", queues, "-n", f"{unique}@{socket.gethostname()}", "--loglevel", "INFO")


def beat() -> None:
    """Run the clock of the engine: sweeper and schedules. Two are harmless."""
    _celery("beat", "--loglevel", "INFO")


def flower() -> None:
    """Run Flower on loopback, behind a login."""
    from workers.dashboard import login  # noqa: PLC0415 - only this command needs it

    settings = load_settings(FlowerSettings)
    user, password = login(settings)
    # By the environment, so that the password is not on the command line for everybody to read.
    os.environ["FLOWER_BASIC_AUTH"] = f"{user}:{password}"
    typer.echo(f"Flower: http://{LOOPBACK}:{settings.flower.port}  user {user}, password in the settings or data_dir")
    _celery("flower", f"--address={LOOPBACK}", f"--port={settings.flower.port}")


def _celery(*arguments: str) -> None:
    from workers.app import app  # noqa: PLC0415 - `vigil worker --help` answers without Celery

    app.start(argv=list(arguments))
