"""Between the µs of the media path and the aware datetimes of messages and HTTP."""

from datetime import UTC, datetime


def micros(at: datetime) -> int:
    """µs since 1970 UTC."""
    return round(at.timestamp() * 1_000_000)


def instant(time_us: int) -> datetime:
    """The aware datetime of µs since 1970 UTC."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC)
