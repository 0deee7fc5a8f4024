"""docs/topology.md, written from the tables."""

from broker.declare import queue_statement
from broker.topology import EXCHANGES, QUEUES, ROUTES, BoundQueue


def document() -> str:
    """The page."""
    lines = [
        "# Topology",
        "",
        "Who says what, where it goes, and who reads it. Generated from `broker/topology.py` by `python -m broker`.",
        "",
        "`{lane}` is high, average or low; `{partition}` is crc32(source id) mod `VIGIL_BROKER__PARTITIONS`;",
        "`{node}` is the reader's id; other fields come from the message.",
        "",
        "## Exchanges",
        "",
        "| exchange | type | purpose |",
        "|---|---|---|",
        *(f"| `{exchange.name}` | {exchange.type} | {exchange.purpose} |" for exchange in EXCHANGES),
        "",
        "## Messages",
        "",
        "| message | version | sender | exchange | routing key | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for route in ROUTES:
        summary = (route.message.__doc__ or "").strip().splitlines()[0]
        lines.append(
            f"| `{route.message.kind()}` | {route.message.version} | {route.sender} | `{route.exchange.name}`"
            f" | `{route.routing_key}` | {summary} |"
        )
    lines += [
        "",
        "## Queues",
        "",
        "Of several readers *one* gets a message, or *each* has a queue of its own.",
        "An ordered queue has a single active consumer.",
        "",
        "| queue | exchange | binding | reader | audience | ordered | arguments |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in QUEUES:
        arguments = queue_statement(BoundQueue(row.name, row, row.binding)).arguments
        shown = ", ".join(f"`{name}={_value(value)}`" for name, value in arguments.items())
        lines.append(
            f"| `{row.name}` | `{row.exchange.name}` | `{row.binding or '-'}` | {row.reader} | {row.audience}"
            f" | {'yes' if row.ordered else 'no'} | {shown} |"
        )
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
