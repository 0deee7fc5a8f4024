"""The life of an alarm event in the database: raised, acknowledged, stopped, ended. Callers own the transaction."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, JSON, Connection, String, bindparam, func, insert, literal_column, select, update

from broker.codec import envelope
from broker.model.base import Priority
from broker.model.messages import (
    AlarmEnded,
    AlarmPostRecordingStarted,
    AlarmRaised,
    AlarmState,
    Message,
    TriggerFact,
)
from broker.model.resources import Alarm
from broker.outbox import put
from broker.prepared import Prepared
from broker.transport import Envelope
from workers import rules
from workers.tables import Phase, RunState, action_run, alarm_event, outbox

END_SUFFIX = "-end"
"""Ends the id of the action that belongs to the end of an alarm; the rest is the id of the one at its start."""

END_DEADLINE = timedelta(days=1)
"""How long the end of an order is tried: one that stays open protects too much."""


class Due(NamedTuple):
    """An action to dispatch: what the task message needs."""

    action_id: str
    kind: str
    lane: str


@dataclass(slots=True)
class Written:
    """What a transaction has prepared; to be dispatched and announced once it is committed."""

    envelopes: list[Envelope] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes alarm events in one transaction, all with the same `now` of the database's clock."""

    connection: Connection
    now: datetime
    source: str
    """Who announces: `engine/<node id>`."""
    wake_s: float
    """When the sweeper looks after an action whose dispatch was lost."""
    written: Written = field(default_factory=Written)

    def announce(self, message: Message, trace_id: str, lane: Priority = Priority.LOW) -> None:
        """Put a message into the outbox, at `flush`."""
        self.written.envelopes.append(
            envelope(message, source=self.source, trace_id=trace_id, lane=lane, time=self.now)
        )

    def raise_alarm(self, alarm: Alarm, event: TriggerFact, event_id: str, trace_id: str) -> rules.ActiveAlarm:
        """A new alarm event with its actions."""
        raised = AlarmRaised(
            alarm_event_id=secrets.token_hex(16),
            alarm_id=alarm.id,
            at=self.now,
            alarm_name=alarm.name,
            priority=alarm.priority,
            colour=alarm.colour,
            trigger=event.trigger,
            source_id=event.source_id,
            node_id=event.node_id,
            occurred_at=event.occurred_at,
            camera_ids=rules.cameras_of(alarm),
            until_acknowledged=alarm.until_acknowledged,
            trace_id=trace_id,
        )
        post_s, acts_at_end = rules.post_s_of(alarm.actions), rules.acts_at_end(alarm.actions)
        self.written.alarms.append(
            {
                "id": raised.alarm_event_id,
                "alarm_id": alarm.id,
                "source_id": event.source_id,
                "trigger_event_id": event_id,
                "state": AlarmState.ACTIVE.value,
                "raised": raised.model_dump(mode="json"),
                "raised_at": self.now,
                "until_acknowledged": alarm.until_acknowledged,
                "post_s": post_s,
                "acts_at_end": acts_at_end,
                "triggered": 1,
                "last_trigger_at": event.occurred_at,
                "trace_id": trace_id,
            }
        )
        for number, settings in enumerate(alarm.actions):
            self._add_run(
                action_id=f"{raised.alarm_event_id}-{number}",
                event_id=raised.alarm_event_id,
                kind=settings.kind,
                phase=Phase.START,
                lane=alarm.priority.value,
                settings=settings.model_dump(mode="json"),
                deadline=self.now + timedelta(seconds=settings.deadline_s),
            )
        self.announce(raised, trace_id, alarm.priority)
        return rules.ActiveAlarm(raised.alarm_event_id, alarm.id, alarm.until_acknowledged, post_s, acts_at_end)

    def note(self, active: rules.ActiveAlarm, at: datetime) -> None:
        """The alarm event's cause was seen again."""
        self.flush_alarms()
        NOTE.run(self.connection, {"of_id": active.alarm_event_id, "at": at})

    def stop(self, decision: rules.Stop) -> None:
        """The alarm event is active no more; what acts at its end is planned."""
        self.flush_alarms()
        event_id = decision.active.alarm_event_id
        post = decision.until is not None
        values = {
            "of_id": event_id,
            "state": (AlarmState.POST_RECORDING if post else AlarmState.ENDED).value,
            "condition_ended_at": decision.at,
            "post_until": decision.until,
            "ended_at": None if post else self.now,
        }
        rows = STOP.rows(self.connection, values)
        if not rows:
            return
        row = rows[0]
        fact = {"alarm_event_id": event_id, "alarm_id": decision.active.alarm_id, "at": self.now}
        if decision.until is not None:
            self.announce(AlarmPostRecordingStarted(**fact, until=decision.until), row.trace_id)
        else:
            self.announce(AlarmEnded(**fact), row.trace_id)
        if decision.active.acts_at_end:
            self._plan_end_phase(event_id)

    def _plan_end_phase(self, event_id: str) -> None:
        for run in RUNS_AT_START.rows(self.connection, {"of_event": event_id}):
            if run.kind not in rules.KINDS_AT_END:
                continue
            self._add_run(
                action_id=f"{run.id}{END_SUFFIX}",
                event_id=event_id,
                kind=run.kind,
                phase=Phase.END,
                lane=run.lane,
                settings=run.settings,
                deadline=self.now + END_DEADLINE,
            )

    def _add_run(
        self,
        *,
        action_id: str,
        event_id: str,
        kind: str,
        phase: Phase,
        lane: str,
        settings: dict[str, Any],
        deadline: datetime,
    ) -> None:
        self.written.runs.append(
            {
                "id": action_id,
                "alarm_event_id": event_id,
                "kind": kind,
                "phase": phase.value,
                "lane": lane,
                "settings": settings,
                "state": RunState.PENDING.value,
                "attempt": 0,
                "created_at": self.now,
                "not_before": self.now,
                "deadline": deadline,
                "wake_at": self.now + timedelta(seconds=self.wake_s),
                "wakes": 0,
                "in_doubt": False,
                "repeated": False,
                "reason": "",
            }
        )
        self.written.due.append(Due(action_id, kind, lane))

    def flush_alarms(self) -> None:
        """Write new alarm events and their actions, so that later statements of the transaction find them."""
        if self.written.alarms:
            ADD_ALARM.run(self.connection, *self.written.alarms)
            self.written.alarms = []
        if self.written.runs:
            ADD_RUN.run(self.connection, *self.written.runs)
            self.written.runs = []

    def flush(self) -> Written:
        """Write everything that is left. Call it last."""
        self.flush_alarms()
        put(self.connection, outbox, self.written.envelopes)
        return self.written


