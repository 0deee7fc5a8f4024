"""`make demo`: a site with simulated cameras and one motion alarm, and where to look at it."""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from broker.process import ProcessSettings, load_settings
from clients.simulator.settings import SimulatorSettings
from vigil.children import Children, wait_for_health
from vigil.seed import seed
from vigil.up import Site, describe_transport, run

DATA_DIR = "var/demo"
CLIPS_TIMEOUT_S = 170.0


def demo(cameras: Annotated[int, typer.Option(help="Simulated cameras.", min=1, max=64)] = 4) -> None:
    """Run everything with simulated cameras until Ctrl-C."""
    os.environ.setdefault("VIGIL_DATA_DIR", DATA_DIR)
    # The simulator is on loopback, which the egress policy refuses unless it is told otherwise.
    os.environ.setdefault("VIGIL_EGRESS__ALLOW", "127.0.0.0/8")
    os.environ.setdefault("VIGIL_LOG__LEVEL", "warning")
    settings = load_settings(ProcessSettings)
    simulator = load_settings(SimulatorSettings).simulator
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    control_url = f"http://127.0.0.1:{simulator.control_port}"
    with Children(settings.data_dir / "logs") as children:
        sys.stdout.write("Rendering the demo clips (only the first time) and starting the cameras ...\n")
        sys.stdout.flush()
        child = children.start("simulator", ["-m", "vigil", "simulator", "--cameras", str(cameras)])
        wait_for_health(control_url, child, timeout_s=CLIPS_TIMEOUT_S)
        run(settings, partial(_introduce, cameras, simulator.rtsp_port, control_url))


async def _introduce(cameras: int, rtsp_port: int, control_url: str, site: Site) -> None:
    """Set the site up at its first start, and print where to look."""
    kept = site.settings.data_dir / "first-start.json"
    if site.first_password:
        secret = await seed(site.api_url, "admin", site.first_password, cameras=cameras, rtsp_port=rtsp_port)
        _keep(kept, {"password": site.first_password, "stream_secret": secret})
    known = json.loads(kept.read_text()) if kept.exists() else {"password": "(as set)", "stream_secret": "SECRET"}
    stream = site.stream_url.replace("rtsp://", f"rtsp://admin:{known['stream_secret']}@")
    sys.stdout.write(
        f"""
Vigil is up, with {cameras} simulated cameras. {describe_transport(site.settings)}

  Web client     {site.page_url}
                 user admin, one-time password {known["password"]}
  Any player     ffplay -rtsp_transport tcp {stream}/camera/camera-1/main
  Flower         {site.flower_url}   ({site.flower_login})
  Make motion    curl -X POST '{control_url}/cameras/1/motion?seconds=5'

  Then watch the alarm in the web client: its footage is protected, and Flower lists the action.
  Logs and footage are under {site.settings.data_dir}; `rm -r` it to begin anew. Ctrl-C stops everything.

"""
    )
    sys.stdout.flush()


def _keep(path: Path, secrets: dict[str, str]) -> None:
    """Keep the demo's secrets for its next start, for this user's eyes only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(secrets, file)
