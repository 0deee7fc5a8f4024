"""Actions in the database: claimed under a lease, renewed, finished. The row is the truth, a task is a wake-up call."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, and_, bindparam, exists, null, or_, select, update

from broker.codec import envelope
from broker.database import UtcDateTime, is_postgresql, now
from broker.model.actions import ActionSettings, AnyActionSettings, Outcome
from broker.model.messages import ActionPerformed, AlarmRaised
from broker.outbox import put
from broker.prepared import Prepared, transaction
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
            rows = CLAIM.rows(connection, parameters)
        if not rows:
            return None
        row = rows[0]
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
        with transaction(self.engine) as connection:
            values = {
                "to_state": outcome.value,
                "to_attempt": claim.attempt - (seconds is None),
                "to_reason": reason[:LONGEST_REASON],
                "to_repeated": repeated,
                "to_seconds": seconds,
                **({} if is_postgresql(connection) else {"to_finished_at": now(connection)}),
            }
            rows = FINISH.rows(connection, {**_whose(claim), **values})
            if rows:
                announce_end(connection, rows[0], claim.raised, self.source)
            return bool(rows)

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
    def _update(connection: Connection, claim: Claim, values: dict[str, Any]) -> Any:
        """The row, if it still is this holder's and this attempt's. What is set is named by the values."""
        statement = update(action_run).where(_held()).returning(action_run.c.id)
        return connection.execute(statement, {**_whose(claim), **values}).one_or_none()


def _whose(claim: Claim) -> dict[str, Any]:
    return {"of_id": claim.action_id, "of_holder": claim.holder, "of_attempt": claim.attempt}


def _claim(dialect: str) -> Any:
    """One statement that takes the row and returns it with all that an attempt needs.

    `in_doubt` is worked out from what the row was before: an assignment sees the old values.
    """
    present, lease_until = clock(dialect == "postgresql")
    table, first, alarm = action_run.c, action_run.alias("first").c, alarm_event.c
    start_is_over = ~exists().where(
        first.alarm_event_id == table.alarm_event_id,
        first.id + END_SUFFIX == table.id,
        or_(first.state == RunState.PENDING.value, first.state == RunState.RUNNING.value),
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


CLAIM = Prepared(_claim)


def _held() -> Any:
    """The row that is wanted still is its holder's; with the parameters of `_whose`."""
    table = action_run.c
    return and_(
        table.id == bindparam("of_id"),
        table.state == RunState.RUNNING.value,
        table.holder == bindparam("of_holder"),
        table.attempt == bindparam("of_attempt"),
    )


def _finish(dialect: str) -> Any:
    """Store an outcome, at the moment that PostgreSQL's clock shows."""
    table = action_run.c
    at = moment() if dialect == "postgresql" else bindparam("to_finished_at", type_=UtcDateTime)
    statement = update(action_run).values(
        state=bindparam("to_state"),
        attempt=bindparam("to_attempt"),
        reason=bindparam("to_reason"),
        repeated=bindparam("to_repeated"),
        seconds=bindparam("to_seconds"),
        lease_until=null(),
        finished_at=at,
    )
    return statement.where(_held()).returning(
        table.id,
        table.alarm_event_id,
        table.kind,
        table.state,
        table.attempt,
        table.reason,
        table.repeated,
        table.finished_at,
    )


FINISH = Prepared(_finish)


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
