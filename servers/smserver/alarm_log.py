"""The read copy of the engine's alarm events. Facts may come twice and in any order; the result is the same."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker import inbox, outbox
from broker.codec import envelope
from broker.database import is_postgresql, now
from broker.model import messages as m
from broker.model.access import Access
from broker.model.resources import Right
from broker.transport import Envelope
from servers.smserver import audit, events, tables
from servers.smserver.audit import Author, Deed
from servers.smserver.configuration import SOURCE
from servers.smserver.errors import ForbiddenError, NotFoundError
from servers.smserver.tables import action_outcome, alarm_event

RANK = {state: rank for rank, state in enumerate(m.AlarmState)}
"""A state never goes back: of two facts, the one further along its life counts."""

CHUNK = 400
"""Ids per statement."""

Row = dict[str, Any]


def take_in(connection: Connection, envelopes: Sequence[Envelope]) -> int:
    """Write a batch in the caller's transaction: inbox, read copy and events. Returns how many were new."""
    new = inbox.accept(connection, tables.inbox, [found.id for found in envelopes])
    facts: list[m.AlarmFact] = []
    told: list[events.Told] = []
    for found in envelopes:
        if found.id not in new or not isinstance(found.message, m.AlarmFact):
            continue
        new -= {found.id}  # one batch may hold the same message twice
        facts.append(found.message)
        told.append(events.Told(found.message.kind(), found.time, found.message.model_dump(mode="json")))
    if facts:
        _merge_events(connection, facts)
        _store_outcomes(connection, [fact for fact in facts if isinstance(fact, m.ActionPerformed)])
        events.tell(connection, told)
    return len(facts)


def _merge_events(connection: Connection, facts: Sequence[m.AlarmFact]) -> None:
    ids = sorted({fact.alarm_event_id for fact in facts})
    held: dict[str, Row] = {}
    for start in range(0, len(ids), CHUNK):
        found = connection.execute(
            sa.select(alarm_event).where(alarm_event.c.id.in_(ids[start : start + CHUNK])).with_for_update()
        )
        held |= {row["id"]: dict(row) for row in found.mappings()}
    known = frozenset(held)
    for fact in facts:
        held[fact.alarm_event_id] = merged(held.get(fact.alarm_event_id) or _blank(fact), fact)
    if added := [row for id_, row in held.items() if id_ not in known]:
        connection.execute(sa.insert(alarm_event), added)
    if changed := [{f"new_{name}": value for name, value in held[id_].items()} for id_ in sorted(known)]:
        columns: dict[str, Any] = {
            column.name: sa.bindparam(f"new_{column.name}") for column in alarm_event.c if column.name != "id"
        }
        connection.execute(
            sa.update(alarm_event).where(alarm_event.c.id == sa.bindparam("new_id")).values(columns), changed
        )


def _blank(fact: m.AlarmFact) -> Row:
    """A row of which only one fact is known; it is not listed before `AlarmRaised` has come."""
    return {
        "id": fact.alarm_event_id,
        "alarm_id": fact.alarm_id,
        "alarm_name": "",
        "priority": "",
        "colour": "",
        "state": m.AlarmState.ACTIVE.value,
        "trigger": "",
        "source_id": "",
        "node_id": "",
        "camera_ids": [],
        "occurred_at": None,
        "raised_at": None,
        "until_acknowledged": False,
        "acknowledged_at": None,
        "acknowledged_by": "",
        "acknowledged_name": "",
        "post_until": None,
        "ended_at": None,
        "trace_id": "",
    }


def merged(row: Row, fact: m.AlarmFact) -> Row:
    """What is known after one more fact. Pure."""
    match fact:
        case m.AlarmRaised():
            return row | {
                "alarm_name": fact.alarm_name,
                "priority": fact.priority.value,
                "colour": fact.colour,
                "trigger": fact.trigger.value,
                "source_id": fact.source_id,
                "node_id": fact.node_id,
                "camera_ids": list(fact.camera_ids),
                "occurred_at": fact.occurred_at,
                "raised_at": fact.at,
                "until_acknowledged": fact.until_acknowledged,
                "trace_id": fact.trace_id,
            }
        case m.AlarmAcknowledged():
            if row["acknowledged_at"] is not None and row["acknowledged_at"] <= fact.at:
                return row
            return row | {
                "acknowledged_at": fact.at,
                "acknowledged_by": fact.user_id,
                "acknowledged_name": fact.user_name,
            }
        case m.AlarmPostRecordingStarted():
            return row | {"post_until": fact.until, "state": _later(row["state"], m.AlarmState.POST_RECORDING)}
        case m.AlarmEnded():
            return row | {"ended_at": fact.at, "state": m.AlarmState.ENDED.value}
        case _:
            return row


