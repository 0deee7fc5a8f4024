"""What happened: alarm events, the audit trail, health events, states of nodes."""

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from starlette.requests import HTTPConnection

from broker.model.base import Instant
from broker.model.log import Acknowledged, AlarmEvent, AuditRecord, HealthRecord
from broker.model.messages import AlarmState, NodeStateReported
from servers.net.policy import Administrator, SignedIn
from servers.smserver import alarm_log, conditions
from servers.smserver.api.context import Items, Using, access_of, author_of
from servers.smserver.errors import RefusedError
from servers.smserver.tables import audit

router = APIRouter()

Limit = Annotated[int, Query(ge=1, le=500)]
Before = Annotated[str | None, Query(description="A time, e.g. 2026-01-31T12:00:00Z, or the id of an alarm event.")]
BeforeId = Annotated[int | None, Query(ge=1, description="The id of a record: those before it. Pages never overlap.")]
TIME: TypeAdapter[datetime] = TypeAdapter(Instant)


@router.get("/alarm-events", operation_id="list_alarm_events", tags=["alarm events"])
def list_alarm_events(
    caller: SignedIn,
    using: Using,
    state: AlarmState | None = None,
    *,
    alarm_id: str | None = None,
    before: Before = None,
    limit: Limit = 100,
) -> Items[AlarmEvent]:
    """The alarm log, newest first."""
    with using.store.read() as connection:
        rows = alarm_log.listed(
            connection, access_of(caller), state=state, alarm_id=alarm_id, before=_moment_or_id(before), limit=limit
        )
    return Items(items=[_alarm_event(row) for row in rows])


@router.get("/alarm-events/{event_id}", operation_id="get_alarm_event", tags=["alarm events"])
def get_alarm_event(event_id: str, caller: SignedIn, using: Using) -> AlarmEvent:
    """One alarm event."""
    with using.store.read() as connection:
        return _alarm_event(alarm_log.one(connection, access_of(caller), event_id))


@router.post("/alarm-events/{event_id}/acknowledge", operation_id="acknowledge", status_code=202, tags=["alarm events"])
def acknowledge(event_id: str, caller: SignedIn, using: Using, request: HTTPConnection) -> None:
    """Take notice; `AlarmAcknowledged` follows when the engine has applied it."""
    with using.store.write() as connection:
        alarm_log.ask_to_acknowledge(connection, access_of(caller), event_id, author_of(request, caller.id))
    using.committed()


@router.get("/audit", operation_id="list_audit", tags=["logs"])
def list_audit(
    _caller: Administrator,
    using: Using,
    before: Instant | None = None,
    limit: Limit = 100,
    *,
    before_id: BeforeId = None,
    user_id: str | None = None,
    kind: str | None = None,
    object_id: str | None = None,
) -> Items[AuditRecord]:
    """The audit trail, newest first; of one user, kind or object where they are named."""
    columns = [column for column in audit.c if column.name != "digest"]
    query = sa.select(*columns).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.at < before)
    if before_id is not None:
        query = query.where(audit.c.id < before_id)
    for column, wanted in ((audit.c.user_id, user_id), (audit.c.kind, kind), (audit.c.object_id, object_id)):
        if wanted:
            query = query.where(column == wanted)
    with using.store.read() as connection:
        return Items(items=[AuditRecord(**row) for row in connection.execute(query).mappings()])


@router.get("/health-events", operation_id="list_health_events", tags=["logs"])
def list_health_events(
    _caller: Administrator, using: Using, before: Instant | None = None, limit: Limit = 100
) -> Items[HealthRecord]:
    """What the system said about its own condition, newest first."""
    with using.store.read() as connection:
        rows = conditions.health_events(connection, before=before, limit=limit)
    return Items(items=[HealthRecord.model_validate(row, extra="ignore") for row in rows])


@router.get("/node-states", operation_id="list_node_states", tags=["logs"])
def list_node_states(caller: SignedIn, using: Using) -> Items[NodeStateReported]:
    """What each process last said of itself."""
    with using.store.read() as connection:
        states = conditions.states(connection, access_of(caller))
    return Items(items=[NodeStateReported.model_validate(body, extra="ignore") for body in states])


def _alarm_event(row: alarm_log.Row) -> AlarmEvent:
    acknowledged = (
        Acknowledged(user_id=row["acknowledged_by"], user_name=row["acknowledged_name"], at=row["acknowledged_at"])
        if row["acknowledged_at"]
        else None
    )
    return AlarmEvent.model_validate({**row, "acknowledged": acknowledged}, extra="ignore")


def _moment_or_id(before: str | None) -> datetime | str | None:
    if before is None or "T" not in before:
        return before
    try:
        return TIME.validate_python(before)
    except ValueError as error:
        raise RefusedError(
            f"{before!r} is no time with a zone.", field="before", remedy="An example is 2026-01-31T12:00:00Z."
        ) from error
