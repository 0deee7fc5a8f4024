"""Taking in trigger events: everything that a batch means, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, update

from broker.database import is_postgresql
from broker.inbox import accept
from broker.model.messages import TriggerActivated, TriggerFact
from broker.prepared import Prepared, transaction
from broker.transport import Envelope
from workers import rules
from workers.store.lifecycle import Due, Pen, ask_active
from workers.store.moment import moment
from workers.store.upsert import insert_for
from workers.tables import inbox, source_state, trigger_event

EPOCH = datetime.fromtimestamp(0, UTC)
"""When a source changed that has never been heard of."""


class SourceKey(NamedTuple):
    """A source as one node sees it."""

    source_id: str
    node_id: str


@dataclass(slots=True)
class SourceState:
    """The newest event of a source that was taken in."""

    boot: int
    sequence: int
    active: bool
    changed_at: datetime
    changed: bool = False

    def is_newer_than(self, fact: TriggerFact) -> bool:
        """Whether a fact comes late: lanes may overtake each other when an alarm's priority has changed."""
        return (self.boot, self.sequence) > (fact.boot, fact.sequence)

    def take(self, fact: TriggerFact) -> None:
        """A newer event was taken in."""
        self.boot, self.sequence = fact.boot, fact.sequence
        self.active, self.changed_at = isinstance(fact, TriggerActivated), fact.occurred_at
        self.changed = True


@dataclass(frozen=True, slots=True)
class Intake:
    """Writes batches of trigger events.

    `accept` is the inbox: it says which ids are new, in the transaction that does the work.
    """

    engine: Engine
    source: str
    wake_s: float
    accept: Callable[[Connection, Sequence[str]], frozenset[str]] = lambda connection, ids: accept(
        connection, inbox, ids
    )

    def take_in(self, envelopes: Sequence[Envelope], alarms: rules.AlarmIndex) -> list[Due]:
        """Store a batch and all that follows from it; returns the actions to dispatch. Duplicates change nothing."""
        keys = sorted({_key(found.message) for found in envelopes if isinstance(found.message, TriggerFact)})
        if not keys:
            return []
        with transaction(self.engine) as connection:
            # Asked together, in this order: what is active is looked up when the sources are locked.
            sources = _lock_sources(connection, keys)
            active = ask_active(connection, sorted({key.source_id for key in keys}))
            facts = _in_order(envelopes, self.accept(connection, [envelope.id for envelope in envelopes]))
            if not facts:
                return []
            states, present = sources()
            pen = Pen(connection, present, self.source, self.wake_s)
            self._decide(pen, states, active(), facts, alarms)
            return pen.flush().due

    @staticmethod
    def _decide(
        pen: Pen,
        states: dict[SourceKey, SourceState],
        active: dict[str, dict[str, rules.ActiveAlarm]],
        facts: Sequence[tuple[TriggerFact, Envelope]],
        alarms: rules.AlarmIndex,
    ) -> None:
        raw: list[dict[str, Any]] = []
        for fact, envelope in facts:
            state = states[_key(fact)]
            mine = active.setdefault(fact.source_id, {})
            raised: list[rules.ActiveAlarm] = []
            if not state.is_newer_than(fact):
                raised = _apply(pen, rules.plan(fact, alarms.of(fact.source_id), mine, pen.now), mine, fact, envelope)
                state.take(fact)
            elif isinstance(fact, TriggerActivated):
                raised = _apply(pen, rules.plan(fact, alarms.of(fact.source_id), mine, pen.now), mine, fact, envelope)
                if not state.active:  # its end was taken in before it: what it raised is over
                    ended_at = max(state.changed_at, fact.occurred_at)
                    over = [rules.stop(one, ended_at, pen.now) for one in raised if not one.until_acknowledged]
                    _apply(pen, over, mine, fact, envelope)
            raw.append(_raw(fact, envelope, pen.now, [one.alarm_event_id for one in raised]))
        STORE_RAW.run(pen.connection, *raw)
        _store_sources(pen.connection, states)


