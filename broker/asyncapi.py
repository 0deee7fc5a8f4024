"""docs/asyncapi.yaml: AsyncAPI 3.0, written from the topology and the messages' JSON schemas."""

import json
import re
from typing import Any

from pydantic.json_schema import models_json_schema

from broker.codec import CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, CONTENT_TYPE, KIND, LANE, TRACE_ID, VERSION
from broker.model.base import LANES
from broker.topology import QUEUES, ROUTES, Queue, Route

SCHEMAS = "#/components/schemas/"


def document() -> str:
    """The file's content."""
    header = "# Generated from broker/topology.py by `python -m broker --asyncapi`.\n"
    return header + _yaml(specification())


def specification() -> dict[str, Any]:
    """The document as a value."""
    definitions = models_json_schema(
        [(route.message, "validation") for route in ROUTES], ref_template=SCHEMAS + "{model}"
    )[1].get("$defs", {})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vigil's messages",
            "version": "1",
            "description": "What processes say to each other on RabbitMQ. Senders add fields only with a default;"
            " readers ignore fields that they do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {_name(route): _message(route) for route in ROUTES},
            "schemas": {"Headers": _headers(), **definitions},
        },
    }


def _name(route: Route) -> str:
    return f"{route.message.kind()}.v{route.message.version}"


def _channel_name(routing_key: str) -> str:
    return re.sub(r"[{}]", "", routing_key)


def _channels() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for route in ROUTES:
        channel = channels.setdefault(
            _channel_name(route.routing_key),
            {
                "address": route.routing_key,
                "description": f"On the exchange {route.exchange.name}: {route.exchange.purpose}.",
                "messages": {},
                "bindings": {
                    "amqp": {
                        "is": "routingKey",
                        "exchange": {"name": route.exchange.name, "type": route.exchange.type, "durable": True},
                    }
                },
            },
        )
        blanks = re.findall(r"{(\w+)}", route.routing_key)
        if blanks:
            channel["parameters"] = {blank: _parameter(blank) for blank in blanks}
        channel["messages"][_name(route)] = {"$ref": f"#/components/messages/{_name(route)}"}
    return channels


def _parameter(name: str) -> dict[str, Any]:
    match name:
        case "lane":
            return {
                "enum": [str(lane) for lane in LANES],
                "description": "The highest priority of the source's alarms.",
            }
        case "partition":
            return {"description": "crc32(source_id) mod the number of partitions."}
        case _:
            return {"description": f"The message's {name}."}


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for route in ROUTES:
        channel = _channel_name(route.routing_key)
        name = f"{route.sender}.says.{channel}"
        operation = operations.setdefault(
            name, {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "messages": []}
        )
        operation["messages"].append({"$ref": f"#/channels/{channel}/messages/{_name(route)}"})
    for queue in QUEUES:
        for channel in dict.fromkeys(_channel_name(route.routing_key) for route in ROUTES if hears(queue, route)):
            operations[f"{queue.reader}.hears.{channel}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{channel}"},
                "description": f"From the queue {queue.name}; {queue.audience} of the readers gets a message.",
            }
    return operations


def hears(queue: Queue, route: Route) -> bool:
    """Whether a queue gets a message, whatever fills the blanks."""
    if queue.exchange is not route.exchange:
        return False
    pattern, words = queue.binding.split("."), route.routing_key.split(".")
    for place, part in enumerate(pattern):
        if part == "#":
            return True
        if place >= len(words) or (part not in ("*", words[place])):
            return False
    return len(pattern) == len(words)


def _message(route: Route) -> dict[str, Any]:
    summary = (route.message.__doc__ or "").strip().splitlines()[0]
    return {
        "name": route.message.kind(),
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": f"{SCHEMAS}Headers"},
        "payload": {"$ref": f"{SCHEMAS}{route.message.__name__}"},
    }


def _headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 attributes beside kind and version.",
        "required": [KIND, VERSION, CE_SPECVERSION, CE_ID, CE_SOURCE, CE_TYPE, CE_TIME],
        "properties": {
            KIND: {**text, "description": "The message's name."},
            VERSION: {**text, "pattern": r"^\d+$", "description": "The version of its schema."},
            LANE: {**text, "enum": [str(lane) for lane in LANES]},
            TRACE_ID: {**text, "description": "Follows an event through all processes (W3C Trace Context)."},
            CE_SPECVERSION: {**text, "const": "1.0"},
            CE_ID: {**text, "description": "Unique for ever; a reader handles an id once."},
            CE_SOURCE: {**text, "description": "Who said it, e.g. dvrserver/node-1."},
            CE_TYPE: {**text, "description": "vigil.<kind>.v<version>"},
            CE_TIME: {**text, "format": "date-time"},
        },
    }


def _yaml(value: Any, indent: int = 0) -> str:
    """YAML of plain values: block maps and lists, and scalars as JSON writes them, which YAML reads alike."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            name = key if re.fullmatch(r"[A-Za-z_][\w.-]*", key) else json.dumps(key)
            if isinstance(item, dict | list) and item:
                lines.append(f"{pad}{name}:\n{_yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{name}: {_scalar(item)}\n")
        return "".join(lines)
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            if isinstance(item, dict | list) and item:
                lines.append(f"{pad}- " + _yaml(item, indent + 1)[len(pad) + 2 :])
            else:
                lines.append(f"{pad}- {_scalar(item)}\n")
        return "".join(lines)
    return f"{pad}{_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w .,;'/()<>-]*[\w.)>]", value) and not _is_word(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_word(value: str) -> bool:
    return value.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
