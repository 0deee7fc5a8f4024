from datetime import UTC, datetime, timedelta

import pytest

from broker.model import messages as m
from broker.model.base import Priority
from broker.model.messages import AlarmState
from clients.spotter.alarm_book import MOST_EVENTS, AlarmBook, Filter, duration_text

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def raised(number, alarm="motion", at=None, **more):
    at = at or START + timedelta(seconds=number)
    return m.AlarmRaised(
        alarm_event_id=f"event-{number}",
        alarm_id=alarm,
        at=at,
        alarm_name="Motion at the entrance",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger="motion",
        source_id="camera-1",
        node_id="node-1",
        occurred_at=at,
        camera_ids=("camera-1", "camera-2"),
        **more,
    )


def ended(number):
    return m.AlarmEnded(alarm_event_id=f"event-{number}", alarm_id="motion", at=START + timedelta(hours=1))


def acknowledged(number):
    return m.AlarmAcknowledged(
        alarm_event_id=f"event-{number}", alarm_id="motion", at=START, user_id="olga", user_name="Olga"
    )


@pytest.fixture
def book():
    return AlarmBook()


def test_an_alarm_appears_is_acknowledged_and_ends(book):
    assert book.apply(raised(1))
    assert [event.id for event in book.active] == ["event-1"]
    assert book.unacknowledged == 1
    assert book.apply(acknowledged(1))
    assert book.get("event-1").acknowledged.user_name == "Olga"
    assert book.unacknowledged == 0
    assert book.apply(ended(1))
    assert book.active == []
    assert book.get("event-1").state is AlarmState.ENDED


def test_what_is_heard_twice_or_late_changes_nothing(book):
    book.apply(raised(1))
    book.apply(ended(1))
    assert not book.apply(raised(1))
    book.apply(m.AlarmPostRecordingStarted(alarm_event_id="event-1", alarm_id="motion", at=START, until=START))
    assert book.get("event-1").state is AlarmState.ENDED
    assert not book.apply(ended(2))
    assert not book.apply(None)


def test_the_newest_hundred_stay_and_what_is_over_goes_first(book):
    for number in range(MOST_EVENTS):
        book.apply(raised(number))
    book.apply(ended(50))
    book.apply(raised(MOST_EVENTS))
    assert len(book) == MOST_EVENTS
    assert book.get("event-50") is None
    assert book.get("event-0") is not None
    book.apply(raised(MOST_EVENTS + 1))
    assert book.get("event-0") is None


def test_filters_show_what_they_say_newest_first(book):
    for number in (1, 2, 3):
        book.apply(raised(number))
    book.apply(ended(2))
    book.apply(acknowledged(3))
    assert [event.id for event in book.listed(Filter.ALL)] == ["event-3", "event-2", "event-1"]
    assert [event.id for event in book.listed(Filter.ACTIVE)] == ["event-3", "event-1"]
    assert [event.id for event in book.listed(Filter.OPEN)] == ["event-2", "event-1"]
    assert book.listed(Filter.ALL, "high ENTRANCE") == book.listed(Filter.ALL)
    assert book.listed(Filter.ALL, "quay") == []


def test_a_snoozed_alarm_leaves_the_operator_alone_until_its_time_is_over(book):
    book.apply(raised(1))
    book.snooze("motion", START + timedelta(minutes=5))
    assert book.snoozed("motion", START)
    assert book.listed(Filter.ACTIVE, now=START) == []
    assert len(book.listed(Filter.ALL, now=START)) == 1
    assert not book.snoozed("motion", START + timedelta(minutes=6))
    book.snooze("motion", None)
    assert not book.snoozed("motion", START)


def test_reading_the_list_again_tells_what_began_meanwhile_once(book):
    book.apply(raised(1))
    other = AlarmBook()
    for number in (1, 2):
        other.apply(raised(number))
    events = other.listed(Filter.ALL)
    assert book.load(events) == ("event-2",)
    assert book.load(events) == ()


def test_alarms_that_the_profile_shows_no_more_are_forgotten(book):
    book.apply(raised(1))
    book.apply(raised(2, alarm="other"))
    assert book.keep_alarms({"other"})
    assert [event.id for event in book.listed(Filter.ALL)] == ["event-2"]
    assert not book.keep_alarms({"other"})


def test_a_duration_is_read_as_hours_minutes_seconds(book):
    book.apply(raised(0))
    event = book.get("event-0")
    assert duration_text(event, START + timedelta(hours=1, minutes=2, seconds=3)) == "1:02:03"
    assert duration_text(event, START - timedelta(seconds=3)) == "0:00:00"
