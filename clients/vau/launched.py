"""What an application knows of the VAU that started it. Without VAU, from a checkout, all of this does nothing.

configuration = launched.configuration()          # addresses, branding, switches; none without VAU
...
launched.report_healthy()                         # once the sign-in window is on the screen

version = launched.update_offered(event.kind, event.data)     # for each event of `AsyncClient.events()`
if version and user_agrees():
    if launched.restart():
        QApplication.quit()
"""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from broker.model.base import Value, Word
from broker.model.client_configuration import ClientConfiguration, ClientSwitch, Fingerprint, ServerUrl

ENVIRONMENT = "VIGIL_VAU__LAUNCH"
"""The variable that names the file in which VAU has left what it has to say to the application."""

_outliving: list[subprocess.Popen[bytes]] = []
"""VAUs that were started and go on when this process has ended; Python warns of those that nobody holds."""


class Launch(Value):
    """What VAU tells the application it starts."""

    application: Word
    version: str
    server: ServerUrl = Field(description="The SMServer that VAU is to be asked for; where VAU has just reached it.")
    certificate: Fingerprint | None = Field(None, description="SHA-256 of the certificate that this server must show.")
    offline: bool = Field(default=False, description="Whether no SMServer answered VAU.")
    notices: tuple[str, ...] = Field((), description="What VAU has to tell the user, a sentence each.")
    configuration: ClientConfiguration | None = Field(None, description="The last one that the site has signed.")
    healthy: Path = Field(description="The file whose existence says that the application works.")
    restart: tuple[str, ...] = Field(description="The command line of VAU that starts this application again.")
    sha256: str = Field("", description="Of the release that runs: what VAU knows it by.")


@cache
def launch() -> Launch | None:
    """What VAU left for this process; none when it was not started by VAU."""
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return None
    try:
        return Launch.model_validate_json(Path(path).read_bytes(), extra="ignore")
    except (OSError, ValidationError):
        return None


def configuration() -> ClientConfiguration | None:
    """What the site wants its applications to start with; none without VAU or before the site has said anything."""
    known = launch()
    return known.configuration if known else None


def report_healthy() -> None:
    """Say that this version works: its first window is on the screen. Otherwise VAU goes back to the last good one.

    May be called more than once. It never fails: an application that works is not ended for want of a file.
    """
    known = launch()
    if known is None:
        return
    try:
        known.healthy.touch()
    except OSError:
        return


def update_offered(kind: str, data: Mapping[str, Any]) -> str | None:
    """The version to offer a restart for, if this event says that there is another one of this application.

    `kind` and `data` are those of an event of the stream; everything but `UpdateAvailable` is passed over.
    """
    known = launch()
    if known is None or kind != "UpdateAvailable" or data.get("application") != known.application:
        return None
    asked = known.configuration or ClientConfiguration()
    version = str(data.get("version_name", ""))
    if not version or version == known.version or not asked.switch(ClientSwitch.OFFER_RESTART, default=True):
        return None
    return version


def restart() -> bool:
    """Start VAU again, which starts the new version; the caller then quits. False: there is no VAU to start."""
    known = launch()
    if known is None or not known.restart:
        return False
    environment = {name: value for name, value in os.environ.items() if name not in {ENVIRONMENT, "PYTHONPATH"}}
    try:
        vau = subprocess.Popen(  # noqa: S603 - the command line that VAU itself has written down
            known.restart, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return False
    _outliving.append(vau)
    return True
