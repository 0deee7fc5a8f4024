"""What could not be read or handled, for people: list, show, replay, drop.

A letter leaves the dead letters only after its replay was confirmed, or when somebody drops it.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import pika
import pika.exceptions
import typer
from pika.adapters.blocking_connection import BlockingChannel
from rich.console import Console
from rich.table import Table

from broker.codec import CE_ID, DEAD_AT, DEAD_FROM, KIND, REASON, TRACE_ID, Encoded
from broker.connect import MEMORY, shared_hub
from broker.errors import PublishRefusedError
from broker.link import parameters
from broker.memory import Hub
from broker.process import BrokerSettings, ProcessSettings, load_settings
from broker.topology import DEAD, QUEUE_VERSION, QUEUES

DEAD_QUEUE = next(f"{row.name}.{QUEUE_VERSION}" for row in QUEUES if row.exchange is DEAD)
LIMIT = 1000
"""Letters looked at in one go."""

ADDED = (REASON, DEAD_FROM, DEAD_AT, "x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason")
"""Headers that a message has only because it is a dead letter; `x-last-death-…` come with RabbitMQ 4."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    exchange: str
    routing_key: str
    headers: Mapping[str, Any]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id, or a digest of its body where even that could not be read."""
        given = self.headers.get(CE_ID)
        return str(given) if given else f"body-{sha256(self.body).hexdigest()[:12]}"

    @property
    def kind(self) -> str:
        """What it says it is."""
        return str(self.headers.get(KIND, "?"))

    @property
    def reason(self) -> str:
        """Why it is here."""
        return str(self.headers.get(REASON) or self._death.get("reason", "unknown"))

    @property
    def queue(self) -> str:
        """Where it lay before; empty if unknown."""
        return str(self.headers.get(DEAD_FROM) or self._death.get("queue", ""))

    @property
    def at(self) -> str:
        """When it came here, ISO 8601."""
        moment = self.headers.get(DEAD_AT) or self._death.get("time", "")
        return moment.isoformat() if hasattr(moment, "isoformat") else str(moment)

    @property
    def trace_id(self) -> str:
        """What follows the event through all processes."""
        return str(self.headers.get(TRACE_ID, ""))

    @property
    def _death(self) -> Mapping[str, Any]:
        deaths = self.headers.get("x-death") or [{}]
        return deaths[0] if isinstance(deaths[0], dict) else {}

    def original_headers(self) -> dict[str, Any]:
        """The headers it was sent with."""
        return {
            key: value
            for key, value in self.headers.items()
            if key not in ADDED and not key.startswith(("x-last-death", "x-delivery-count", "x-acquired-count"))
        }


class DeadLetters(Protocol):
    """The dead letters of a broker. `ids` None means all."""

    def letters(self) -> list[Letter]:
        """The oldest letters, at most LIMIT."""
        ...

    def replay(self, ids: Collection[str] | None) -> tuple[list[Letter], list[tuple[Letter, str]]]:
        """Put letters into the queue that they came from: those that arrived, and the others with the reason."""
        ...

    def drop(self, ids: Collection[str] | None) -> list[Letter]:
        """Delete letters for good."""
        ...


class MemoryDeadLetters:
    """The dead letters inside this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def letters(self) -> list[Letter]:
        """See DeadLetters."""
        return [_letter(item.encoded) for item in self._hub.items(DEAD_QUEUE)[:LIMIT]]

    def replay(self, ids: Collection[str] | None) -> tuple[list[Letter], list[tuple[Letter, str]]]:
        """See DeadLetters."""
        done: list[Letter] = []
        failed: list[tuple[Letter, str]] = []
        for item in self._hub.items(DEAD_QUEUE)[:LIMIT]:
            letter = _letter(item.encoded)
            if ids is not None and letter.id not in ids:
                continue
            try:
                self._hub.put(letter.queue, item.encoded._replace(headers=letter.original_headers()))
            except (KeyError, PublishRefusedError) as error:
                failed.append((letter, str(error)))
            else:
                self._hub.remove(DEAD_QUEUE, frozenset({item.position}))
                done.append(letter)
        return done, failed

    def drop(self, ids: Collection[str] | None) -> list[Letter]:
        """See DeadLetters."""
        found = [(item.position, _letter(item.encoded)) for item in self._hub.items(DEAD_QUEUE)[:LIMIT]]
        chosen = [(position, letter) for position, letter in found if ids is None or letter.id in ids]
        self._hub.remove(DEAD_QUEUE, frozenset(position for position, _letter in chosen))
        return [letter for _position, letter in chosen]


def _letter(encoded: Encoded) -> Letter:
    return Letter(encoded.exchange, encoded.routing_key, encoded.headers, encoded.body)


