"""The tables of the alarm and action engine."""

import sqlalchemy as sa
from alembic import op

import broker.database

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarm_event",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("alarm_id", sa.String(length=63), nullable=False),
        sa.Column("source_id", sa.String(length=63), nullable=False),
        sa.Column("trigger_event_id", sa.String(length=255), nullable=False, comment="the event that raised it"),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("raised", sa.JSON(), nullable=False, comment="AlarmRaised as it was announced"),
        sa.Column("raised_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("until_acknowledged", sa.Boolean(), nullable=False),
        sa.Column("post_s", sa.Integer(), nullable=False, comment="the longest post-recording of its actions"),
        sa.Column(
            "acts_at_end",
            sa.Boolean(),
            nullable=False,
            comment="whether actions are performed at its end, too",
        ),
        sa.Column("triggered", sa.Integer(), nullable=False, comment="how often it was triggered while active"),
        sa.Column("last_trigger_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=63), nullable=True),
        sa.Column("acknowledged_at", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column(
            "condition_ended_at",
            broker.database.UtcDateTime(timezone=True),
            nullable=True,
            comment="when it stopped being active, by the recorder's clock",
        ),
        sa.Column("post_until", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "alarm_event_active",
        "alarm_event",
        ["source_id", "alarm_id"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
        sqlite_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "alarm_event_post_until",
        "alarm_event",
        ["post_until"],
        unique=False,
        postgresql_where=sa.text("state = 'post_recording'"),
        sqlite_where=sa.text("state = 'post_recording'"),
    )
    op.create_index("alarm_event_raised_at", "alarm_event", ["raised_at"], unique=False)
    op.create_table(
        "camera_route",
        sa.Column("camera_id", sa.String(length=63), nullable=False),
        sa.Column(
            "control_url", sa.String(length=2000), nullable=False, comment="of the node that captures the camera"
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("camera_id"),
    )
    op.create_table(
        "delivery_try",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column(
            "reason",
            sa.String(length=1000),
            nullable=False,
            comment="what went wrong at the last try, where that was seen",
        ),
        sa.Column("at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("received_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_inbox_received_at"), "inbox", ["received_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "quarantine",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "source_state",
        sa.Column("source_id", sa.String(length=63), nullable=False),
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="of the newest event taken in"),
        sa.Column("active", sa.Boolean(), nullable=False, comment="whether that event began the condition"),
        sa.Column(
            "changed_at", broker.database.UtcDateTime(timezone=True), nullable=False, comment="when that event occurred"
        ),
        sa.PrimaryKeyConstraint("source_id", "node_id"),
    )
    op.create_table(
        "trigger_event",
        sa.Column("id", sa.String(length=255), nullable=False, comment="the message's id: node.boot.sequence"),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("source_id", sa.String(length=63), nullable=False),
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("camera_time", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("received_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("raised", sa.JSON(), nullable=False, comment="ids of the alarm events that it raised"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_trigger_event_received_at"), "trigger_event", ["received_at"], unique=False)
    op.create_table(
        "action_run",
        sa.Column("id", sa.String(length=63), nullable=False, comment="the idempotency key of all attempts"),
        sa.Column("alarm_event_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("phase", sa.String(length=10), nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempts begun"),
        sa.Column("created_at", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("not_before", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("deadline", broker.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column(
            "wake_at",
            broker.database.UtcDateTime(timezone=True),
            nullable=False,
            comment="when the sweeper dispatches it (again)",
        ),
        sa.Column("wakes", sa.Integer(), nullable=False, comment="how often it was dispatched since it became due"),
        sa.Column("lease_until", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("holder", sa.String(length=120), nullable=True, comment="the worker whose lease it is"),
        sa.Column(
            "in_doubt",
            sa.Boolean(),
            nullable=False,
            comment="the attempt before was begun and its end never stored",
        ),
        sa.Column("repeated", sa.Boolean(), nullable=False, comment="it may have been performed more than once"),
        sa.Column("reason", sa.String(length=1000), nullable=False, comment="of the last failed attempt or of the end"),
        sa.Column("seconds", sa.Float(), nullable=True, comment="how long the last attempt took"),
        sa.Column("finished_at", broker.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["alarm_event_id"], ["alarm_event.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "action_run_wake_at",
        "action_run",
        ["wake_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running')"),
        sqlite_where=sa.text("state IN ('pending', 'running')"),
    )
    op.create_index(op.f("ix_action_run_alarm_event_id"), "action_run", ["alarm_event_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_action_run_alarm_event_id"), table_name="action_run")
    op.drop_index(
        "action_run_wake_at",
        table_name="action_run",
        postgresql_where=sa.text("state IN ('pending', 'running')"),
        sqlite_where=sa.text("state IN ('pending', 'running')"),
    )
    op.drop_table("action_run")
    op.drop_index(op.f("ix_trigger_event_received_at"), table_name="trigger_event")
    op.drop_table("trigger_event")
    op.drop_table("source_state")
    op.drop_table("quarantine")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_inbox_received_at"), table_name="inbox")
    op.drop_table("inbox")
    op.drop_table("delivery_try")
    op.drop_table("camera_route")
    op.drop_index("alarm_event_raised_at", table_name="alarm_event")
    op.drop_index(
        "alarm_event_post_until",
        table_name="alarm_event",
        postgresql_where=sa.text("state = 'post_recording'"),
        sqlite_where=sa.text("state = 'post_recording'"),
    )
    op.drop_index(
        "alarm_event_active",
        table_name="alarm_event",
        postgresql_where=sa.text("state = 'active'"),
        sqlite_where=sa.text("state = 'active'"),
    )
    op.drop_table("alarm_event")
