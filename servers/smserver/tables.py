"""SMServer's rows. The schema is chosen by `broker.database`; changes of tables go through `migrations/`."""

import sqlalchemy as sa

from broker.database import UtcDateTime
from broker.inbox import inbox_table
from broker.outbox import outbox_table

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = sa.String(63)
"""Ids are words of at most 63 characters."""

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only in columns of type INTEGER."""

# --- Configuration ----------------------------------------------------------------------------------------------

counter = sa.Table(
    "counter",
    METADATA,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", BIG, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, server_default=""),
    comment="Locked rows: `revision` and `event` count, `audit` ends the chain of the audit trail.",
)

resource = sa.Table(
    "resource",
    METADATA,
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("id", ID, primary_key=True),
    sa.Column("revision", BIG, nullable=False, comment="Of its last announcement."),
    sa.Column("edited", BIG, nullable=False, comment="Of its last edit; a new lane announces without editing."),
    sa.Column("body", sa.JSON, nullable=False),
    comment="Servers, cameras, alarms, profiles and users, each the JSON of its class in broker.model.",
)

secret = sa.Table(
    "secret",
    METADATA,
    sa.Column("ref", ID, primary_key=True),
    sa.Column("camera_id", ID, nullable=False, unique=True),
    sa.Column("encrypted", sa.Text, nullable=False),
    sa.Column("node_id", ID, nullable=False, server_default="", comment="To whom it is sealed; empty: nobody yet."),
    sa.Column("sealed", sa.Text, nullable=False, server_default=""),
    sa.Column("revision", BIG, nullable=False, server_default="0"),
    comment="Camera passwords, encrypted under the master key and sealed to the node that needs them.",
)

node_key = sa.Table(
    "node_key",
    METADATA,
    sa.Column("node_id", ID, primary_key=True),
    sa.Column("identity", sa.JSON, nullable=False),
    sa.Column("enrolled_at", UtcDateTime, nullable=False),
    comment="Public keys of the nodes that have joined.",
)

credential = sa.Table(
    "credential",
    METADATA,
    sa.Column("user_id", ID, primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False, server_default=""),
    sa.Column("stream_ha1", sa.Text, nullable=True, comment="HA1 values of the stream secret, encrypted."),
    sa.Column("stream_sealed", sa.JSON, nullable=False, comment="The same sealed to each node: {node id: sealed}."),
    comment="What proves who a user is. Never a password, never a stream secret.",
)

layout = sa.Table(
    "layout",
    METADATA,
    sa.Column("user_id", ID, primary_key=True),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("revision", BIG, nullable=False, comment="µs since 1970 of the last change, the number in the ETag."),
    sa.Column("body", sa.JSON, nullable=False),
    comment="How users arrange their windows; each belongs to one user.",
)

# --- Sessions ---------------------------------------------------------------------------------------------------

session = sa.Table(
    "session",
    METADATA,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("program", sa.String(200), nullable=False),
)

refresh_token = sa.Table(
    "refresh_token",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the token."),
    sa.Column("session_id", ID, sa.ForeignKey(session.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("used_at", UtcDateTime, nullable=True, comment="A second use revokes the session."),
)

throttle = sa.Table(
    "throttle",
    METADATA,
    sa.Column("key", sa.String(100), primary_key=True, comment="user:<id> or address:<address>."),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("blocked_until", UtcDateTime, nullable=False),
)

# --- Logs -------------------------------------------------------------------------------------------------------

audit = sa.Table(
    "audit",
    METADATA,
    sa.Column("id", BIG, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("user_id", ID, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("program", sa.String(200), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("object_id", ID, nullable=False),
    sa.Column("before", sa.JSON, nullable=True),
    sa.Column("after", sa.JSON, nullable=True),
    sa.Column("digest", sa.String(64), nullable=False, comment="SHA-256 over the row and the digest before it."),
    comment="Append-only: who did what, from where, with which program.",
)

event = sa.Table(
    "event",
    METADATA,
    sa.Column("id", BIG, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(60), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("data", sa.JSON, nullable=False),
    comment="What clients are told, numbered in the order of commits.",
)

alarm_event = sa.Table(
    "alarm_event",
    METADATA,
    sa.Column("id", ID, primary_key=True),
    sa.Column("alarm_id", ID, nullable=False, index=True),
    sa.Column("alarm_name", sa.String(120), nullable=False, server_default=""),
    sa.Column("priority", sa.String(10), nullable=False, server_default=""),
    sa.Column("colour", sa.String(10), nullable=False, server_default=""),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("trigger", sa.String(20), nullable=False, server_default=""),
    sa.Column("source_id", ID, nullable=False, server_default=""),
    sa.Column("node_id", ID, nullable=False, server_default=""),
    sa.Column("camera_ids", sa.JSON, nullable=False),
    sa.Column("occurred_at", UtcDateTime, nullable=True),
    sa.Column("raised_at", UtcDateTime, nullable=True, comment="Null: later facts came first."),
    sa.Column("until_acknowledged", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("acknowledged_at", UtcDateTime, nullable=True),
    sa.Column("acknowledged_by", ID, nullable=False, server_default=""),
    sa.Column("acknowledged_name", sa.String(120), nullable=False, server_default=""),
    sa.Column("post_until", UtcDateTime, nullable=True),
    sa.Column("ended_at", UtcDateTime, nullable=True),
    sa.Column("trace_id", sa.String(32), nullable=False, server_default=""),
    sa.Index("ix_alarm_event_newest", "raised_at", "id"),
    comment="The read copy of what the engine decided; the engine owns it.",
)

action_outcome = sa.Table(
    "action_outcome",
    METADATA,
    sa.Column("id", ID, primary_key=True),
    sa.Column("alarm_event_id", ID, nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("repeated", sa.Boolean, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

node_state = sa.Table(
    "node_state",
    METADATA,
    sa.Column("node_id", ID, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("lost", sa.Boolean, nullable=False, server_default=sa.false(), comment="Silent for too long."),
    sa.Column("body", sa.JSON, nullable=False),
)

health_event = sa.Table(
    "health_event",
    METADATA,
    sa.Column("id", sa.String(120), primary_key=True, comment="The message's id."),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("node_id", ID, nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

document = sa.Table(
    "document",
    METADATA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("revision", BIG, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    comment="What exists once per site: the configuration of clients, and the releases that were announced.",
)

# --- The bus ----------------------------------------------------------------------------------------------------

inbox = inbox_table(METADATA)
outbox = outbox_table(METADATA)
