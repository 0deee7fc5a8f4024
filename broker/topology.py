"""Who says what, where it goes, and who reads it: the whole bus on one page.

These rows are data. `broker/declare.py` builds RabbitMQ's queues from them, `broker/memory.py` routes by
them, `broker/codec.py` finds a message's class in them, and `python -m broker` prints docs/topology.md
from them. Nobody outside `broker/` writes the name of an exchange, a routing key or a queue.
"""

from typing import Literal, NamedTuple
from zlib import crc32

from broker.model import messages as m
from broker.model.base import LANES


class Exchange(NamedTuple):
    """A place where messages are handed in."""

    name: str
    type: Literal["topic", "fanout"]
    purpose: str


class Route(NamedTuple):
    """Where one message goes. `{lane}` and `{partition}` come from the envelope, other fields from the message."""

    message: type[m.Message]
    sender: str
    exchange: Exchange
    routing_key: str


class Queue(NamedTuple):
    """Where readers of one kind find their messages.

    `audience` is the most important fact about a queue: "one" of many readers gets a message, or "each" reader
    has a queue of its own, named after its node, and gets them all. An "ordered" queue has a single active
    consumer.
    """

    name: str
    exchange: Exchange
    binding: str
    reader: str
    audience: Literal["one", "each"]
    ordered: bool


# fmt: off
TRIGGERS   = Exchange("vigil.triggers",   "topic",  "what detectors saw")
ALARMS     = Exchange("vigil.alarms",     "topic",  "what the engine decided and did")
REQUESTS   = Exchange("vigil.requests",   "topic",  "what people asked the engine to do")
CONFIG     = Exchange("vigil.config",     "topic",  "changes of configuration")
STATE      = Exchange("vigil.state",      "topic",  "what processes say of themselves")
NOTICES    = Exchange("vigil.notices",    "topic",  "updates and ended sessions")
UNROUTABLE = Exchange("vigil.unroutable", "fanout", "alternate exchange: what no queue wanted")
DEAD       = Exchange("vigil.dead",       "fanout", "dead letters: what could not be read or handled")

EXCHANGES = (TRIGGERS, ALARMS, REQUESTS, CONFIG, STATE, NOTICES, UNROUTABLE, DEAD)

ROUTES = (
    #     message                      sender       exchange  routing key
    Route(m.TriggerActivated,          "dvrserver", TRIGGERS, "trigger.{lane}.{partition}"),
    Route(m.TriggerEnded,              "dvrserver", TRIGGERS, "trigger.{lane}.{partition}"),
    Route(m.AlarmRaised,               "engine",    ALARMS,   "alarm.raised.{alarm_id}"),
    Route(m.AlarmAcknowledged,         "engine",    ALARMS,   "alarm.acknowledged.{alarm_id}"),
    Route(m.AlarmPostRecordingStarted, "engine",    ALARMS,   "alarm.post_recording.{alarm_id}"),
    Route(m.AlarmEnded,                "engine",    ALARMS,   "alarm.ended.{alarm_id}"),
    Route(m.ActionPerformed,           "engine",    ALARMS,   "action.performed.{alarm_id}"),
    Route(m.AcknowledgeRequested,      "smserver",  REQUESTS, "request.acknowledge"),
    Route(m.ServerConfigured,          "smserver",  CONFIG,   "config.server"),
    Route(m.ServerRemoved,             "smserver",  CONFIG,   "config.server"),
    Route(m.CameraConfigured,          "smserver",  CONFIG,   "config.camera"),
    Route(m.CameraRemoved,             "smserver",  CONFIG,   "config.camera"),
    Route(m.AlarmConfigured,           "smserver",  CONFIG,   "config.alarm"),
    Route(m.AlarmRemoved,              "smserver",  CONFIG,   "config.alarm"),
    Route(m.ProfileConfigured,         "smserver",  CONFIG,   "config.profile"),
    Route(m.ProfileRemoved,            "smserver",  CONFIG,   "config.profile"),
    Route(m.UserConfigured,            "smserver",  CONFIG,   "config.user"),
    Route(m.UserRemoved,               "smserver",  CONFIG,   "config.user"),
    Route(m.SecretSealed,              "smserver",  CONFIG,   "config.secret"),
    Route(m.SecretRemoved,             "smserver",  CONFIG,   "config.secret"),
    Route(m.NodeStateReported,         "all",       STATE,    "state.node.{node_id}"),
    Route(m.HealthEventReported,       "all",       STATE,    "state.health.{node_id}"),
    Route(m.UpdateAvailable,           "smserver",  NOTICES,  "notice.update"),
    Route(m.SessionRevoked,            "smserver",  NOTICES,  "notice.session"),
)

