"""PostgreSQL's clock as a part of a statement, which saves the round trip of asking for it first."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, DateTime, Interval, bindparam, func

from broker.database import UtcDateTime, is_postgresql


def moment() -> Any:
    """The present, on PostgreSQL."""
    return func.clock_timestamp(type_=DateTime(timezone=True))


def clock(postgresql: bool) -> tuple[Any, Any]:  # noqa: FBT001 - which of the two databases
    """The present and the end of a lease, for a statement that is built once; see `clock_parameters`.

    SQLite's clock is this machine's, so there they are parameters.
    """
    if postgresql:
        return moment(), moment() + bindparam("lease", type_=Interval)
    return bindparam("present", type_=UtcDateTime), bindparam("present_and_lease", type_=UtcDateTime)


def clock_parameters(connection: Connection, lease: timedelta) -> dict[str, Any]:
    """The parameters that `clock` wants."""
    if is_postgresql(connection):
        return {"lease": lease}
    present = datetime.now(UTC)
    return {"present": present, "present_and_lease": present + lease}
