"""Taking in events: one transaction, each event once, in the order in which it happened."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from broker.codec import decode, envelope
from broker.model.base import Priority
from broker.model.messages import AcknowledgeRequested
from broker.outbox import OutboxStore
from tests.workers.stand_ins import alarm
from workers.rules import AlarmIndex
from workers.store.intake import Intake
from workers.store.requests import Requests
from workers.tables import action_run, alarm_event, outbox, trigger_event

SOURCE = "engine/engine-1"
RECORD = {"kind": "record_camera", "camera_id": "cam-1", "post_s": 10}
CALL = {"kind": "http_request", "url": "http://192.0.2.1/hook"}


@pytest.fixture
def intake(database):
    return Intake(database, SOURCE, 3.0)


@pytest.fixture
def requests(database):
    return Requests(database, SOURCE, 3.0)


def rows(database, table):
    with database.connect() as connection:
        return connection.execute(select(table)).all()


def announced(database):
    """What lies in the outbox, in order."""
    store = OutboxStore(database, outbox)
    try:
        return [decode(row.headers, row.body).message for row in store.pending(Priority.LOW, 0, 1000)]
    finally:
        store.close()


def kinds(database):
    return [message.kind() for message in announced(database)]


def acknowledge(alarm_event_id, user="guard"):
    message = AcknowledgeRequested(
        alarm_event_id=alarm_event_id, user_id=user, user_name=user.title(), at=datetime.now(UTC)
    )
    return envelope(message, source="smserver")


def test_motion_becomes_a_raw_event_an_alarm_event_its_actions_and_an_announcement(database, intake, events):
    event = events.activated()
    due = intake.take_in([event], AlarmIndex([alarm(priority="high", actions=[RECORD, CALL])]))

    (raw,) = rows(database, trigger_event)
    (row,) = rows(database, alarm_event)
    runs = rows(database, action_run)
    assert raw.id == event.id == row.trigger_event_id
    assert raw.raised == [row.id]
    assert row.state == "active"
    assert row.trace_id == event.trace_id
    assert [run.state for run in runs] == ["pending", "pending"]
    assert sorted(due) == sorted((run.id, run.kind, "high") for run in runs)
    assert {run.deadline - run.created_at for run in runs} == {timedelta(seconds=600)}
    (raised,) = announced(database)
    assert raised.kind() == "AlarmRaised"
    assert raised.alarm_event_id == row.id
    assert raised.occurred_at == event.message.occurred_at


def test_a_second_delivery_raises_no_second_alarm(database, intake, events):
    index = AlarmIndex([alarm(actions=[CALL])])
    activated, ended = events.activated(), events.ended()
    for _ in range(2):
        intake.take_in([activated, activated], index)
        intake.take_in([ended], index)
    assert len(rows(database, alarm_event)) == 1
    assert len(rows(database, action_run)) == 1
    assert kinds(database) == ["AlarmRaised", "AlarmEnded"]


def test_without_the_inbox_the_same_deliveries_raise_a_second_alarm(database, events):
    """The negative control: it is the inbox that makes the test above pass."""
    intake = Intake(database, SOURCE, 3.0, accept=lambda _connection, ids: frozenset(ids))
    index = AlarmIndex([alarm(actions=[CALL])])
    activated, ended = events.activated(), events.ended()
    for _ in range(2):
        intake.take_in([activated], index)
        intake.take_in([ended], index)
    assert len(rows(database, alarm_event)) == 2


def test_a_batch_is_stored_whole_or_not_at_all(database, intake, events, monkeypatch):
    def fail(*_args):
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr("workers.store.lifecycle.put", fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            intake.take_in([events.activated(sequence=1)], AlarmIndex([alarm()]))
    assert rows(database, trigger_event) == []
    assert rows(database, alarm_event) == []
    assert intake.take_in([events.activated(sequence=1)], AlarmIndex([alarm(actions=[CALL])]))


def test_within_a_batch_motion_may_begin_and_end_several_times(database, intake, events):
    batch = [events.activated(), events.activated(), events.ended(), events.activated()]
    intake.take_in(batch, AlarmIndex([alarm()]))
    states = sorted((row.state, row.triggered) for row in rows(database, alarm_event))
    assert states == [("active", 1), ("ended", 2)]
    assert kinds(database) == ["AlarmRaised", "AlarmEnded", "AlarmRaised"]


def test_sequence_decides_the_order_not_arrival(database, intake, events):
    activated, ended = events.activated(), events.ended()
    intake.take_in([ended, activated], AlarmIndex([alarm()]))
    assert [row.state for row in rows(database, alarm_event)] == ["ended"]


def test_an_end_that_overtook_its_beginning_in_another_lane_ends_the_alarm_all_the_same(database, intake, events):
    activated, ended = events.activated(), events.ended()
    intake.take_in([ended], AlarmIndex([alarm()]))
    intake.take_in([activated], AlarmIndex([alarm()]))
    assert [row.state for row in rows(database, alarm_event)] == ["ended"]
    assert kinds(database) == ["AlarmRaised", "AlarmEnded"]


def test_a_late_end_does_not_end_what_began_after_it(database, intake, events):
    events.activated()
    ended, again = events.ended(), events.activated()
    intake.take_in([again], AlarmIndex([alarm()]))
    intake.take_in([ended], AlarmIndex([alarm()]))
    assert [row.state for row in rows(database, alarm_event)] == ["active"]


def test_recording_goes_on_after_the_alarm_and_its_end_is_planned(database, intake, events):
    index = AlarmIndex([alarm(actions=[RECORD, CALL])])
    intake.take_in([events.activated()], index)
    ended = events.ended()
    due = intake.take_in([ended], index)
    (row,) = rows(database, alarm_event)
    assert row.state == "post_recording"
    assert row.post_until == ended.message.occurred_at + timedelta(seconds=10)
    assert [one.action_id for one in due] == [f"{row.id}-0-end"]
    assert kinds(database) == ["AlarmRaised", "AlarmPostRecordingStarted"]


def test_an_acknowledgement_is_answered_once_and_leaves_a_plain_alarm_active(database, intake, requests, events):
    intake.take_in([events.activated()], AlarmIndex([alarm()]))
    (row,) = rows(database, alarm_event)
    first = acknowledge(row.id)
    for one in (first, first, acknowledge(row.id, "other")):
        requests.apply(one)
    (row,) = rows(database, alarm_event)
    assert row.acknowledged_by == "guard"
    assert row.state == "active"
    assert kinds(database) == ["AlarmRaised", "AlarmAcknowledged"]


def test_an_alarm_until_acknowledged_ends_with_its_acknowledgement(database, intake, requests, events):
    index = AlarmIndex([alarm(until_acknowledged=True, actions=[RECORD])])
    intake.take_in([events.activated(), events.ended()], index)
    (row,) = rows(database, alarm_event)
    assert row.state == "active"
    due = requests.apply(acknowledge(row.id))
    (row,) = rows(database, alarm_event)
    assert row.state == "post_recording"
    assert [one.action_id for one in due] == [f"{row.id}-0-end"]
    assert kinds(database) == ["AlarmRaised", "AlarmAcknowledged", "AlarmPostRecordingStarted"]


def test_an_acknowledgement_of_an_unknown_alarm_event_is_no_reason_to_stop(database, requests):
    assert requests.apply(acknowledge("unknown")) == []
    assert announced(database) == []


def test_two_intakes_of_one_source_make_one_active_alarm(database, events):
    intakes = [Intake(database, SOURCE, 3.0) for _ in range(2)]
    index = AlarmIndex([alarm(actions=[CALL])])
    batches = [[events.activated()] for _ in range(20)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda pair: intakes[pair[0] % 2].take_in(pair[1], index), enumerate(batches)))
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(alarm_event)) == 1
        assert connection.scalar(select(alarm_event.c.triggered)) == 20
