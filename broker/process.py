"""What every process needs once: settings, structured logs, health, metrics and the operations port."""

import gc
import json
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

import structlog
from prometheus_client import REGISTRY, generate_latest
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

ENV_PREFIX = "VIGIL_"
LOOPBACK = "127.0.0.1"

# --- Settings ---------------------------------------------------------------------------------------------------


class Group(BaseModel):
    """A group of settings, e.g. all that begin with VIGIL_BROKER__."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _broker_url(url: str) -> str:
    if url != "memory://" and not url.startswith(("amqp://", "amqps://")):
        raise ValueError("give memory:// or an address of RabbitMQ such as amqp://vigil:secret@127.0.0.1:5672/vigil")
    return url


class BrokerSettings(Group):
    """Where RabbitMQ is and how hard it is used."""

    url: Annotated[SecretStr, AfterValidator(lambda url: SecretStr(_broker_url(url.get_secret_value())))] = Field(
        SecretStr("memory://"),
        description="amqp:// or amqps://user:password@host:port/vhost, or memory:// inside one process.",
    )
    management_url: str = Field("", description="RabbitMQ's management API, e.g. http://127.0.0.1:15672.")
    partitions: int = Field(2, ge=1, le=64, description="Queues per lane; changing it is a documented drain.")
    confirm_timeout_s: float = Field(5.0, gt=0, le=60, description="Silence after which a publish counts as failed.")
    window: int = Field(500, ge=1, le=10_000, description="Messages sent ahead of their confirms.")
    prefetch: int = Field(500, ge=1, le=5_000, description="Deliveries held without having been settled.")
    heartbeat_s: int = Field(10, ge=2, le=300, description="Seconds between signs of life on a connection.")


def _database_url(url: str) -> str:
    if url and not url.startswith(("sqlite:", "postgresql+psycopg:")):
        raise ValueError("give sqlite:///path or postgresql+psycopg://user:password@host:port/database")
    return url


class DatabaseSettings(Group):
    """Where rows are kept."""

    url: Annotated[SecretStr, AfterValidator(lambda url: SecretStr(_database_url(url.get_secret_value())))] = Field(
        SecretStr(""), description="postgresql+psycopg://user:password@host/vigil; empty: SQLite files in data_dir."
    )


class TLSSettings(Group):
    """Certificates of the listening ports."""

    certificate: Path | None = Field(None, description="PEM file with the certificate chain.")
    key: Path | None = Field(None, description="PEM file with the private key.")
    ca: Path | None = Field(
        None, description="PEM file with the authorities trusted for Vigil's own servers, RabbitMQ and cameras."
    )
    allow_plain: bool = Field(default=False, description="Bind beyond loopback without TLS. Passwords travel in clear.")


def _networks(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _network(value: object) -> IPv4Network | IPv6Network:
    return ip_network(str(value), strict=True)


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


class EgressSettings(Group):
    """Which addresses cameras and webhooks may have."""

    allow: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = Field(
        (), description="Networks allowed beside public ones, comma separated, e.g. 192.168.7.0/24,127.0.0.0/8."
    )


class LogSettings(Group):
    """How much is logged and for whose eyes."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is written.")
    format: Literal["console", "json"] = Field("console", description="For people or for machines.")


class ProcessSettings(BaseSettings):
    """Settings that all processes share, read once at start and never changed.

    They come from the environment (`VIGIL_BROKER__URL`), then from the TOML file that VIGIL_CONFIG names.
    Each process has a subclass with groups of its own.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_nested_max_split=1, frozen=True, extra="ignore"
    )

    data_dir: Path = Field(Path("var/vigil"), description="Databases, keys, journals and the archive.")
    smserver_url: str = Field("http://127.0.0.1:5008", description="Where SMServer is reached.")
    broker: BrokerSettings = BrokerSettings()
    database: DatabaseSettings = DatabaseSettings()
    tls: TLSSettings = TLSSettings()
    egress: EgressSettings = EgressSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        path = os.environ.get("VIGIL_CONFIG")
        file: tuple[PydanticBaseSettingsSource, ...] = (
            (TomlConfigSettingsSource(settings_cls, toml_file=path),) if path else ()
        )
        return (init_settings, env_settings, *file)

    def database_url(self, name: str) -> str:
        """The SQLAlchemy address of a part's database: the configured one, or `<data_dir>/<name>.db`."""
        return self.database.url.get_secret_value() or f"sqlite:///{self.data_dir.absolute()}/{name}.db"


Settings = TypeVar("Settings", bound=ProcessSettings)


def variable_name(location: Iterable[int | str]) -> str:
    """The environment variable behind the place of a validation error: ("broker", "url") is VIGIL_BROKER__URL."""
    return ENV_PREFIX + "__".join(str(part) for part in location if isinstance(part, str)).upper()


