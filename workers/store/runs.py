"""Actions in the database: claimed under a lease, renewed, finished. The row is the truth, a task is a wake-up call."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, and_, bindparam, exists, or_, select, update

from broker.codec import envelope
from broker.database import is_postgresql, now
from broker.model.actions import ActionSettings, AnyActionSettings, Outcome
from broker.model.messages import ActionPerformed, AlarmRaised
from broker.outbox import put
from workers.store.lifecycle import END_SUFFIX
from workers.store.moment import clock, clock_parameters, moment
from workers.tables import Phase, RunState, action_run, alarm_event, outbox

SETTINGS: TypeAdapter[ActionSettings] = TypeAdapter(AnyActionSettings)

LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """An action that this worker holds, with what there is to know about it."""

    action_id: str
    kind: str
    phase: Phase
    attempt: int
    """Which attempt this is, from 1."""
    settings: ActionSettings
    raised: AlarmRaised
    condition_ended_at: datetime | None
    """When the alarm stopped being active; none: it is."""
    in_doubt: bool
    """Whether an earlier attempt was begun and nobody knows how it ended."""
    repeated: bool
    """Whether it was already known that it may have been performed before."""
    expired: bool
    """Whether its deadline has passed."""
    failure: str
    """Why the attempt before failed; empty when there was none."""
    holder: str


@dataclass(frozen=True, slots=True)
class Runs:
    """The rows of `action_run`."""

    engine: Engine
    source: str
    relaxed: Engine | None = None
    """Where claims need not wait for the disk; see `workers.store.relaxed`."""

    @contextmanager
    def _alone(self, *, durable: bool) -> Iterator[Connection]:
        """A connection for one statement, which is its own transaction: on PostgreSQL that saves two round trips."""
        if self.engine.dialect.name == "postgresql":
            with (self.engine if durable else self.relaxed or self.engine).connect() as connection:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
        else:
            with self.engine.begin() as connection:
                yield connection

    def claim(self, action_id: str, holder: str, lease_s: float, *, durable: bool = True) -> Claim | None:
        """Take an action, or None when it is done, not due, or held by somebody who shows signs of life.

        An action at the end of an alarm waits for the one at its start, so that an order is not opened again. A claim
        that is not durable may be forgotten when the database crashes, and the action be begun twice without a mark.
        """
        with self._alone(durable=durable) as connection:
            lease = timedelta(seconds=lease_s)
            parameters = {"wanted": action_id, "new_holder": holder, **clock_parameters(connection, lease)}
            row = connection.execute(_claim(is_postgresql(connection)), parameters).one_or_none()
        if row is None:
            return None
        return Claim(
            action_id=row.id,
            kind=row.kind,
            phase=Phase(row.phase),
            attempt=row.attempt,
            settings=SETTINGS.validate_python(row.settings),
            raised=AlarmRaised.model_validate(row.raised),
            condition_ended_at=row.condition_ended_at,
            in_doubt=row.in_doubt,
            repeated=row.repeated,
            expired=row.expired,
            failure=row.reason,
            holder=holder,
        )

    def renew(self, claim: Claim, lease_s: float) -> bool:
        """Prolong the lease; False when the action is somebody else's by now."""
        with self.engine.begin() as connection:
            lease_until = now(connection) + timedelta(seconds=lease_s)
            return self._update(connection, claim, {"lease_until": lease_until, "wake_at": lease_until}) is not None

    def finish(
        self, claim: Claim, outcome: Outcome, reason: str, *, repeated: bool = False, seconds: float | None = None
    ) -> bool:
        """Store the end of an action and announce it, in one transaction; False when the lease was lost.

        `seconds` is how long the last attempt took; none: there was no attempt under this claim.
        """
        with self.engine.begin() as connection:
            row = self._update(
                connection,
                claim,
                {
                    "state": outcome.value,
                    "attempt": claim.attempt - (seconds is None),
                    "reason": reason[:LONGEST_REASON],
                    "repeated": repeated,
                    "seconds": seconds,
                    "lease_until": None,
                    **({} if is_postgresql(connection) else {"finished_at": now(connection)}),
                },
                finishes=True,
            )
            if row is not None:
                announce_end(connection, row, claim.raised, self.source)
            return row is not None

    def retry(self, claim: Claim, reason: str, wait_s: float, *, repeated: bool) -> bool | None:
        """Let the action be tried again after a wait; False when that would be behind its deadline.

        None: the lease was lost.
        """
        with self.engine.begin() as connection:
            not_before = now(connection) + timedelta(seconds=wait_s)
            row = connection.execute(select(action_run.c.deadline).where(action_run.c.id == claim.action_id)).one()
            if not_before > row.deadline:
                return False
            values = {
                "state": RunState.PENDING.value,
                "not_before": not_before,
                "wake_at": not_before,
                "wakes": 0,
                "lease_until": None,
                "holder": None,
                "repeated": repeated,
                "reason": reason[:LONGEST_REASON],
            }
            return True if self._update(connection, claim, values) is not None else None

    @staticmethod
    def _update(connection: Connection, claim: Claim, values: dict[str, Any], *, finishes: bool = False) -> Any:
        """The row, if it still is this holder's and this attempt's."""
        who = {"of_id": claim.action_id, "of_holder": claim.holder, "of_attempt": claim.attempt}
        return connection.execute(_held(finishes and is_postgresql(connection)), {**who, **values}).one_or_none()