QUEUES = (
    #     queue                                exchange    binding                        reader       audience ordered
    Queue("engine.triggers.{lane}.{partition}", TRIGGERS,  "trigger.{lane}.{partition}",  "engine",    "one",   True),
    Queue("engine.requests",                   REQUESTS,   "request.#",                   "engine",    "one",   True),
    Queue("engine.config.{node}",              CONFIG,     "config.#",                    "engine",    "each",  True),
    Queue("smserver.alarms",                   ALARMS,     "#",                           "smserver",  "one",   True),
    Queue("smserver.state",                    STATE,      "#",                           "smserver",  "one",   True),
    Queue("smserver.notices",                  NOTICES,    "#",                           "smserver",  "one",   True),
    Queue("dvrserver.config.{node}",           CONFIG,     "config.#",                    "dvrserver", "each",  True),
    Queue("dvrserver.notices.{node}",          NOTICES,    "notice.session",              "dvrserver", "each",  True),
    Queue("gateway.config.{node}",             CONFIG,     "config.#",                    "gateway",   "each",  True),
    Queue("gateway.notices.{node}",            NOTICES,    "#",                           "gateway",   "each",  True),
    Queue("unroutable",                        UNROUTABLE, "",                            "people",    "one",   False),
    Queue("dead",                              DEAD,       "",                            "people",    "one",   False),
)
# fmt: on

QUEUE_VERSION = "v1"
"""Ends each queue's name: the arguments of a queue cannot change, so a change of arguments is a new name."""

EACH_QUEUE_EXPIRES_MS = 86_400_000
"""An "each" queue outlives its reader by a day, so that a restart misses nothing, and then makes room."""

DELIVERY_LIMIT = 100
"""A backstop only: each lost connection counts one try for every unacknowledged message."""


class BoundQueue(NamedTuple):
    """A queue row with its blanks filled in: what is declared, consumed and printed by management tools."""

    name: str
    row: Queue
    binding: str


def partition_of(source_id: str, partitions: int) -> int:
    """The partition of a source: all its events stay in order because they share one queue."""
    return crc32(source_id.encode()) % partitions


def queues_of(reader: str, *, node: str, partitions: int) -> tuple[BoundQueue, ...]:
    """The queues that one reader consumes; lanes most urgent first."""
    found: list[BoundQueue] = []
    for row in QUEUES:
        if row.reader != reader:
            continue
        lanes = LANES if "{lane}" in row.name else ("",)
        numbers = range(partitions) if "{partition}" in row.name else range(1)
        for lane in lanes:
            for partition in numbers:
                blanks = {"lane": str(lane), "partition": partition, "node": node}
                name = f"{row.name.format_map(blanks)}.{QUEUE_VERSION}"
                found.append(BoundQueue(name, row, row.binding.format_map(blanks)))
    return tuple(found)


def shared_queues(partitions: int) -> tuple[BoundQueue, ...]:
    """The queues that exist before anyone reads: all but the "each" ones, which their readers declare."""
    readers = dict.fromkeys(row.reader for row in QUEUES)
    every = (queue for reader in readers for queue in queues_of(reader, node="", partitions=partitions))
    return tuple(queue for queue in every if queue.row.audience == "one")


ROUTE_OF: dict[type[m.Message], Route] = {route.message: route for route in ROUTES}
"""A message without a route cannot be sent."""