def explain_settings(error: ValidationError, cls: type[ProcessSettings]) -> str:
    """What to tell who started the process: each variable, its value's problem, and an example from its help."""
    lines = ["Vigil cannot start with these settings:"]
    for problem in error.errors(include_url=False):
        names = [part for part in problem["loc"] if isinstance(part, str)]
        help_text = ""
        model: type[BaseModel] | None = cls
        for name in names:
            field = model.model_fields.get(name) if model else None
            if field is None:
                break
            help_text = field.description or ""
            annotation = field.annotation
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
        given = problem.get("input")
        shown = "" if isinstance(given, dict) or "secret" in problem["type"] else f" (given: {str(given)!r})"
        if any(word in "".join(names) for word in ("url", "password", "secret")):
            shown = ""
        lines.append(f"  {variable_name(names)}: {problem['msg'].removeprefix('Value error, ')}{shown}")
        if help_text:
            lines.append(f"      {help_text}")
    return "\n".join(lines)


def load_settings(cls: type[Settings], **given: Any) -> Settings:
    """Read the settings, or end the process with status 2 and a sentence for each wrong one."""
    try:
        return cls(**given)
    except ValidationError as error:
        _die(explain_settings(error, cls))
    except (OSError, ValueError) as error:
        toml = os.environ.get("VIGIL_CONFIG")
        _die(f"Vigil cannot read its settings{f' (VIGIL_CONFIG={toml})' if toml else ''}: {error}")


def _die(message: str) -> NoReturn:
    sys.stderr.write(message + "\n")
    raise SystemExit(2)


# --- Logs -------------------------------------------------------------------------------------------------------


def configure_logs(settings: LogSettings) -> None:
    """Send every log line, the libraries' too, through structlog to standard error.

    The event is a constant sentence and values are fields; ids always have the same keys (`camera_id`,
    `node_id`, `alarm_event_id`, `trace_id`), so one alarm can be followed across processes.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # No values of local variables: they may be passwords, tokens or tickets.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    after: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if settings.format == "json":
        after.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*after, render]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("pika", "httpx", "httpcore", "uvicorn.access", "amqp", "kombu", "alembic", "websockets"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; give it `__name__`."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def settle() -> None:
    """Leave what a process has loaded by now out of garbage collections. Call it when everything is started.

    What is loaded stays until the end; looking through it takes a tenth of a second, in which nothing is served.
    """
    gc.collect()
    gc.freeze()


# --- Health -----------------------------------------------------------------------------------------------------


class Condition(BaseModel):
    """How one part of a process is."""

    ok: bool
    detail: str
    since: float


class Health:
    """What `/health` says: one condition per part, safe to set from any thread.

    A process that waits for its broker or database is alive but not ready: it says so here and carries on
    when they are back.
    """

    def __init__(self, process: str) -> None:
        self.process = process
        self._conditions: dict[str, Condition] = {}
        self._lock = threading.Lock()

    def set(self, part: str, *, ok: bool, detail: str = "") -> None:
        """Say how a part is; `since` moves only when `ok` changes."""
        with self._lock:
            before = self._conditions.get(part)
            since = before.since if before and before.ok == ok else time.time()
            self._conditions[part] = Condition(ok=ok, detail=detail, since=since)

    @property
    def ok(self) -> bool:
        """Whether all parts are well."""
        with self._lock:
            return all(condition.ok for condition in self._conditions.values())

    def report(self) -> dict[str, Any]:
        """The body of `/health`."""
        with self._lock:
            parts = {name: condition.model_dump() for name, condition in sorted(self._conditions.items())}
        return {"process": self.process, "ok": all(part["ok"] for part in parts.values()), "parts": parts}


# --- The operations port ----------------------------------------------------------------------------------------

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class OperationsServer:
    """`/health` and `/metrics` of one process, on a thread of its own so that it answers when all else is stuck.

    `extra` adds paths: each gets the request's headers and query string and returns an `Answer`.
    """

    def __init__(
        self,
        health: Health,
        host: str,
        port: int,
        *,
        tries: int = 1,
        tls: ssl.SSLContext | None = None,
        extra: dict[str, Callable[[dict[str, str], str], Answer]] | None = None,
    ) -> None:
        routes: dict[str, Callable[[dict[str, str], str], Answer]] = {
            "/health": lambda _headers, _query: (
                200 if health.ok else 503,
                "application/json",
                json.dumps(health.report()).encode(),
            ),
            "/metrics": lambda _headers, _query: (200, "text/plain; version=0.0.4", generate_latest(REGISTRY)),
            **(extra or {}),
        }

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                route = routes.get(path)
                status, kind, body = (
                    route(dict(self.headers.items()), query) if route else (404, "text/plain", b"no such page\n")
                )
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                del format, args

        self._server = _bind(host, port, tries, Handler)
        self._server.tls = tls
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 1.0},
            name=f"operations-{self.port}",
            daemon=True,
        )

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection. Its own thread shakes hands, so that a silent peer holds up nobody."""
        connection, peer = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that hangs up or speaks no TLS is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _bind(host: str, port: int, tries: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
    for candidate in range(port, port + tries):
        try:
            return _Server((host, candidate), handler)
        except OSError:
            if candidate == port + tries - 1:
                raise
    raise AssertionError(tries)
