"""A private RabbitMQ and PostgreSQL on this machine: for `make up`, `make smoke BROKER=rabbitmq`, benches and tests.

Each lives in a folder of its own, on free ports of 127.0.0.1, with its own passwords, and ends with its object.
Nothing that is installed as a service is touched.
"""

import base64
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self
from zlib import crc32

import typer

from vigil.free_ports import LOOPBACK, free_port

START_S = 60.0
STOP_S = 20.0

RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script itself: Debian's wrapper in /usr/sbin insists on root or the user rabbitmq."""


class LocalServiceError(Exception):
    """A private service is not installed or did not start; the text says what to do."""


PERMISSIONS = b'{"configure": ".*", "write": ".*", "read": ".*"}'
"""Of a virtual host's owner."""


class _Service:
    """A process in a folder."""

    name: str

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return when it answers. Data of an earlier start are there again."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it in an orderly way; the data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        self._end(signal.SIGKILL)

    def _launch(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the command is put together here
                command,
                env=dict(environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not self.running:
                break
            if self._answers():
                return
            time.sleep(0.05)
        self.kill()
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise LocalServiceError(f"{self.name} did not start; the end of {log}:\n{tail}")

    def _answers(self) -> bool:
        raise NotImplementedError


class LocalRabbitMQ(_Service):
    """A RabbitMQ node with a virtual host `vigil`. Ports and password stay the same over restarts."""

    name = "RabbitMQ"

    def __init__(self, path: Path, *, management: bool = False, more: Sequence[str] = ()) -> None:
        """`more`: further lines of rabbitmq.conf."""
        super().__init__(path)
        self._management = management
        self._more = tuple(more)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._password = secrets.token_urlsafe(12)
        self.port = free_port()
        self.management_port = free_port()
        self._distribution_port = free_port()
        self._epmd_port = free_port()

    @staticmethod
    def missing() -> str:
        """What is not installed, in a sentence; empty when all is there."""
        if RABBITMQ_SERVER.exists() and shutil.which("epmd"):
            return ""
        return "RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)"

    @property
    def url(self) -> str:
        """For VIGIL_BROKER__URL."""
        return f"amqp://vigil:{self._password}@{LOOPBACK}:{self.port}/vigil"

    @property
    def management_url(self) -> str:
        """For VIGIL_BROKER__MANAGEMENT_URL; it answers only with `management=True`."""
        return f"http://{LOOPBACK}:{self.management_port}"

    def start(self) -> None:
        """See the base class; about 5 s."""
        if self.running:
            return
        if self.missing():
            raise LocalServiceError(self.missing())
        home = self.path / "home"
        home.mkdir(parents=True, exist_ok=True)
        (self.path / "plugins").write_text("[rabbitmq_management].\n" if self._management else "[].\n")
        (self.path / "rabbitmq.conf").write_text(self._configuration())
        environment = self._environment(home)
        if self._epmd is None or self._epmd.poll() is not None:
            # Started here, epmd ends with us; started by Erlang it would stay for ever.
            self._epmd = subprocess.Popen(  # noqa: S603 - the command is put together here
                [str(shutil.which("epmd")), "-port", str(self._epmd_port), "-address", LOOPBACK],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait_for_epmd()
        log = self.path / "console.log"
        self._launch([str(RABBITMQ_SERVER)], environment, log)
        self._wait(log)

    @property
    def mapper_pid(self) -> int:
        """Of epmd, Erlang's port mapper, which outlives `kill`."""
        assert self._epmd is not None
        return self._epmd.pid

    def stop(self) -> None:
        """End the node and its port mapper; the data stay."""
        super().stop()
        epmd, self._epmd = self._epmd, None
        if epmd is not None:
            epmd.kill()
            epmd.wait(STOP_S)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node, e.g. `ctl("list_queues", "name", "messages")`."""
        script = RABBITMQ_SERVER.with_name("rabbitmqctl")
        done = subprocess.run(  # noqa: S603 - the script of the installation
            [str(script), "-q", *arguments],
            env=self._environment(self.path / "home"),
            capture_output=True,
            text=True,
            check=True,
            timeout=START_S,
        )
        return done.stdout

    def sync(self) -> None:
        """Put new queues and virtual hosts on disk before a `kill`: RabbitMQ 3 does so only after a second or so.

        A queue whose name was not yet in the directory of its Raft system comes back as an empty member that never
        holds an election: reading it is answered with 541 for ever. Once the name is there messages need no such
        help: what a quorum queue has confirmed is on disk.
        """
        self.ctl(
            "eval",
            "[dets:sync(Table) || Table <- dets:all()],"
            " case erlang:function_exported(mnesia, sync_log, 0) of true -> mnesia:sync_log(); _ -> ok end.",
        )

    def make_vhost(self, name: str) -> str:
        """Make an empty virtual host through the management API and return its address."""
        base = f"{self.management_url}/api"
        authority = base64.b64encode(f"vigil:{self._password}".encode()).decode()
        for path, body in ((f"vhosts/{name}", b"{}"), (f"permissions/{name}/vigil", PERMISSIONS)):
            request = urllib.request.Request(  # noqa: S310 - an http address put together here
                f"{base}/{path}",
                data=body,
                method="PUT",
                headers={"Authorization": f"Basic {authority}", "Content-Type": "application/json"},
            )
            urllib.request.urlopen(request, timeout=STOP_S).close()  # noqa: S310 - the same
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def _wait_for_epmd(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._epmd_port), timeout=1):
                return
            time.sleep(0.02)
        raise LocalServiceError("epmd, Erlang's port mapper, did not start")

    def _configuration(self) -> str:
        lines = [
            f"listeners.tcp.1 = {LOOPBACK}:{self.port}",
            "default_user = vigil",
            f"default_pass = {self._password}",
            "default_vhost = vigil",
            "disk_free_limit.absolute = 50MB",
            "raft.wal_max_size_bytes = 67108864",
            "log.console = false",
            "log.file.level = warning",
        ]
        if self._management:
            lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {self.management_port}"]
        return "\n".join([*lines, *self._more]) + "\n"

    def _environment(self, home: Path) -> dict[str, str]:
        path = self.path
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"vigil{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(path / "mnesia"),
            "RABBITMQ_LOG_BASE": str(path / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(path / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(path / "no-environment-file"),
            "RABBITMQ_CONFIG_FILE": str(path / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(path / "no-advanced-file"),
            "RABBITMQ_PID_FILE": str(path / "pid"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(path / "feature-flags"),
            # Loopback only, and no busy waiting of idle schedulers.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }

    def _answers(self) -> bool:
        """Whether one can sign in (port and protocol are there before the virtual host is), and manage."""
        import pika  # noqa: PLC0415 - only who runs RabbitMQ needs its client
        from pika.exceptions import AMQPError  # noqa: PLC0415 - the same

        logging.getLogger("pika").setLevel(logging.CRITICAL)  # it reports each early try with a traceback
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=2).close()
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
            if self._management:
                socket.create_connection((LOOPBACK, self.management_port), timeout=2).close()
        except (OSError, AMQPError):
            return False
        return True


class LocalPostgreSQL(_Service):
    """A PostgreSQL cluster. It never runs as root: root's is run by the user `postgres`."""

    name = "PostgreSQL"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.port = free_port()
        self._password = ""

    @staticmethod
    def missing() -> str:
        """What is not installed, in a sentence; empty when all is there."""
        return "" if _postgresql_bin() else "PostgreSQL is not installed (Debian: apt-get install postgresql)"

    @property
    def url(self) -> str:
        """For VIGIL_DATABASE__URL."""
        return self.url_of("vigil")

    def url_of(self, database: str) -> str:
        """The address of another database of this cluster."""
        return f"postgresql+psycopg://vigil:{self._password}@{LOOPBACK}:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """Where the cluster lies: in `path`, or in /var/tmp where user `postgres` could not enter `path`."""
        if os.geteuid() != 0 or _everybody_may_enter(self.path):
            return self.path / "cluster"
        return Path(f"/var/tmp/vigil-postgresql-{crc32(str(self.path).encode()):08x}")  # noqa: S108 - mode 0700

    def start(self) -> None:
        """See the base class; about 2 s the first time."""
        if self.running:
            return
        folder = _postgresql_bin()
        if folder is None:
            raise LocalServiceError(self.missing())
        self.path.mkdir(parents=True, exist_ok=True)
        secret = self.path / "postgresql-password"
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster(folder, secret)
        self._password = secret.read_text().strip()
        log = self.path / "postgresql.log"
        options = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_postgres(), str(folder / "postgres"), "-D", str(self.data), *arguments]
        self._launch(command, _plain(), log)
        deadline = time.monotonic() + STOP_S
        while self._ended_early() and time.monotonic() < deadline:
            # Children of a killed server need a moment to notice, and hold its shared memory until then.
            time.sleep(0.1)
            self._launch(command, _plain(), log)
        self._wait(log)
        self._make_database("vigil")

    def _ended_early(self) -> bool:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(0.2) != 0
        return False

    def stop(self) -> None:
        """End it at once but in order (fast shutdown); the data stay."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        """Delete the data."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def make_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        self._make_database(name)
        return self.url_of(name)

    def _make_cluster(self, folder: Path, secret: Path) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(16) + "\n")
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres", "postgres")
        command = [str(folder / "initdb"), "-D", str(self.data), "-U", "vigil", "-E", "UTF8", "--locale=C.UTF-8"]
        with tempfile.NamedTemporaryFile() as password:
            password.write(secret.read_bytes())
            password.flush()
            if os.geteuid() == 0:
                shutil.chown(password.name, "postgres", "postgres")
            done = subprocess.run(  # noqa: S603 - the command is put together here
                [*_as_postgres(), *command, "--auth=scram-sha-256", f"--pwfile={password.name}", "--no-sync"],
                env=_plain(),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise LocalServiceError(f"initdb did not work: {done.stderr}")

    def _make_database(self, name: str) -> None:
        import psycopg  # noqa: PLC0415 - only who runs PostgreSQL needs its driver

        address = self.url_of("postgres").replace("+psycopg", "")
        statement = psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
        with (
            psycopg.connect(address, autocommit=True) as connection,
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
        ):
            connection.execute(statement)

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - see _make_database

        try:
            psycopg.connect(self.url_of("postgres").replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _postgresql_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    command = shutil.which("initdb")
    return Path(command).resolve().parent if command else None


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def _plain() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _everybody_may_enter(path: Path) -> bool:
    folders = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in folders)


def beside(
    command: Annotated[list[str], typer.Argument(help="What to run, behind `--`.")],
    path: Annotated[Path, typer.Option(help="Where the services keep their data between runs.")] = Path("var/local"),
) -> None:
    """Run a command beside a private RabbitMQ and PostgreSQL, whose addresses it finds in its environment."""
    for service in (LocalRabbitMQ, LocalPostgreSQL):
        if missing := service.missing():
            sys.stderr.write(f"{missing}\n")
            raise SystemExit(1)
    raise SystemExit(run(command, path.absolute()))


def run(command: Sequence[str], path: Path, *, management: bool = False) -> int:
    """Run a command with VIGIL_BROKER__URL and VIGIL_DATABASE__URL of private services; returns its exit status."""
    rabbitmq, postgresql = LocalRabbitMQ(path / "rabbitmq", management=management), LocalPostgreSQL(path / "postgresql")
    sys.stderr.write("Starting a private RabbitMQ and PostgreSQL ...\n")
    with rabbitmq, postgresql:
        environment = {
            **os.environ,
            "VIGIL_BROKER__URL": rabbitmq.url,
            "VIGIL_DATABASE__URL": postgresql.url,
        }
        if management:
            environment["VIGIL_BROKER__MANAGEMENT_URL"] = rabbitmq.management_url
        with subprocess.Popen(list(command), env=environment) as child:  # noqa: S603 - the user's own command
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:  # the terminal has told the child, too: wait for its orderly end
                    continue
