"""The brake on guessing passwords, by user and by address. It lives in the database and so outlives a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker.database import is_postgresql, now
from servers.smserver.settings import SMServerGroup
from servers.smserver.tables import throttle

FIRST_WAIT_S = 5
"""The wait after the last free try; each further wrong one doubles it."""


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Brake:
    """One count of wrong passwords."""

    key: str
    free_tries: int


def brakes_for(user_id: str, address: str, settings: SMServerGroup) -> tuple[Brake, ...]:
    """The counts that a try touches."""
    return (
        Brake(f"user:{user_id[:63]}", settings.throttle_tries),
        Brake(f"address:{address[:64]}", settings.throttle_address_tries),
    )


def count_try(connection: Connection, brakes: Sequence[Brake], settings: SMServerGroup) -> int:
    """Count a try before its password is looked at, so that many at once gain nothing.

    Returns 0 when it may go on, else the seconds to wait; a try that must wait is not counted.
    """
    rows = {brake.key: _locked(connection, brake.key) for brake in brakes}
    at = now(connection)  # not before the rows are ours, or a try before us would seem to come from the future
    waits = [(row.blocked_until - at).total_seconds() for row in rows.values() if row.blocked_until > at]
    if waits:
        longest: float = max(waits)
        return ceil(longest)
    forgotten = at - timedelta(seconds=settings.throttle_memory_s)
    for brake in brakes:
        row = rows[brake.key]
        failures = (0 if row.last_at < forgotten else row.failures) + 1
        over = failures - brake.free_tries
        wait_s = min(FIRST_WAIT_S * 2 ** min(over, 20), settings.throttle_wait_s) if over >= 0 else 0
        connection.execute(
            sa.update(throttle)
            .where(throttle.c.key == brake.key)
            .values(failures=failures, last_at=at, blocked_until=at + timedelta(seconds=wait_s))
        )
    return 0


def forgive(connection: Connection, brakes: Sequence[Brake]) -> None:
    """The password was right: the user's count ends, the address is credited this one try."""
    for brake in brakes:
        if brake.key.startswith("user:"):
            connection.execute(sa.delete(throttle).where(throttle.c.key == brake.key))
        else:
            connection.execute(
                sa.update(throttle)
                .where(throttle.c.key == brake.key, throttle.c.failures > 0)
                .values(failures=throttle.c.failures - 1, blocked_until=throttle.c.last_at)
            )


def forget(connection: Connection, before: datetime) -> None:
    """Delete counts that matter no more."""
    connection.execute(sa.delete(throttle).where(throttle.c.last_at < before, throttle.c.blocked_until < before))


def _locked(connection: Connection, key: str) -> sa.Row[int, datetime, datetime]:
    """The row of a count, made if need be, and ours until the end of the transaction."""
    insert = postgresql.insert if is_postgresql(connection) else sqlite.insert
    statement = (
        insert(throttle)
        .values(key=key, failures=0, last_at=LONG_AGO, blocked_until=LONG_AGO)
        # An update that changes nothing locks a row that is there; "do nothing" would let others delete it now.
        .on_conflict_do_update(index_elements=["key"], set_={"failures": throttle.c.failures})
        .returning(throttle.c.failures, throttle.c.last_at, throttle.c.blocked_until)
    )
    return connection.execute(statement).one()
