"""The rules, as tables: no clock and no database is needed to say what an event means."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.model.resources import ALWAYS, Calendar
from tests.workers.stand_ins import alarm
from workers import rules

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
NEVER = "0" * 24
NINE_TO_FIVE = "0" * 9 + "1" * 8 + "0" * 7


def _active(id_="alarm-1", *, until_acknowledged=False, post_s=0):
    return rules.ActiveAlarm(f"event-of-{id_}", id_, until_acknowledged, post_s, acts_at_end=False)


# fmt: off
CALENDARS = [
    # zone              plan or week                          exceptions                  moment (UTC)          on?
    ("UTC",             [ALWAYS] * 7,                         {},                         "2026-11-23T02:00",   True),
    ("UTC",             [NEVER] * 7,                          {},                         "2026-11-23T02:00",   False),
    ("UTC",             [NINE_TO_FIVE] * 7,                   {},                         "2026-11-23T08:59:59", False),
    ("UTC",             [NINE_TO_FIVE] * 7,                   {},                         "2026-11-23T09:00",   True),
    ("UTC",             [NINE_TO_FIVE] * 7,                   {},                         "2026-11-23T16:59:59", True),
    ("UTC",             [NINE_TO_FIVE] * 7,                   {},                         "2026-11-23T17:00",   False),
    # The zone's own hours count, winter and summer time alike.
    ("Europe/Helsinki", [NINE_TO_FIVE] * 7,                   {},                         "2026-01-15T07:00",   True),
    ("Europe/Helsinki", [NINE_TO_FIVE] * 7,                   {},                         "2026-07-15T06:00",   True),
    ("Europe/Helsinki", [NINE_TO_FIVE] * 7,                   {},                         "2026-01-15T06:00",   False),
    # Clocks go back on 2026-10-25 at 4: the hour 3 comes twice, both times with its digit.
    ("Europe/Helsinki", ["0" * 3 + "1" + "0" * 20] * 7,       {},                         "2026-10-25T00:30",   True),
    ("Europe/Helsinki", ["0" * 3 + "1" + "0" * 20] * 7,       {},                         "2026-10-25T01:30",   True),
    ("Europe/Helsinki", ["0" * 3 + "1" + "0" * 20] * 7,       {},                         "2026-10-25T02:30",   False),
    # Clocks go forward on 2026-03-29 at 3: the hour 3 does not come, and 4 follows 2.
    ("Europe/Helsinki", ["0" * 3 + "1" + "0" * 20] * 7,       {},                         "2026-03-29T01:00",   False),
    ("Europe/Helsinki", ["0" * 4 + "1" + "0" * 19] * 7,       {},                         "2026-03-29T01:00",   True),
    # The weekday is the zone's: Sunday evening in UTC is Monday in Helsinki.
    ("Europe/Helsinki", [ALWAYS, *[NEVER] * 6],               {},                         "2026-11-22T22:30",   True),
    ("UTC",             [ALWAYS, *[NEVER] * 6],               {},                         "2026-11-22T22:30",   False),
    # An exception day replaces its weekday, by the zone's date.
    ("UTC",             [ALWAYS] * 7,                         {"2026-12-25": NEVER},      "2026-12-25T12:00",   False),
    ("UTC",             [NEVER] * 7,                          {"2026-12-25": ALWAYS},     "2026-12-25T12:00",   True),
    ("Europe/Helsinki", [ALWAYS] * 7,                         {"2026-12-25": NEVER},      "2026-12-24T22:30",   False),
    ("Europe/Helsinki", [ALWAYS] * 7,                         {"2026-12-25": NEVER},      "2026-12-25T22:30",   True),
]
# fmt: on


@pytest.mark.parametrize(("zone", "week", "exceptions", "moment", "on"), CALENDARS)
def test_a_calendar_follows_the_wall_clock_of_its_zone(zone, week, exceptions, moment, on):
    calendar = Calendar(time_zone=zone, week=week, exceptions=exceptions)
    assert rules.is_on(calendar, datetime.fromisoformat(moment).replace(tzinfo=UTC)) is on


def test_motion_raises_the_alarms_that_name_its_camera_and_no_other(events):
    index = rules.AlarmIndex([alarm("a", "cam-1"), alarm("b", "cam-2"), alarm("c", "cam-1")])
    event = events.activated("cam-1", at=AT).message
    decisions = rules.plan(event, index.of("cam-1"), {}, AT)
    assert [decision.alarm.id for decision in decisions] == ["a", "c"]


def test_a_disabled_alarm_and_one_whose_calendar_is_off_stay_silent(events):
    off = {"week": [NEVER] * 7}
    index = rules.AlarmIndex([alarm("a", enabled=False), alarm("b", calendar=off)])
    assert rules.plan(events.activated(at=AT).message, index.of("cam-1"), {}, AT) == []


def test_an_event_that_waited_in_a_journal_is_judged_by_the_hour_it_happened_in(events):
    index = rules.AlarmIndex([alarm("a", calendar={"week": [NINE_TO_FIVE] * 7})])
    seen = AT.replace(hour=16)
    assert rules.plan(events.activated(at=seen).message, index.of("cam-1"), {}, seen + timedelta(hours=9))
    at_night = AT.replace(hour=3)
    assert not rules.plan(events.activated(at=at_night).message, index.of("cam-1"), {}, at_night + timedelta(hours=9))


def test_a_trigger_seen_again_while_active_is_noted_and_not_doubled(events):
    active = _active("a")
    decisions = rules.plan(events.activated(at=AT).message, [alarm("a"), alarm("b")], {"a": active}, AT)
    assert decisions == [rules.Note(active), rules.Raise(alarm("b"))]


def test_it_is_noted_even_when_the_calendar_has_gone_off_meanwhile(events):
    active = _active("a")
    off = alarm("a", calendar={"week": [NEVER] * 7})
    assert rules.plan(events.activated(at=AT).message, [off], {"a": active}, AT) == [rules.Note(active)]


def test_the_end_of_the_trigger_ends_the_alarm_or_begins_its_post_recording(events):
    plain, recording = _active("a"), _active("b", post_s=10)
    event = events.ended(at=AT).message
    decisions = rules.plan(event, [], {"a": plain, "b": recording}, AT)
    assert decisions == [rules.Stop(plain, AT, None), rules.Stop(recording, AT, AT + timedelta(seconds=10))]


def test_post_recording_that_is_over_when_the_news_arrives_is_left_out(events):
    recording = _active("a", post_s=10)
    late = AT + timedelta(seconds=10)
    assert rules.plan(events.ended(at=AT).message, [], {"a": recording}, late) == [rules.Stop(recording, AT, None)]


def test_an_alarm_until_acknowledged_outlives_its_trigger(events):
    assert rules.plan(events.ended(at=AT).message, [], {"a": _active("a", until_acknowledged=True)}, AT) == []


def test_the_longest_post_recording_of_the_actions_counts():
    actions = alarm(
        actions=[
            {"kind": "record_camera", "camera_id": "cam-1", "post_s": 5},
            {"kind": "record_camera", "camera_id": "cam-2", "post_s": 30},
            {"kind": "http_request", "url": "http://192.0.2.1/"},
        ]
    ).actions
    assert rules.post_s_of(actions) == 30
    assert rules.post_s_of(()) == 0
    assert rules.acts_at_end(actions)
    assert not rules.acts_at_end(actions[2:])


def test_the_cameras_of_an_alarm_are_its_triggers_first_and_each_once():
    one = alarm(
        camera="cam-2",
        actions=[{"kind": "record_camera", "camera_id": name} for name in ("cam-1", "cam-2", "cam-3", "cam-1")],
    )
    assert rules.cameras_of(one) == ("cam-2", "cam-1", "cam-3")
