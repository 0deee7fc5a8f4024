"""`make smoke`: start a site headless, or take a running one, and check the main job."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from clients.cli.smoke import Target, run_checks
from vigil.children import ChildFailedError, Children, wait_for_health
from vigil.free_ports import free_ports
from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ
from vigil.seed import seed

CAMERAS = 2
PASSWORD_LINE = re.compile(rb"one-time password:? (\S+)")
START_TIMEOUT_S = 90.0


def smoke(
    broker: Annotated[Literal["memory", "rabbitmq"], typer.Option(help="What carries the messages.")] = "memory",
    site: Annotated[str, typer.Option(help="Address of a running SMServer, e.g. http://127.0.0.1:5008.")] = "",
) -> None:
    """Check the main job, a line per check; the exit status counts the failures.

    A running site is asked as VIGIL_SMOKE_USER (admin) with VIGIL_SMOKE_PASSWORD, and its simulator's control is
    VIGIL_SMOKE_SIMULATOR_URL. VIGIL_SMOKE_PAGE_URL, VIGIL_SMOKE_FLOWER_URL and VIGIL_SMOKE_FLOWER_LOGIN (user:password)
    add their checks.
    """
    if site:
        raise SystemExit(run_checks(_running(site)))
    kept = Path(tempfile.mkdtemp(prefix="vigil-smoke-"))
    failures = 1
    try:
        with ExitStack() as stack:
            failures = run_checks(started_site(stack, kept, broker).target)
    except ChildFailedError as error:
        sys.stdout.write(f"FAIL  the site starts: {error}\n")
    finally:
        if failures:
            sys.stdout.write(f"      logs are kept in {kept}/logs\n")
        else:
            shutil.rmtree(kept, ignore_errors=True)
    raise SystemExit(failures)


def _running(site: str) -> Target:
    given = {key: os.environ.get(f"VIGIL_SMOKE_{key.upper()}", "") for key in Target._fields}
    return Target(**{**given, "api_url": site, "user": given["user"] or "admin"})


class StartedSite(NamedTuple):
    """A site of our own, and the processes it consists of."""

    target: Target
    children: Children
    environment: dict[str, str]


def started_site(stack: ExitStack, folder: Path, broker: str, *, cameras: int = CAMERAS, **extra: str) -> StartedSite:
    """Start simulator and site on free ports in `folder`; all of it ends with `stack`."""
    environment = {
        **free_ports(),
        "VIGIL_DATA_DIR": str(folder),
        "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
        "VIGIL_FLOWER__USER": "smoke",
        "VIGIL_FLOWER__PASSWORD": "smoke",
        **extra,
    }
    url = {name: f"http://127.0.0.1:{environment[f'VIGIL_{name}']}" for name in _HTTP_PORTS}
    environment["VIGIL_SMSERVER_URL"] = url["SMSERVER__PORT"]
    # Clips are the same for everyone and take a minute to render: keep them between runs.
    environment.setdefault("VIGIL_SIMULATOR__CLIPS_DIR", str(Path("var/clips").absolute()))
    if broker == "rabbitmq":
        rabbitmq = stack.enter_context(LocalRabbitMQ(folder / "rabbitmq"))
        postgresql = stack.enter_context(LocalPostgreSQL(folder / "postgresql"))
        environment |= {"VIGIL_BROKER__URL": rabbitmq.url, "VIGIL_DATABASE__URL": postgresql.url}
    children = stack.enter_context(Children(folder / "logs", environment))
    simulator = children.start("simulator", ["-m", "vigil", "simulator", "--cameras", str(cameras)])
    password = _start_processes(children) if broker == "rabbitmq" else _start_up(children)
    wait_for_health(url["SIMULATOR__CONTROL_PORT"], simulator, timeout_s=180)
    for name in ("SMSERVER__OPERATIONS_PORT", "DVRSERVER__OPERATIONS_PORT", "GATEWAY__OPERATIONS_PORT"):
        wait_for_health(url[name], timeout_s=START_TIMEOUT_S)
    api_url = url["SMSERVER__PORT"]
    asyncio.run(
        seed(api_url, "admin", password, cameras=cameras, rtsp_port=int(environment["VIGIL_SIMULATOR__RTSP_PORT"]))
    )
    target = Target(
        api_url=api_url,
        user="admin",
        password=password,
        simulator_url=url["SIMULATOR__CONTROL_PORT"],
        page_url=url["GATEWAY__PAGE_PORT"],
        flower_url=url["FLOWER__PORT"],
        flower_login="smoke:smoke",
    )
    return StartedSite(target, children, environment)


_HTTP_PORTS = (
    "SMSERVER__PORT",
    "SIMULATOR__CONTROL_PORT",
    "SMSERVER__OPERATIONS_PORT",
    "DVRSERVER__OPERATIONS_PORT",
    "GATEWAY__OPERATIONS_PORT",
    "GATEWAY__PAGE_PORT",
    "FLOWER__PORT",
)


def _start_up(children: Children) -> str:
    """Everything in one process."""
    return first_password(children, "up", children.start("up", ["-m", "vigil", "up"]))


def _start_processes(children: Children) -> str:
    """Each part as a process of its own, as a cluster runs them."""
    migrate = children.start("migrate", ["-m", "vigil", "migrate"])
    if migrate.wait(START_TIMEOUT_S) != 0:
        raise ChildFailedError(f"the migrations failed: {children.log_of('migrate').read_text()[-2000:]}")
    password = first_password(children, "smserver", children.start("smserver", ["-m", "vigil", "smserver"]))
    children.start("dvrserver", ["-m", "vigil", "dvrserver"])
    children.start("gateway", ["-m", "vigil", "gateway"])
    celery = ["-m", "celery", "-A", "workers.app"]
    children.start("engine", [*celery, "worker", "-Q", "engine", "-n", "engine@local", "-P", "threads", "-c", "2"])
    actions = "actions.high,actions.average,actions.low"
    children.start("actions", [*celery, "worker", "-Q", actions, "-n", "actions@local", "-P", "threads", "-c", "8"])
    children.start("beat", [*celery, "beat"])
    children.start("flower", ["-m", "vigil", "flower"])
    return password


def first_password(children: Children, name: str, child: "subprocess.Popen[bytes]") -> str:
    """The one-time password that the first start printed."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if found := PASSWORD_LINE.search(children.log_of(name).read_bytes()):
            return found.group(1).decode()
        if child.poll() is not None:
            break
        time.sleep(0.05)
    raise ChildFailedError(f"{name} printed no one-time password: {children.log_of(name).read_text()[-2000:]}")
