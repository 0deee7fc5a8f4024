"""`vigil worker`, `vigil beat` and `vigil flower`: Celery's own commands with this project's application."""

import os
import socket
import sys
from typing import Annotated

import typer

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
    _celery("flower")


def _celery(*arguments: str) -> None:
    from workers.app import app  # noqa: PLC0415 - `vigil worker --help` answers without Celery

    sys.argv[1:] = arguments
    app.start(argv=list(arguments))
