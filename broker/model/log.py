"""What SMServer's logs hold: alarm events, what was done about them, the audit trail and health events."""

from typing import Any

from broker.model.base import Instant, Priority, Value
from broker.model.messages import AlarmState


class Acknowledged(Value):
    """Who took notice, and when."""

    user_id: str
    user_name: str
    at: Instant


class ActionRun(Value):
    """How an action ended."""

    id: str
    kind: str
    outcome: str
    attempts: int
    reason: str
    repeated: bool
    at: Instant


class AlarmEvent(Value):
    """One time that an alarm went off."""

    id: str
    alarm_id: str
    alarm_name: str
    priority: Priority
    colour: str
    state: AlarmState
    source_id: str
    node_id: str
    occurred_at: Instant
    raised_at: Instant
    acknowledged: Acknowledged | None
    post_until: Instant | None
    ended_at: Instant | None
    until_acknowledged: bool
    camera_ids: tuple[str, ...]
    actions: tuple[ActionRun, ...]
    trace_id: str


class AuditRecord(Value):
    """One line of the audit trail."""

    id: int
    at: Instant
    user_id: str
    address: str
    program: str
    action: str
    kind: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class HealthRecord(Value):
    """A condition of the system that began or ended."""

    node_id: str
    event: str
    subject: str
    detail: str
    at: Instant
