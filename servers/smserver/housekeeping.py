"""What is old enough is deleted, once an hour."""

from datetime import timedelta

from broker import inbox
from broker.database import now
from servers.smserver import alarm_log, conditions, events, tables, throttle
from servers.smserver.sessions import forget_sessions
from servers.smserver.settings import SMServerGroup
from servers.smserver.store import Store

INTERVAL_S = 3600.0
INBOX_DAYS = 14
"""Longer than any queue keeps a message that might come twice."""


def tidy(store: Store, settings: SMServerGroup) -> None:
    """Delete what nobody asks for any more. The audit trail is kept for ever."""
    with store.write() as connection:
        at = now(connection)
        events.forget(connection, at - timedelta(days=settings.event_days))
        alarm_log.forget(connection, at - timedelta(days=settings.log_days))
        conditions.forget(connection, at - timedelta(days=settings.log_days))
        throttle.forget(connection, at - timedelta(seconds=settings.throttle_memory_s))
        forget_sessions(connection, at - timedelta(days=settings.log_days))
        inbox.forget(connection, tables.inbox, at - timedelta(days=INBOX_DAYS))
