"""What processes say of themselves: the last state of each, and the log of health events."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker import inbox, outbox
from broker.codec import envelope
from broker.database import is_postgresql, now
from broker.model import messages as m
from broker.model.access import Access
from broker.model.health import HealthEvent
from broker.transport import Envelope
from servers.smserver import events, tables
from servers.smserver.configuration import SOURCE
from servers.smserver.tables import health_event, node_state

SILENT_S = 35
"""Three reports of a process missed, and a little more."""


def take_in(connection: Connection, envelopes: Sequence[Envelope]) -> None:
    """Write a batch in the caller's transaction."""
    new = inbox.accept(
        connection, tables.inbox, [found.id for found in envelopes if isinstance(found.message, m.HealthEventReported)]
    )
    told: list[events.Told] = []
    newest: dict[str, m.NodeStateReported] = {}
    for found in envelopes:
        match found.message:
            case m.HealthEventReported() as reported if found.id in new:
                new -= {found.id}
                connection.execute(
                    sa.insert(health_event).values(
                        id=found.id[:120],
                        at=reported.at,
                        node_id=reported.node_id,
                        event=reported.event.value,
                        subject=reported.subject[:200],
                        detail=reported.detail,
                    )
                )
                told.append(events.Told(reported.kind(), found.time, reported.model_dump(mode="json")))
            case m.NodeStateReported() as state:
                held = newest.get(state.node_id)
                newest[state.node_id] = state if held is None or held.at <= state.at else held
    told += [
        events.Told(state.kind(), state.at, state.model_dump(mode="json"))
        for state in newest.values()
        if _store_state(connection, state)
    ]
    events.tell(connection, told)


def _store_state(connection: Connection, state: m.NodeStateReported) -> bool:
    """Store a state unless a newer one is held. True when it says something new."""
    held = connection.execute(
        sa.select(node_state.c.at, node_state.c.body, node_state.c.lost).where(node_state.c.node_id == state.node_id)
    ).one_or_none()
    if held is not None and held.at > state.at:
        return False
    body = state.model_dump(mode="json")
    insert = postgresql.insert if is_postgresql(connection) else sqlite.insert
    values = {"at": state.at, "received_at": now(connection), "lost": False, "body": body}
    if held is not None and held.lost:
        _report(connection, HealthEvent.NODE_RESTORED, state.node_id, "It speaks again.")
    connection.execute(
        insert(node_state)
        .values(node_id=state.node_id, **values)
        .on_conflict_do_update(index_elements=["node_id"], set_=values)
    )
    return held is None or {**held.body, "at": None} != {**body, "at": None}


def notice_silence(connection: Connection) -> None:
    """Report the processes that have said nothing for too long, once each."""
    silent = (
        sa.update(node_state)
        .where(node_state.c.received_at < now(connection) - timedelta(seconds=SILENT_S), node_state.c.lost.is_(False))
        .values(lost=True)
        .returning(node_state.c.node_id)
    )
    for node_id in connection.execute(silent).scalars().all():
        _report(connection, HealthEvent.NODE_LOST, node_id, f"It has said nothing for {SILENT_S} seconds.")


def _report(connection: Connection, event: HealthEvent, node_id: str, detail: str) -> None:
    at = now(connection)
    reported = m.HealthEventReported(node_id=SOURCE, event=event, subject=node_id, detail=detail, at=at)
    outbox.put(connection, tables.outbox, [envelope(reported, source=SOURCE, time=at)])


def states(connection: Connection, access: Access) -> list[dict[str, Any]]:
    """The last state of each process, as far as the caller may see it."""
    rows = connection.execute(sa.select(node_state.c.body).order_by(node_state.c.node_id)).scalars()
    seen = [state_as(body, access) for body in rows]
    return [body for body in seen if body is not None]


def state_as(body: dict[str, Any], access: Access) -> dict[str, Any] | None:
    """A state as the caller may see it: others than administrators hear of their cameras only."""
    if access.administer:
        return body
    cameras = [camera for camera in body.get("cameras", ()) if access.camera(camera["camera_id"])]
    return {**body, "operations_url": "", "cameras": cameras} if cameras else None


def health_events(connection: Connection, *, before: datetime | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """The log of health events, newest first."""
    query = sa.select(health_event).order_by(health_event.c.at.desc(), health_event.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(health_event.c.at < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def forget(connection: Connection, before: datetime) -> None:
    """Delete health events that are old."""
    connection.execute(sa.delete(health_event).where(health_event.c.at < before))