def _later(held: str, said: m.AlarmState) -> str:
    return max(m.AlarmState(held), said, key=RANK.__getitem__).value


def _store_outcomes(connection: Connection, performed: Sequence[m.ActionPerformed]) -> None:
    if not performed:
        return
    rows = {
        fact.action_id: {
            "id": fact.action_id,
            "alarm_event_id": fact.alarm_event_id,
            "kind": fact.action_kind,
            "outcome": fact.outcome.value,
            "attempts": fact.attempts,
            "reason": fact.reason,
            "repeated": fact.repeated,
            "at": fact.at,
        }
        for fact in performed
    }
    insert = postgresql.insert if is_postgresql(connection) else sqlite.insert
    statement = insert(action_outcome)
    newest = {name: statement.excluded[name] for name in ("outcome", "attempts", "reason", "repeated", "at")}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=newest, where=statement.excluded.at >= action_outcome.c.at
        ),
        list(rows.values()),
    )


# --- Reading ----------------------------------------------------------------------------------------------------


def listed(
    connection: Connection,
    access: Access,
    *,
    state: m.AlarmState | None = None,
    alarm_id: str | None = None,
    before: datetime | str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Alarm events that the caller's profile holds, newest first. `before` is a time, or the id of an event."""
    query = sa.select(alarm_event).where(alarm_event.c.raised_at.is_not(None))
    if not access.profile.everything:
        query = query.where(alarm_event.c.alarm_id.in_(sorted(access.profile.alarm_ids)))
    if state is not None:
        query = query.where(alarm_event.c.state == state.value)
    if alarm_id is not None:
        query = query.where(alarm_event.c.alarm_id == alarm_id)
    if isinstance(before, datetime):
        query = query.where(alarm_event.c.raised_at < before)
    elif before is not None:
        raised_at = sa.select(alarm_event.c.raised_at).where(alarm_event.c.id == before).scalar_subquery()
        older = alarm_event.c.raised_at < raised_at
        query = query.where(older | ((alarm_event.c.raised_at == raised_at) & (alarm_event.c.id < before)))
    query = query.order_by(alarm_event.c.raised_at.desc(), alarm_event.c.id.desc()).limit(limit)
    return _complete(connection, access, connection.execute(query).mappings())


def one(connection: Connection, access: Access, event_id: str) -> Row:
    """One alarm event. Raises `NotFoundError` when the caller's profile does not hold its alarm."""
    query = sa.select(alarm_event).where(alarm_event.c.id == event_id, alarm_event.c.raised_at.is_not(None))
    rows = connection.execute(query).mappings()
    found = _complete(connection, access, [row for row in rows if access.alarm(row["alarm_id"])])
    if not found:
        raise NotFoundError(f"There is no alarm event {event_id}.")
    return found[0]


def _complete(connection: Connection, access: Access, rows: Iterable[Any]) -> list[Row]:
    """Add the outcomes of actions, and leave out cameras that the caller does not see."""
    found = {
        row["id"]: {
            **row,
            "camera_ids": [id_ for id_ in row["camera_ids"] if access.camera(id_)],
            "actions": [],
        }
        for row in rows
    }
    if found:
        query = (
            sa.select(action_outcome)
            .where(action_outcome.c.alarm_event_id.in_(found))
            .order_by(action_outcome.c.at, action_outcome.c.id)
        )
        for action in connection.execute(query).mappings():
            found[action["alarm_event_id"]]["actions"].append(dict(action))
    return list(found.values())


def ask_to_acknowledge(connection: Connection, access: Access, event_id: str, author: Author) -> None:
    """Record that the user takes notice, and ask the engine to apply it, in the caller's transaction.

    Raises:
        NotFoundError: no such event, or none that the caller may see.
        ForbiddenError: the profile lacks the right.
    """
    row = one(connection, access, event_id)
    if not access.alarm(row["alarm_id"], Right.ACKNOWLEDGE):
        raise ForbiddenError("Your profile lacks the right to acknowledge alarms.")
    at = now(connection)
    request = m.AcknowledgeRequested(alarm_event_id=event_id, user_id=access.user.id, user_name=access.user.name, at=at)
    outbox.put(connection, tables.outbox, [envelope(request, source=SOURCE, time=at, trace_id=row["trace_id"])])
    audit.record(connection, author, Deed(action="acknowledge", kind="alarm_event", object_id=event_id))


def forget(connection: Connection, before: datetime) -> None:
    """Delete alarm events that ended long ago."""
    old = sa.select(alarm_event.c.id).where(alarm_event.c.ended_at < before)
    connection.execute(sa.delete(action_outcome).where(action_outcome.c.alarm_event_id.in_(old)))
    connection.execute(sa.delete(alarm_event).where(alarm_event.c.ended_at < before))
