"""The first tables."""

import sqlalchemy as sa
from alembic import op

from broker.database import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "action_outcome",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("alarm_event_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("repeated", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_outcome")),
    )
    op.create_index(op.f("ix_action_outcome_alarm_event_id"), "action_outcome", ["alarm_event_id"], unique=False)
    op.create_table(
        "alarm_event",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("alarm_id", sa.String(length=63), nullable=False),
        sa.Column("alarm_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("priority", sa.String(length=10), server_default="", nullable=False),
        sa.Column("colour", sa.String(length=10), server_default="", nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("trigger", sa.String(length=20), server_default="", nullable=False),
        sa.Column("source_id", sa.String(length=63), server_default="", nullable=False),
        sa.Column("node_id", sa.String(length=63), server_default="", nullable=False),
        sa.Column("camera_ids", sa.JSON(), nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=True),
        sa.Column("raised_at", UtcDateTime, nullable=True, comment="Null: later facts came first."),
        sa.Column("until_acknowledged", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime, nullable=True),
        sa.Column("acknowledged_by", sa.String(length=63), server_default="", nullable=False),
        sa.Column("acknowledged_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("post_until", UtcDateTime, nullable=True),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.Column("trace_id", sa.String(length=32), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_event")),
        comment="The read copy of what the engine decided; the engine owns it.",
    )
    op.create_index(op.f("ix_alarm_event_alarm_id"), "alarm_event", ["alarm_id"], unique=False)
    op.create_index("ix_alarm_event_newest", "alarm_event", ["raised_at", "id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("user_id", sa.String(length=63), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=63), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column(
            "digest", sa.String(length=64), nullable=False, comment="SHA-256 over the row and the digest before it."
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="Append-only: who did what, from where, with which program.",
    )
    op.create_table(
        "counter",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.Column("digest", sa.String(length=64), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
        comment="Locked rows: `revision` and `event` count, `audit` ends the chain of the audit trail.",
    )
    op.create_table(
        "credential",
        sa.Column("user_id", sa.String(length=63), nullable=False),
        sa.Column("password_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("stream_ha1", sa.Text(), nullable=True, comment="HA1 values of the stream secret, encrypted."),
        sa.Column(
            "stream_sealed", sa.JSON(), nullable=False, comment="The same sealed to each node: {node id: sealed}."
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_credential")),
        comment="What proves who a user is. Never a password, never a stream secret.",
    )
    op.create_table(
        "event",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        comment="What clients are told, numbered in the order of commits.",
    )
    op.create_index(op.f("ix_event_at"), "event", ["at"], unique=False)
    op.create_table(
        "health_event",
        sa.Column("id", sa.String(length=120), nullable=False, comment="The message's id."),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_event")),
    )
    op.create_index(op.f("ix_health_event_at"), "health_event", ["at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
    )
    op.create_index(op.f("ix_inbox_received_at"), "inbox", ["received_at"], unique=False)
    op.create_table(
        "node_key",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("enrolled_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_key")),
        comment="Public keys of the nodes that have joined.",
    )
    op.create_table(
        "node_state",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("lost", sa.Boolean(), server_default=sa.false(), nullable=False, comment="Silent for too long."),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_state")),
    )
    op.create_table(
        "outbox",
        sa.Column("position", BIG, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "resource",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("revision", BIG, nullable=False, comment="Of its last announcement."),
        sa.Column("edited", BIG, nullable=False, comment="Of its last edit; a new lane announces without editing."),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_resource")),
        comment="Servers, cameras, alarms, profiles and users, each the JSON of its class in broker.model.",
    )
    op.create_table(
        "secret",
        sa.Column("ref", sa.String(length=63), nullable=False),
        sa.Column("camera_id", sa.String(length=63), nullable=False),
        sa.Column("encrypted", sa.Text(), nullable=False),
        sa.Column(
            "node_id",
            sa.String(length=63),
            server_default="",
            nullable=False,
            comment="To whom it is sealed; empty: nobody yet.",
        ),
        sa.Column("sealed", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", BIG, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_secret")),
        sa.UniqueConstraint("camera_id", name=op.f("uq_secret_camera_id")),
        comment="Camera passwords, encrypted under the master key and sealed to the node that needs them.",
    )
    op.create_table(
        "session",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("user_id", sa.String(length=63), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime, nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_user_id"), "session", ["user_id"], unique=False)
    op.create_table(
        "throttle",
        sa.Column("key", sa.String(length=100), nullable=False, comment="user:<id> or address:<address>."),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=False),
        sa.Column("blocked_until", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttle")),
    )
    op.create_table(
        "refresh_token",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of the token."),
        sa.Column("session_id", sa.String(length=63), nullable=False),
        sa.Column("used_at", UtcDateTime, nullable=True, comment="A second use revokes the session."),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_refresh_token_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_refresh_token")),
    )
    op.create_index(op.f("ix_refresh_token_session_id"), "refresh_token", ["session_id"], unique=False)
    op.bulk_insert(
        sa.table("counter", sa.column("name", sa.String), sa.column("value", sa.BigInteger)),
        [{"name": name, "value": 0} for name in ("revision", "event", "audit")],
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_refresh_token_session_id"), table_name="refresh_token")
    op.drop_table("refresh_token")
    op.drop_table("throttle")
    op.drop_index(op.f("ix_session_user_id"), table_name="session")
    op.drop_table("session")
    op.drop_table("secret")
    op.drop_table("resource")
    op.drop_table("outbox")
    op.drop_table("node_state")
    op.drop_table("node_key")
    op.drop_index(op.f("ix_inbox_received_at"), table_name="inbox")
    op.drop_table("inbox")
    op.drop_index(op.f("ix_health_event_at"), table_name="health_event")
    op.drop_table("health_event")
    op.drop_index(op.f("ix_event_at"), table_name="event")
    op.drop_table("event")
    op.drop_table("credential")
    op.drop_table("counter")
    op.drop_table("audit")
    op.drop_index("ix_alarm_event_newest", table_name="alarm_event")
    op.drop_index(op.f("ix_alarm_event_alarm_id"), table_name="alarm_event")
    op.drop_table("alarm_event")
    op.drop_index(op.f("ix_action_outcome_alarm_event_id"), table_name="action_outcome")
    op.drop_table("action_outcome")