class AmqpDeadLetters:
    """The dead letters of a RabbitMQ. What was looked at and not settled is there again when the channel closes."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        self._parameters = parameters(url, ca)

    def letters(self) -> list[Letter]:
        """See DeadLetters."""
        with self._channel() as channel:
            return [letter for _tag, letter in _read(channel)]

    def replay(self, ids: Collection[str] | None) -> tuple[list[Letter], list[tuple[Letter, str]]]:
        """See DeadLetters."""
        done: list[Letter] = []
        failed: list[tuple[Letter, str]] = []
        with self._channel() as channel:
            channel.confirm_delivery()
            for tag, letter in list(_read(channel)):
                if ids is not None and letter.id not in ids:
                    continue
                # The default exchange puts it into that one queue: other readers have handled it long ago.
                exchange, key = ("", letter.queue) if letter.queue else (letter.exchange, letter.routing_key)
                properties = pika.BasicProperties(
                    content_type="application/json", delivery_mode=2, headers=letter.original_headers()
                )
                try:
                    channel.basic_publish(exchange, key, letter.body, properties, mandatory=True)
                except (pika.exceptions.UnroutableError, pika.exceptions.NackError):
                    failed.append((letter, f"the queue {key} is not there or takes no more"))
                else:
                    channel.basic_ack(tag)
                    done.append(letter)
        return done, failed

    def drop(self, ids: Collection[str] | None) -> list[Letter]:
        """See DeadLetters."""
        dropped = []
        with self._channel() as channel:
            for tag, letter in list(_read(channel)):
                if ids is None or letter.id in ids:
                    channel.basic_ack(tag)
                    dropped.append(letter)
        return dropped

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(self._parameters)
        try:
            yield connection.channel()
        finally:
            with suppress(pika.exceptions.AMQPError):
                connection.close()


def _read(channel: BlockingChannel) -> Iterator[tuple[int, Letter]]:
    for _ in range(LIMIT):
        method, properties, body = channel.basic_get(DEAD_QUEUE)
        if method is None:
            return
        headers = properties.headers if properties and properties.headers else {}
        yield (
            int(method.delivery_tag or 0),
            Letter(method.exchange or "", method.routing_key or "", headers, body or b""),
        )


def open_dead_letters(settings: BrokerSettings, ca: Path | None = None) -> DeadLetters:
    """The dead letters of the configured broker; with memory:// those of this process."""
    url = settings.url.get_secret_value()
    return MemoryDeadLetters(shared_hub(settings.partitions)) if url == MEMORY else AmqpDeadLetters(url, ca)


# --- vigil dead-letters -----------------------------------------------------------------------------------------

app = typer.Typer(help="Messages that could not be read or handled.", no_args_is_help=True)

Answer = TypeVar("Answer")
Ids = Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
def list_letters() -> None:
    """Show the oldest dead letters, one a line."""
    table = Table("id", "kind", "queue", "reason", "since")
    for letter in _ask(lambda letters: letters.letters()):
        table.add_row(letter.id, letter.kind, letter.queue, letter.reason, letter.at)
    Console().print(table)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="Id as `list` shows it.")]) -> None:
    """Show all of one dead letter."""
    for letter in _ask(lambda letters: letters.letters()):
        if letter.id == letter_id:
            headers = {key: str(value) for key, value in letter.headers.items()}
            sys.stdout.write(json.dumps(headers, indent=2, ensure_ascii=False) + "\n")
            sys.stdout.write(letter.body.decode(errors="backslashreplace") + "\n")
            return
    _stop(f"There is no dead letter {letter_id}.")


@app.command()
def replay(ids: Ids = None, *, everything: All = False) -> None:
    """Put dead letters into the queue that they came from."""
    chosen = _chosen(ids, everything=everything)
    done, failed = _ask(lambda letters: letters.replay(chosen))
    for letter in done:
        sys.stdout.write(f"{letter.id} is in {letter.queue or letter.exchange} again\n")
    for letter, reason in failed:
        sys.stderr.write(f"{letter.id} stays: {reason}\n")
    if failed:
        raise typer.Exit(1)
    _missing(ids, done)


@app.command()
def drop(ids: Ids = None, *, everything: All = False) -> None:
    """Delete dead letters for good."""
    chosen = _chosen(ids, everything=everything)
    done = _ask(lambda letters: letters.drop(chosen))
    for letter in done:
        sys.stdout.write(f"{letter.id} is dropped\n")
    _missing(ids, done)


def _chosen(ids: list[str] | None, *, everything: bool) -> Collection[str] | None:
    if bool(ids) == everything:
        _stop("Give ids, or --all.")
    return None if everything else frozenset(ids or ())


def _missing(ids: list[str] | None, done: Collection[Letter]) -> None:
    missing = set(ids or ()) - {letter.id for letter in done}
    if missing:
        _stop(f"There is no dead letter {', '.join(sorted(missing))}.")


def _ask(work: Callable[[DeadLetters], Answer]) -> Answer:
    process = load_settings(ProcessSettings)
    settings = process.broker
    if settings.url.get_secret_value() == MEMORY:
        _stop("Dead letters of memory:// live inside `vigil up`; set VIGIL_BROKER__URL to the address of a RabbitMQ.")
    try:
        return work(open_dead_letters(settings, process.tls.ca))
    except (pika.exceptions.AMQPError, OSError) as error:
        _stop(f"RabbitMQ cannot be used (VIGIL_BROKER__URL): {type(error).__name__} {error}")


def _stop(sentence: str) -> NoReturn:
    sys.stderr.write(sentence + "\n")
    raise typer.Exit(2)
