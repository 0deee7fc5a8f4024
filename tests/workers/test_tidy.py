"""What is old goes, what is needed stays, and the tables of a busy site do not grow for ever."""

from datetime import timedelta

from sqlalchemy import func, select, update

from broker.database import now
from tests.workers.stand_ins import alarm
from workers.rules import AlarmIndex
from workers.store.intake import Intake
from workers.store.sweep import tidy
from workers.tables import action_run, alarm_event, inbox, trigger_event

KEEP = {"inbox_days": 14, "history_days": 90}


def count(database, table):
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def age(database, days, **finished):
    with database.begin() as connection:
        then = now(connection) - timedelta(days=days)
        connection.execute(update(trigger_event).values(received_at=then))
        connection.execute(update(inbox).values(received_at=then))
        connection.execute(update(alarm_event).where(alarm_event.c.state == "ended").values(ended_at=then))
        connection.execute(update(action_run).values(**finished))


def raise_some(database, events, *, end=True):
    alarms = AlarmIndex([alarm(actions=[{"kind": "http_request", "url": "http://192.0.2.1/hook"}])])
    said = [events.activated(), *([events.ended()] if end else [])]
    Intake(database, "engine/engine-1", 3.0).take_in(said, alarms)


def test_ids_and_raw_events_go_when_nothing_can_come_again_and_history_stays_longer(database, events, monkeypatch):
    monkeypatch.setattr("workers.store.sweep.PIECE", 1)  # it goes on piece by piece
    raise_some(database, events)
    age(database, 13, state="succeeded")
    assert tidy(database, **KEEP) == 0
    age(database, 15, state="succeeded")
    assert tidy(database, **KEEP) == 4
    assert (count(database, inbox), count(database, trigger_event)) == (0, 0)
    assert (count(database, alarm_event), count(database, action_run)) == (1, 1)


def test_alarm_events_that_ended_long_ago_go_with_their_actions(database, events):
    raise_some(database, events)
    age(database, 91, state="succeeded")
    tidy(database, **KEEP)
    assert (count(database, alarm_event), count(database, action_run)) == (0, 0)


def test_an_alarm_that_is_active_or_has_an_action_to_do_stays_however_old_it_is(database, events):
    raise_some(database, events)
    age(database, 91, state="pending")
    raise_some(database, events, end=False)
    tidy(database, **KEEP)
    assert count(database, alarm_event) == 2
