"""What time alone brings about: lost dispatches, expired actions, ended post-recordings, old rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Engine, and_, delete, exists, or_, select, update

from broker.codec import envelope
from broker.database import advisory_lock, now
from broker.model.messages import AlarmEnded, AlarmRaised, AlarmState
from broker.outbox import put
from workers.store.lifecycle import Due
from workers.store.runs import announce_end
from workers.tables import RunState, action_run, alarm_event, delivery_try, inbox, outbox, quarantine, trigger_event

LIMIT = 500
"""Rows of a kind that one sweep looks at; the next one takes the rest."""

PIECE = 2000
"""Rows deleted in one transaction."""

LONGEST_WAKE_S = 300.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has done."""

    due: list[Due]
    expired: int
    ended: int


def sweep(engine: Engine, *, source: str, wake_s: float) -> Swept | None:
    """Look once; None when somebody else is looking. The caller dispatches what is due."""
    with engine.begin() as connection, advisory_lock(connection, "engine sweep") as mine:
        if not mine:
            return None
        present = now(connection)
        expired = _expire(connection, present, source)
        due = _wake(connection, present, wake_s)
        ended = _end_post_recordings(connection, present, source)
        return Swept(due, expired, ended)


def _expire(connection: Connection, present: datetime, source: str) -> int:
    table = action_run.c
    held_by_nobody = or_(
        table.state == RunState.PENDING.value,
        and_(table.state == RunState.RUNNING.value, table.lease_until < present),
    )
    rows = connection.execute(
        select(action_run, alarm_event.c.raised)
        .join(alarm_event, alarm_event.c.id == table.alarm_event_id)
        .where(table.deadline < present, table.wake_at <= present, held_by_nobody)
        .limit(LIMIT)
        .with_for_update(of=action_run, skip_locked=True)
    ).all()
    for row in rows:
        why = row.reason or "nobody took it up"
        ended = connection.execute(
            update(action_run)
            .where(table.id == row.id)
            .values(
                state=RunState.EXPIRED.value,
                finished_at=present,
                lease_until=None,
                reason=f"its deadline passed: {why}"[:1000],
            )
            .returning(action_run)
        ).one()
        announce_end(connection, ended, AlarmRaised.model_validate(row.raised), source)
    return len(rows)


def _wake(connection: Connection, present: datetime, wake_s: float) -> list[Due]:
    """Actions that are due and held by nobody; each wait for the next look is twice the one before.

    In a storm a dispatched action waits its turn in a queue; waking it ever again would only make the queue longer.
    """
    table = action_run.c
    rows = connection.execute(
        select(table.id, table.kind, table.lane, table.wakes)
        .where(
            table.state.in_([RunState.PENDING.value, RunState.RUNNING.value]),
            table.wake_at <= present,
            table.deadline >= present,
        )
        .order_by(table.wake_at)
        .limit(LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        wait_s = min(wake_s * 2**row.wakes, LONGEST_WAKE_S)
        connection.execute(
            update(action_run)
            .where(table.id == row.id)
            .values(wake_at=present + timedelta(seconds=wait_s), wakes=min(row.wakes + 1, 16))
        )
    return [Due(row.id, row.kind, row.lane) for row in rows]


def _end_post_recordings(connection: Connection, present: datetime, source: str) -> int:
    table = alarm_event.c
    ended: list[Any] = list(
        connection.execute(
            update(alarm_event)
            .where(table.state == AlarmState.POST_RECORDING.value, table.post_until <= present)
            .values(state=AlarmState.ENDED.value, ended_at=present)
            .returning(table.id, table.alarm_id, table.trace_id)
        )
    )
    facts = [
        envelope(
            AlarmEnded(alarm_event_id=row.id, alarm_id=row.alarm_id, at=present),
            source=source,
            trace_id=row.trace_id,
            time=present,
        )
        for row in ended
    ]
    put(connection, outbox, facts)
    return len(ended)


def tidy(engine: Engine, *, inbox_days: int, history_days: int) -> int:
    """Forget what is old; returns how many rows, those of actions that go with their alarm event not counted.

    Ids and raw events: so old that nothing can be redelivered any more. Alarm events: ended that long ago. It goes
    in small transactions, for intake waits for each of them on SQLite.
    """
    ended = exists().where(
        action_run.c.alarm_event_id == alarm_event.c.id,
        action_run.c.state.in_([RunState.PENDING.value, RunState.RUNNING.value]),
    )
    return (
        _forget(engine, trigger_event.c.id, trigger_event.c.received_at, inbox_days)
        + _forget(engine, delivery_try.c.event_id, delivery_try.c.at, inbox_days)
        + _forget(engine, inbox.c.id, inbox.c.received_at, inbox_days)
        + _forget(engine, quarantine.c.event_id, quarantine.c.at, history_days)
        + _forget(engine, alarm_event.c.id, alarm_event.c.ended_at, history_days, ~ended)
    )


def _forget(engine: Engine, key: Column[Any], at: Column[Any], days: int, *also: ColumnElement[bool]) -> int:
    """Delete the rows of a table that are older than some days, piece by piece."""
    gone = 0
    while True:
        with engine.begin() as connection, advisory_lock(connection, "engine tidy") as mine:
            if not mine:
                return gone
            before = now(connection) - timedelta(days=days)
            old = select(key).where(at < before, *also).limit(PIECE)
            count = connection.execute(delete(key.table).where(key.in_(old))).rowcount
        gone += count
        if count < PIECE:
            return gone
