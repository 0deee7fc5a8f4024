"""Events that cannot be handled: their tries are counted before the work, and after the last they are set aside."""

import json

from sqlalchemy import Connection, Engine, delete, select, update

from broker.codec import envelope as wrap
from broker.codec import pack
from broker.database import now
from broker.model.health import HealthEvent
from broker.model.messages import HealthEventReported
from broker.outbox import put
from broker.transport import Envelope
from workers.store.upsert import insert_for
from workers.tables import delivery_try, inbox, outbox, quarantine

LONGEST_REASON = 1000
UNSEEN = "the worker ended each time before it could say why"


def begin_try(engine: Engine, event_id: str) -> int:
    """Count a try, in a transaction of its own, so that it counts even when the work ends the process."""
    with engine.begin() as connection:
        row = {"event_id": event_id, "tries": 1, "reason": "", "at": now(connection)}
        statement = (
            insert_for(connection.dialect.name)(delivery_try)
            .values(row)
            .on_conflict_do_update(
                index_elements=["event_id"], set_={"tries": delivery_try.c.tries + 1, "at": row["at"]}
            )
            .returning(delivery_try.c.tries)
        )
        return int(connection.execute(statement).scalar_one())


def note_failure(engine: Engine, event_id: str, reason: str) -> None:
    """Remember what went wrong at the present try."""
    with engine.begin() as connection:
        connection.execute(
            update(delivery_try).where(delivery_try.c.event_id == event_id).values(reason=reason[:LONGEST_REASON])
        )


def forget_tries(engine: Engine, event_id: str) -> None:
    """The event is handled."""
    with engine.begin() as connection:
        connection.execute(delete(delivery_try).where(delivery_try.c.event_id == event_id))


def set_aside(engine: Engine, event: Envelope, *, node_id: str) -> str:
    """Put an event into quarantine and tell the administrators; returns the reason."""
    with engine.begin() as connection:
        row = connection.execute(select(delivery_try).where(delivery_try.c.event_id == event.id)).one_or_none()
        reason = (row.reason if row else "") or UNSEEN
        tries = row.tries - 1 if row else 0
        headers, body = pack(event)
        at = now(connection)
        connection.execute(
            insert_for(connection.dialect.name)(quarantine)
            .values(
                event_id=event.id,
                kind=event.message.kind(),
                headers=headers,
                body=json.loads(body),
                reason=reason,
                tries=tries,
                at=at,
            )
            .on_conflict_do_nothing()
        )
        report = HealthEventReported(
            node_id=node_id,
            event=HealthEvent.EVENT_QUARANTINED,
            subject=event.id,
            detail=f"{event.message.kind()} after {tries} tries: {reason}",
            at=at,
        )
        put(connection, outbox, [wrap(report, source=f"engine/{node_id}", trace_id=event.trace_id, time=at)])
        connection.execute(delete(delivery_try).where(delivery_try.c.event_id == event.id))
        return reason


def known(engine: Engine, ids: list[str]) -> frozenset[str]:
    """Which of these events were taken in or set aside before, so that nothing is left to do about them."""
    with engine.begin() as connection:
        return _ids(connection, ids)


def _ids(connection: Connection, ids: list[str]) -> frozenset[str]:
    taken = connection.scalars(select(inbox.c.id).where(inbox.c.id.in_(ids)))
    aside = connection.scalars(select(quarantine.c.event_id).where(quarantine.c.event_id.in_(ids)))
    return frozenset(taken) | frozenset(aside)
