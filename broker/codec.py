"""Messages to and from what travels: headers and a JSON body. Strict when speaking, tolerant when listening.

The headers are CloudEvents 1.0 attributes beside our own `kind` and `version`. Fields that this program does
not know are ignored on arrival; a kind or version it does not know is an error that names both.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import ValidationError

from broker.errors import UnknownMessageError, UnreadableMessageError
from broker.model.base import Instant, Priority
from broker.model.messages import Message
from broker.topology import ROUTE_OF, ROUTES, partition_of
from broker.transport import Envelope

CONTENT_TYPE = "application/json"
SPECVERSION = "1.0"

KIND = "kind"
VERSION = "version"
LANE = "lane"
TRACE_ID = "trace_id"
CE_SPECVERSION = "cloudEvents:specversion"
CE_ID = "cloudEvents:id"
CE_SOURCE = "cloudEvents:source"
CE_TYPE = "cloudEvents:type"
CE_TIME = "cloudEvents:time"

REASON = "x-vigil-reason"
"""Why a message is with the dead letters."""
DEAD_FROM = "x-vigil-queue"
"""The queue in which a dead letter lay."""
DEAD_AT = "x-vigil-dead-at"
"""When it was put with the dead letters, ISO 8601."""

REGISTRY: dict[tuple[str, int], type[Message]] = {
    (route.message.kind(), route.message.version): route.message for route in ROUTES
}
"""Every message that can be read, by kind and version."""


class Encoded(NamedTuple):
    """A message as it travels."""

    exchange: str
    routing_key: str
    headers: dict[str, str]
    body: bytes


def envelope(
    message: Message,
    *,
    source: str,
    trace_id: str = "",
    lane: Priority = Priority.LOW,
    id: str | None = None,  # noqa: A002 - CloudEvents' name
    time: Instant | None = None,
) -> Envelope:
    """Put a message into an envelope; a new id and the present time are filled in where none is given."""
    return Envelope(
        message=message,
        id=id or uuid4().hex,
        source=source,
        time=time or datetime.now(UTC),
        trace_id=trace_id,
        lane=lane,
    )


def lane_of(envelope: Envelope) -> Priority:
    """The lane in which an envelope travels: its own where the message's route has lanes, else low."""
    return envelope.lane if "{lane}" in ROUTE_OF[type(envelope.message)].routing_key else Priority.LOW


def encode(envelope: Envelope, *, partitions: int) -> Encoded:
    """The exchange, routing key, headers and body of an envelope.

    Raises:
        KeyError: the message has no route (a mistake in the program).
    """
    message = envelope.message
    route = ROUTE_OF[type(message)]
    key = route.routing_key
    if "{" in key:
        blanks: dict[str, Any] = {name: getattr(message, name) for name in type(message).model_fields}
        blanks["lane"] = envelope.lane
        if "{partition}" in key:
            blanks["partition"] = partition_of(blanks["source_id"], partitions)
        key = key.format_map(blanks)
    headers, body = pack(envelope)
    return Encoded(route.exchange.name, key, headers, body)


def pack(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    """Headers and body alone, as journal and outbox keep them."""
    kind, version = envelope.message.kind(), envelope.message.version
    headers = {
        KIND: kind,
        VERSION: str(version),
        LANE: str(envelope.lane),
        CE_SPECVERSION: SPECVERSION,
        CE_ID: envelope.id,
        CE_SOURCE: envelope.source,
        CE_TYPE: f"vigil.{kind}.v{version}",
        CE_TIME: envelope.time.isoformat(),
    }
    if envelope.trace_id:
        headers[TRACE_ID] = envelope.trace_id
    return headers, envelope.message.model_dump_json().encode()


def decode(headers: Mapping[str, Any] | None, body: bytes) -> Envelope:
    """Read what has come in.

    Raises:
        UnknownMessageError: no message of this kind and version is known here.
        UnreadableMessageError: headers are missing or damaged, or the body is not what they say.
    """
    headers = headers or {}
    message = message_of(_text(headers, KIND, body), _text(headers, VERSION, body), body)
    try:
        return Envelope(
            message=message,
            id=_text(headers, CE_ID, body),
            source=_text(headers, CE_SOURCE, body),
            time=_aware(_text(headers, CE_TIME, body)),
            trace_id=str(headers.get(TRACE_ID, "")),
            lane=Priority(str(headers.get(LANE, Priority.LOW))),
        )
    except ValueError as error:
        raise UnreadableMessageError(f"a header is damaged: {error}", body) from None


def message_of(kind: str, version: int | str, body: bytes) -> Message:
    """Read a body whose kind and version are known from elsewhere, e.g. from a snapshot.

    Raises:
        UnknownMessageError: no message of this kind and version is known here.
        UnreadableMessageError: the body is not what they say.
    """
    try:
        cls = REGISTRY[kind, int(version)]
    except (KeyError, ValueError):
        raise UnknownMessageError(f"no message {kind!r} of version {version!r} is known here", body) from None
    try:
        return cls.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnreadableMessageError(f"{kind} is damaged: {place or 'body'}: {first['msg']}", body) from None


def _text(headers: Mapping[str, Any], name: str, body: bytes) -> str:
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or value == "":
        raise UnreadableMessageError(f"the header {name} is missing", body)
    return str(value)


def _aware(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time
