"""Starts an application from its tree, and watches a version that has not yet shown that it works."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from broker.model.releases import Release
from clients.vau.errors import DiskError
from clients.vau.launched import ENVIRONMENT, Launch
from clients.vau.place import Place, Tree

LOOK_S = 0.05
END_S = 5.0
"""What does not work has so long to end by itself when it is asked to."""


class Started(NamedTuple):
    """A running application."""

    process: "subprocess.Popen[bytes]"
    healthy: Path


def start(place: Place, tree: Tree, release: Release, launch: Launch) -> Started:
    """Run the application with VAU's own Python.

    `-P`, `-s` and a bare PYTHONPATH keep out whatever lies in the present folder or in the user's own site-packages;
    a self-contained tree does without VAU's libraries too (`-S`).

    Raises:
        DiskError: what VAU tells the application cannot be written.
    """
    try:
        place.launches.mkdir(exist_ok=True, mode=0o700)
        folder = Path(mkdtemp(prefix="", dir=place.launches))
        told = launch.model_copy(update={"healthy": folder / "healthy", "sha256": tree.sha256})
        (folder / "launch.json").write_text(told.model_dump_json())
    except OSError as error:
        raise DiskError(f"{place.launches} cannot be written: {error.strerror}.") from error
    kept_out = {"PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in kept_out}
    environment["PYTHONPATH"] = str(place.folder_of(tree) / "lib")
    environment[ENVIRONMENT] = str(folder / "launch.json")
    options = ["-P", "-s", "-S"] if release.self_contained else ["-P", "-s"]
    with place.held(tree) as handle:
        process = subprocess.Popen(  # noqa: S603 - from a list of files that the release's keys have signed
            [sys.executable, *options, "-m", release.module, *release.arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(handle,),
        )
    sys.audit("vigil.vau.step", "started")
    return Started(process, folder / "healthy")


def watch(started: Started, seconds: float) -> str:
    """Wait until the application reports healthy, and return an empty text; otherwise say what went wrong.

    One that ends without an error before it has reported was closed by its user: nothing is wrong, but nothing is
    proven either, so the text is a single `?`.
    """
    deadline = time.monotonic() + seconds
    while not started.healthy.exists():
        code = started.process.poll()
        if code is not None:
            if started.healthy.exists():
                return ""
            if code == 0:
                return "?"
            return f"it ended with {'signal' if code < 0 else 'status'} {abs(code)} before it reported that it works"
        if time.monotonic() >= deadline:
            _end(started.process)
            return f"it did not report within {seconds:g} seconds that it works"
        time.sleep(LOOK_S)
    return ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask, wait, insist."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