NOTE = Prepared(
    lambda _: (
        update(alarm_event)
        .where(alarm_event.c.id == bindparam("of_id"))
        .values(triggered=alarm_event.c.triggered + 1, last_trigger_at=bindparam("at"))
    )
)

STOP = Prepared(
    lambda _: (
        update(alarm_event)
        .where(alarm_event.c.id == bindparam("of_id"), alarm_event.c.state == AlarmState.ACTIVE.value)
        .returning(alarm_event.c.trace_id)
    ),
    keys=("state", "condition_ended_at", "post_until", "ended_at"),
)

RUNS_AT_START = Prepared(
    lambda _: select(action_run.c.id, action_run.c.kind, action_run.c.lane, action_run.c.settings).where(
        action_run.c.alarm_event_id == bindparam("of_event"), action_run.c.phase == Phase.START.value
    )
)

ADD_ALARM = Prepared(
    lambda _: insert(alarm_event),
    keys=(
        "id", "alarm_id", "source_id", "trigger_event_id", "state", "raised", "raised_at", "until_acknowledged",
        "post_s", "acts_at_end", "triggered", "last_trigger_at", "trace_id",
    ),
)  # fmt: skip

ADD_RUN = Prepared(
    lambda _: insert(action_run),
    keys=(
        "id", "alarm_event_id", "kind", "phase", "lane", "settings", "state", "attempt", "created_at", "not_before",
        "deadline", "wake_at", "wakes", "in_doubt", "repeated", "reason",
    ),
)  # fmt: skip


def _active(dialect: str) -> Any:
    """Locked in the order of their ids. Which sources is one value: an array, or JSON."""
    columns = alarm_event.c
    if dialect == "postgresql":
        of_sources: Any = columns.source_id == func.any(bindparam("source_ids", type_=ARRAY(String)))
    else:
        each = func.json_each(bindparam("source_ids", type_=JSON)).table_valued("value")
        of_sources = columns.source_id.in_(select(each.c.value))
    state: Any = literal_column(f"'{AlarmState.ACTIVE.value}'")  # the partial index needs to see it
    return (
        select(
            columns.id,
            columns.alarm_id,
            columns.source_id,
            columns.until_acknowledged,
            columns.post_s,
            columns.acts_at_end,
        )
        .where(of_sources, columns.state == state)
        .order_by(columns.id)
        .with_for_update()
    )


ACTIVE = Prepared(_active)


def ask_active(
    connection: Connection, source_ids: Sequence[str]
) -> Callable[[], dict[str, dict[str, rules.ActiveAlarm]]]:
    """The active alarm events of some sources, by source and alarm id, locked in the order of their ids."""
    asked = ACTIVE.ask(connection, {"source_ids": list(source_ids)})

    def answer() -> dict[str, dict[str, rules.ActiveAlarm]]:
        found: dict[str, dict[str, rules.ActiveAlarm]] = {}
        for row in asked():
            found.setdefault(row.source_id, {})[row.alarm_id] = active_from(row)
        return found

    return answer


def active_from(row: Any) -> rules.ActiveAlarm:
    """The value that rules know, from a row of `alarm_event`."""
    return rules.ActiveAlarm(row.id, row.alarm_id, row.until_acknowledged, row.post_s, row.acts_at_end)
