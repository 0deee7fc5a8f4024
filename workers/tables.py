"""The engine's tables (schema `engine`): what came in, what became an alarm, what is to be done about it.

The engine owns alarm state and history; SMServer has a read copy made from what the outbox announces.
"""

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)

from broker.database import UtcDateTime
from broker.inbox import inbox_table
from broker.outbox import outbox_table

SCHEMA = "engine"
SCRIPTS = "workers:migrations"
"""Where `broker.database.migrate` finds the history of these tables."""

WORD = String(63)
ID = String(255)

metadata = MetaData()


class RunState(StrEnum):
    """Where an action is. The last four are ends and the same words as the outcomes of `ActionPerformed`."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """At which end of the alarm an action is performed."""

    START = "start"
    END = "end"


inbox = inbox_table(metadata)
outbox = outbox_table(metadata)

trigger_event = Table(
    "trigger_event",
    metadata,
    Column("id", ID, primary_key=True, comment="the message's id: node.boot.sequence"),
    Column("kind", String(80), nullable=False),
    Column("source_id", WORD, nullable=False),
    Column("node_id", WORD, nullable=False),
    Column("boot", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("trigger", String(40), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("camera_time", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("cells", JSON, nullable=False),
    Column("raised", JSON, nullable=False, comment="ids of the alarm events that it raised"),
)

source_state = Table(
    "source_state",
    metadata,
    Column("source_id", WORD, primary_key=True),
    Column("node_id", WORD, primary_key=True),
    Column("boot", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of the newest event taken in"),
    Column("active", Boolean, nullable=False, comment="whether that event began the condition"),
    Column("changed_at", UtcDateTime, nullable=False, comment="when that event occurred"),
)

alarm_event = Table(
    "alarm_event",
    metadata,
    Column("id", WORD, primary_key=True),
    Column("alarm_id", WORD, nullable=False),
    Column("source_id", WORD, nullable=False),
    Column("trigger_event_id", ID, nullable=False, comment="the event that raised it"),
    Column("state", String(20), nullable=False),
    Column("raised", JSON, nullable=False, comment="AlarmRaised as it was announced"),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("until_acknowledged", Boolean, nullable=False),
    Column("post_s", Integer, nullable=False, comment="the longest post-recording of its actions"),
    Column("acts_at_end", Boolean, nullable=False, comment="whether actions are performed at its end, too"),
    Column("triggered", Integer, nullable=False, comment="how often it was triggered while active"),
    Column("last_trigger_at", UtcDateTime, nullable=False),
    Column("acknowledged_by", WORD),
    Column("acknowledged_at", UtcDateTime),
    Column("condition_ended_at", UtcDateTime, comment="when it stopped being active, by the recorder's clock"),
    Column("post_until", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("trace_id", String(32), nullable=False),
    # Two intakes can never make two active alarms of one cause.
    Index(
        "alarm_event_active",
        "source_id",
        "alarm_id",
        unique=True,
        postgresql_where=text("state = 'active'"),
        sqlite_where=text("state = 'active'"),
    ),
    Index(
        "alarm_event_post_until",
        "post_until",
        postgresql_where=text("state = 'post_recording'"),
        sqlite_where=text("state = 'post_recording'"),
    ),
    Index("alarm_event_raised_at", "raised_at"),
)

action_run = Table(
    "action_run",
    metadata,
    Column("id", WORD, primary_key=True, comment="the idempotency key of all attempts"),
    Column("alarm_event_id", WORD, ForeignKey("alarm_event.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("phase", String(10), nullable=False),
    Column("lane", String(10), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False, comment="attempts begun"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("deadline", UtcDateTime, nullable=False),
    Column("wake_at", UtcDateTime, nullable=False, comment="when the sweeper dispatches it (again)"),
    Column("wakes", Integer, nullable=False, comment="how often it was dispatched since it became due"),
    Column("lease_until", UtcDateTime),
    Column("holder", String(120), comment="the worker whose lease it is"),
    Column("in_doubt", Boolean, nullable=False, comment="the attempt before was begun and its end never stored"),
    Column("repeated", Boolean, nullable=False, comment="it may have been performed more than once"),
    Column("reason", String(1000), nullable=False, comment="of the last failed attempt or of the end"),
    Column("seconds", Float, comment="how long the last attempt took"),
    Column("finished_at", UtcDateTime),
    Index(
        "action_run_wake_at",
        "wake_at",
        postgresql_where=text("state IN ('pending', 'running')"),
        sqlite_where=text("state IN ('pending', 'running')"),
    ),
)

delivery_try = Table(
    "delivery_try",
    metadata,
    Column("event_id", ID, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("reason", String(1000), nullable=False, comment="what went wrong at the last try, where that was seen"),
    Column("at", UtcDateTime, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("event_id", ID, primary_key=True),
    Column("kind", String(80), nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("reason", String(1000), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

camera_route = Table(
    "camera_route",
    metadata,
    Column("camera_id", WORD, primary_key=True),
    Column("control_url", String(2000), nullable=False, comment="of the node that captures the camera"),
    Column("revision", BigInteger, nullable=False),
)