def _apply(
    pen: Pen,
    decisions: Sequence[rules.Decision],
    active: dict[str, rules.ActiveAlarm],
    fact: TriggerFact,
    envelope: Envelope,
) -> list[rules.ActiveAlarm]:
    """Write decisions, keep `active` up to date for the next event of the batch, and return what was raised."""
    raised = []
    for decision in decisions:
        match decision:
            case rules.Raise(alarm=alarm):
                active[alarm.id] = pen.raise_alarm(alarm, fact, envelope.id, envelope.trace_id)
                raised.append(active[alarm.id])
            case rules.Note(active=one):
                pen.note(one, fact.occurred_at)
            case rules.Stop(active=one):
                pen.stop(decision)
                del active[one.alarm_id]
    return raised


def _in_order(envelopes: Sequence[Envelope], new: frozenset[str]) -> list[tuple[TriggerFact, Envelope]]:
    """The new facts, each id once, in the order in which each node saw them."""
    facts: dict[str, tuple[TriggerFact, Envelope]] = {}
    for envelope in envelopes:
        fact = envelope.message
        if envelope.id in new and isinstance(fact, TriggerFact):
            facts.setdefault(envelope.id, (fact, envelope))
    return sorted(facts.values(), key=lambda pair: (pair[0].node_id, pair[0].boot, pair[0].sequence))


def _lock_source(dialect: str) -> Any:
    """Make a source's row or find it there, and lock it."""
    insert = insert_for(dialect)(source_state)
    statement = insert.values(
        source_id=bindparam("source_id"),
        node_id=bindparam("node_id"),
        boot=-1,
        sequence=-1,
        active=False,
        changed_at=bindparam("changed_at"),
    ).on_conflict_do_update(index_elements=["source_id", "node_id"], set_={"node_id": insert.excluded.node_id})
    return statement.returning(source_state, *([moment().label("present")] if dialect == "postgresql" else []))


LOCK_SOURCE = Prepared(_lock_source)


def _lock_sources(
    connection: Connection, keys: Sequence[SourceKey]
) -> Callable[[], tuple[dict[SourceKey, SourceState], datetime]]:
    """The state of each source, its row made if need be and locked in one order, and the time after that.

    Two intakes can hold events of one source when its lane changes; the second one waits here.
    """
    present = None if is_postgresql(connection) else datetime.now(UTC)
    asked = [LOCK_SOURCE.ask(connection, {**key._asdict(), "changed_at": present or EPOCH}) for key in keys]

    def answer() -> tuple[dict[SourceKey, SourceState], datetime]:
        rows = [row for each in asked for row in each()]
        states = {
            SourceKey(row.source_id, row.node_id): SourceState(row.boot, row.sequence, row.active, row.changed_at)
            for row in rows
        }
        return states, present or rows[-1].present

    return answer


def _key(fact: TriggerFact) -> SourceKey:
    return SourceKey(fact.source_id, fact.node_id)


def _store_sources(connection: Connection, states: dict[SourceKey, SourceState]) -> None:
    rows = [
        {
            "of_source": key.source_id,
            "of_node": key.node_id,
            "boot": state.boot,
            "sequence": state.sequence,
            "active": state.active,
            "changed_at": state.changed_at,
        }
        for key, state in states.items()
        if state.changed
    ]
    STORE_SOURCE.run(connection, *rows)


STORE_SOURCE = Prepared(
    lambda _: update(source_state).where(
        source_state.c.source_id == bindparam("of_source"), source_state.c.node_id == bindparam("of_node")
    ),
    keys=("boot", "sequence", "active", "changed_at"),
)

STORE_RAW = Prepared(
    lambda dialect: insert_for(dialect)(trigger_event).on_conflict_do_nothing(), keys=trigger_event.c.keys()
)


def _raw(fact: TriggerFact, envelope: Envelope, present: datetime, raised: list[str]) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "kind": fact.kind(),
        "source_id": fact.source_id,
        "node_id": fact.node_id,
        "boot": fact.boot,
        "sequence": fact.sequence,
        "trigger": fact.trigger.value,
        "occurred_at": fact.occurred_at,
        "camera_time": fact.camera_time,
        "received_at": present,
        "trace_id": envelope.trace_id,
        "cells": list(fact.cells),
        "raised": raised,
    }