@cache
def _claim(postgresql: bool) -> Any:  # noqa: FBT001 - which of the two databases
    """One statement that takes the row and returns it with all that an attempt needs; built once.

    `in_doubt` is worked out from what the row was before: an assignment sees the old values.
    """
    present, lease_until = clock(postgresql)
    table, first, alarm = action_run.c, action_run.alias("first").c, alarm_event.c
    start_is_over = ~exists().where(
        first.alarm_event_id == table.alarm_event_id,
        first.id + END_SUFFIX == table.id,
        first.state.in_([RunState.PENDING.value, RunState.RUNNING.value]),
    )
    due = and_(
        table.state == RunState.PENDING.value,
        table.not_before <= present,
        or_(table.phase == Phase.START.value, start_is_over),
    )
    lost = and_(table.state == RunState.RUNNING.value, table.lease_until < present)
    return (
        update(action_run)
        .where(table.id == bindparam("wanted"), or_(due, lost))
        .values(
            in_doubt=table.state == RunState.RUNNING.value,
            state=RunState.RUNNING.value,
            attempt=table.attempt + 1,
            lease_until=lease_until,
            wake_at=lease_until,
            wakes=0,
            holder=bindparam("new_holder"),
        )
        .returning(
            table.id,
            table.kind,
            table.phase,
            table.attempt,
            table.settings,
            table.in_doubt,
            table.reason,
            table.repeated,
            (table.deadline < present).label("expired"),
            _of_alarm(alarm.raised),
            _of_alarm(alarm.condition_ended_at),
        )
    )


@cache
def _held(finished_now: bool) -> Any:  # noqa: FBT001 - whether PostgreSQL fills in finished_at
    """An update of a row that still is its holder's; what is set is named by the parameters."""
    table = action_run.c
    statement = update(action_run).values(finished_at=moment()) if finished_now else update(action_run)
    return statement.where(
        table.id == bindparam("of_id"),
        table.state == RunState.RUNNING.value,
        table.holder == bindparam("of_holder"),
        table.attempt == bindparam("of_attempt"),
    ).returning(
        table.id,
        table.alarm_event_id,
        table.kind,
        table.state,
        table.attempt,
        table.reason,
        table.repeated,
        table.finished_at,
    )


def _of_alarm(column: Any) -> Any:
    found = select(column).where(alarm_event.c.id == action_run.c.alarm_event_id)
    return found.correlate(action_run).scalar_subquery().label(column.name)


def announce_end(connection: Connection, row: Any, raised: AlarmRaised, source: str) -> None:
    """Put `ActionPerformed` for a finished row into the outbox."""
    message = ActionPerformed(
        alarm_event_id=row.alarm_event_id,
        alarm_id=raised.alarm_id,
        at=row.finished_at,
        action_id=row.id,
        action_kind=row.kind,
        outcome=Outcome(row.state),
        attempts=row.attempt,
        reason=row.reason,
        repeated=row.repeated,
    )
    put(connection, outbox, [envelope(message, source=source, trace_id=raised.trace_id, time=row.finished_at)])
