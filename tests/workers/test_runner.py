"""One attempt at an action: claimed under a lease, kept within its time, its outcome stored and announced once."""

import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

import workers.actions  # noqa: F401 - registers the kinds
from broker.model.actions import Outcome
from broker.trust.egress import EgressPolicy
from broker.trust.http import webhook_client
from tests.workers.stand_ins import alarm
from tests.workers.test_intake import announced, rows
from workers.action import KINDS, Attempt, Tools
from workers.errors import ActionError, TransientActionError
from workers.rules import AlarmIndex
from workers.runner import NOT_OURS, Runner
from workers.settings import EngineGroup
from workers.store.intake import Intake
from workers.store.runs import Runs
from workers.store.sweep import sweep
from workers.tables import action_run, alarm_event

SOURCE = "engine/engine-1"


class Performer:
    """Stands in for what an action does; each attempt is handled by the next of the given functions."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.attempts = []

    def __call__(self, attempt, _settings, _tools):
        self.attempts.append(attempt)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step()


def fail(error):
    def step():
        raise error

    return step


@pytest.fixture
def perform(monkeypatch):
    """Replaces what http_request does."""

    def replace(*steps):
        performer = Performer(*steps)
        monkeypatch.setitem(KINDS, "http_request", KINDS["http_request"]._replace(perform=performer))
        return performer

    return replace


@pytest.fixture
def make(database, events):
    """Makes a planned action with these settings and a runner for it."""

    def make_one(engine=None, **settings):
        action = {"kind": "http_request", "url": "http://192.0.2.1/hook", **settings}
        intake = Intake(database, SOURCE, 3.0)
        (due,) = intake.take_in([events.activated()], AlarmIndex([alarm(actions=[action])]))
        return due.action_id, runner(database, **(engine or {}))

    return make_one


def runner(database, **settings):
    tools = Tools(webhooks=None, servers=None, control_url=lambda _id: None, mail=EngineGroup())
    return Runner(Runs(database, SOURCE), tools, EngineGroup(lease_s=1, retry_first_s=0.1, **settings))


def row_of(database, action_id):
    with database.connect() as connection:
        return connection.execute(select(action_run).where(action_run.c.id == action_id)).one()


def let_lease_lapse(database, action_id):
    with database.begin() as connection:
        connection.execute(
            update(action_run)
            .where(action_run.c.id == action_id)
            .values(lease_until=datetime.now(UTC) - timedelta(seconds=1))
        )


def performed(database):
    return [message for message in announced(database) if message.kind() == "ActionPerformed"]


def test_an_action_is_performed_once_and_its_outcome_announced(database, make, perform):
    action_id, one = make()
    performer = perform(lambda: "fine")
    assert one.run(action_id) == "succeeded: fine"
    assert one.run(action_id) == NOT_OURS
    assert len(performer.attempts) == 1
    (fact,) = performed(database)
    assert (fact.outcome, fact.reason, fact.attempts, fact.repeated) == ("succeeded", "fine", 1, False)
    assert fact.action_id == action_id


def test_of_many_wake_up_calls_at_once_one_performs(database, make, perform):
    action_id, _ = make()
    gate = threading.Event()
    performer = perform(lambda: gate.wait(10) and "")
    runners = [runner(database) for _ in range(4)]
    results = []
    threads = [threading.Thread(target=lambda r=r: results.append(r.run(action_id))) for r in runners]
    for thread in threads:
        thread.start()
    while len(results) < 3:
        time.sleep(0.01)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == [NOT_OURS] * 3 + ["succeeded"]
    assert len(performer.attempts) == 1


def test_a_lease_is_kept_alive_while_the_action_takes_its_time(database, make, perform):
    action_id, one = make()
    perform(lambda: time.sleep(2.5) or "slow")
    thread = threading.Thread(target=one.run, args=(action_id,))
    thread.start()
    time.sleep(1.5)  # longer than the lease of a second
    assert runner(database).run(action_id) == NOT_OURS
    thread.join()
    assert row_of(database, action_id).state == "succeeded"


def test_what_fails_for_now_is_tried_again_after_a_growing_wait(database, make, perform):
    action_id, one = make()
    performer = perform(fail(TransientActionError("later")), fail(TransientActionError("later")), lambda: "")
    assert one.run(action_id).startswith("again in")
    first = row_of(database, action_id)
    assert (first.state, first.attempt, first.reason) == ("pending", 1, "later")
    assert one.run(action_id) == NOT_OURS, "it is not due yet"
    waits = []
    while row_of(database, action_id).state == "pending":
        before = row_of(database, action_id)
        waits.append(before.not_before)
        if one.run(action_id) == NOT_OURS:
            time.sleep(0.02)
    assert row_of(database, action_id).state == "succeeded"
    assert [attempt.number for attempt in performer.attempts] == [1, 2, 3]
    assert len({attempt.action_id for attempt in performer.attempts}) == 1
    (fact,) = performed(database)
    assert (fact.attempts, fact.repeated) == (3, False)


def test_a_database_that_is_away_when_an_attempt_failed_puts_the_action_in_no_doubt(
    database, make, perform, monkeypatch
):
    monkeypatch.setattr("workers.runner.STORE_AGAIN_S", 0.01)
    action_id, one = make(when_in_doubt="skip")
    perform(fail(TransientActionError("not now")), lambda: "fine")
    retry, away = Runs.retry, iter([OperationalError("UPDATE", {}, Exception("restarting"))] * 3)

    def flaky(self, *args, **options):
        for error in away:
            raise error
        return retry(self, *args, **options)

    monkeypatch.setattr(Runs, "retry", flaky)
    assert one.run(action_id).startswith("again in")
    assert row_of(database, action_id).state == "pending"
    deadline = time.monotonic() + 10
    while one.run(action_id) == NOT_OURS:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (fact,) = performed(database)
    assert (fact.outcome, fact.repeated) == ("succeeded", False)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("when_in_doubt", "durable"), [("skip", True), ("repeat", False)])
def test_an_action_that_must_not_be_repeated_is_begun_only_when_its_claim_outlives_the_database(
    make, perform, monkeypatch, when_in_doubt, durable
):
    action_id, one = make(when_in_doubt=when_in_doubt)
    renew, renewed = Runs.renew, []
    monkeypatch.setattr(Runs, "renew", lambda *args: renewed.append(len(performer.attempts)) or renew(*args))
    performer = perform(lambda: "fine")
    assert one.run(action_id, keyed=True) == "succeeded: fine"
    assert renewed == ([0] if durable else [])  # committed with the disk, before anything is performed


def test_what_fails_for_good_is_not_tried_again(database, make, perform):
    action_id, one = make()
    perform(fail(ActionError("no such page")))
    one.run(action_id)
    (fact,) = performed(database)
    assert (fact.outcome, fact.reason, fact.attempts) == ("failed", "no such page", 1)


def test_a_mistake_in_an_action_counts_as_a_failure_and_does_not_end_the_worker(database, make, perform):
    action_id, one = make()
    perform(lambda: {}["missing"])
    one.run(action_id)
    (fact,) = performed(database)
    assert (fact.outcome, fact.reason) == ("failed", "KeyError: 'missing'")


def test_retries_end_at_the_deadline(database, make, perform):
    action_id, one = make(engine={"retry_longest_s": 1}, deadline_s=1)
    perform(fail(TransientActionError("never there")))
    while row_of(database, action_id).state == "pending":
        if one.run(action_id) == NOT_OURS:
            time.sleep(0.02)
    (fact,) = performed(database)
    assert fact.outcome == "expired"
    assert "never there" in fact.reason


def test_an_attempt_that_takes_too_long_is_given_up_and_in_doubt(database, make, perform):
    action_id, one = make(time_limit_s=1)
    performer = perform(lambda: time.sleep(3) or "", lambda: "")
    began = time.monotonic()
    assert "time limit" in one.run(action_id)
    assert time.monotonic() - began < 2.5
    while row_of(database, action_id).state == "pending":
        one.run(action_id)
        time.sleep(0.02)
    assert performer.attempts[1].repeated
    (fact,) = performed(database)
    assert fact.repeated


def test_after_a_worker_died_the_action_is_repeated_and_marked_as_such(database, make, perform):
    action_id, one = make()
    assert Runs(database, SOURCE).claim(action_id, "a worker that dies", 1) is not None
    performer = perform(lambda: "")
    assert one.run(action_id) == NOT_OURS, "its lease has not lapsed"
    let_lease_lapse(database, action_id)
    one.run(action_id)
    assert performer.attempts[0].repeated
    (fact,) = performed(database)
    assert (fact.outcome, fact.repeated, fact.attempts) == ("succeeded", True, 2)


def test_after_a_worker_died_an_action_that_must_not_be_repeated_is_skipped(database, make, perform):
    action_id, one = make(when_in_doubt="skip")
    Runs(database, SOURCE).claim(action_id, "a worker that dies", 1)
    performer = perform(lambda: "")
    let_lease_lapse(database, action_id)
    one.run(action_id)
    assert performer.attempts == []
    (fact,) = performed(database)
    assert (fact.outcome, fact.attempts) == ("skipped", 1)


def test_an_answer_that_never_came_is_in_doubt_too(database, make, perform):
    action_id, one = make(when_in_doubt="skip")
    perform(fail(TransientActionError("no answer", in_doubt=True)))
    one.run(action_id)
    (fact,) = performed(database)
    assert fact.outcome == "skipped"


def test_a_worker_that_has_lost_its_lease_stores_nothing(database, make, perform):
    action_id, one = make()
    runs = Runs(database, SOURCE)
    lost = runs.claim(action_id, "paused", 1)
    let_lease_lapse(database, action_id)
    perform(lambda: "by the other")
    one.run(action_id)
    assert not runs.finish(lost, Outcome.FAILED, "too late")
    assert not runs.renew(lost, 1)
    assert row_of(database, action_id).reason == "by the other"
    assert len(performed(database)) == 1


def test_the_end_of_a_recording_waits_for_its_start(database, events, perform):
    intake = Intake(database, SOURCE, 3.0)
    index = AlarmIndex([alarm(actions=[{"kind": "record_camera", "camera_id": "cam-1", "post_s": 5}])])
    (start,) = intake.take_in([events.activated()], index)
    (end,) = intake.take_in([events.ended()], index)
    runs = Runs(database, SOURCE)
    assert runs.claim(end.action_id, "w", 5) is None
    claim = runs.claim(start.action_id, "w", 5)
    runs.finish(claim, Outcome.SUCCEEDED, "")
    claim = runs.claim(end.action_id, "w", 5)
    assert claim.phase == "end"
    assert claim.condition_ended_at is not None


def test_the_sweeper_dispatches_what_nobody_took_up_and_waits_longer_each_time(database, make):
    action_id, _ = make()

    def look():
        return [due.action_id for due in sweep(database, source=SOURCE, wake_s=1.0).due]

    def make_due():
        with database.begin() as connection:
            connection.execute(update(action_run).values(wake_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert look() == [], "its own dispatch has a moment first"
    waits = []
    for _ in range(3):
        make_due()
        assert look() == [action_id]
        assert look() == []
        waits.append((row_of(database, action_id).wake_at - datetime.now(UTC)).total_seconds())
    assert [round(wait) for wait in waits] == [1, 2, 4]


def test_the_sweeper_finds_an_action_whose_worker_died_and_leaves_one_that_lives(database, make):
    dead, _ = make()
    Runs(database, SOURCE).claim(dead, "dies", 1)
    assert sweep(database, source=SOURCE, wake_s=1.0).due == []
    time.sleep(1.1)
    assert [due.action_id for due in sweep(database, source=SOURCE, wake_s=1.0).due] == [dead]


def test_the_sweeper_ends_what_is_past_its_deadline(database, make):
    action_id, _ = make()
    with database.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(action_run).values(deadline=past, wake_at=past))
    swept = sweep(database, source=SOURCE, wake_s=1.0)
    assert (swept.due, swept.expired) == ([], 1)
    (fact,) = performed(database)
    assert (fact.outcome, fact.attempts, fact.action_id) == ("expired", 0, action_id)


def test_the_sweeper_ends_post_recordings(database, events):
    intake = Intake(database, SOURCE, 3.0)
    index = AlarmIndex([alarm(actions=[{"kind": "record_camera", "camera_id": "cam-1", "post_s": 5}])])
    long_ago = datetime.now(UTC) - timedelta(seconds=4.5)
    intake.take_in([events.activated(at=long_ago), events.ended(at=long_ago)], index)
    assert sweep(database, source=SOURCE, wake_s=1.0).ended == 0
    time.sleep(0.6)
    assert sweep(database, source=SOURCE, wake_s=1.0).ended == 1
    (row,) = rows(database, alarm_event)
    assert row.state == "ended"
    assert [message.kind() for message in announced(database)][-1] == "AlarmEnded"


def test_two_sweepers_at_once_dispatch_an_action_once(database, make):
    action_id, _ = make()
    with database.begin() as connection:
        connection.execute(update(action_run).values(wake_at=datetime.now(UTC) - timedelta(seconds=1)))
    found = []

    def look():
        swept = sweep(database, source=SOURCE, wake_s=5.0)
        found.extend(swept.due if swept else [])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [due.action_id for due in found] == [action_id]


def test_a_receiver_that_knows_keys_sees_one_action_whatever_happens_to_workers(database, make, http):
    """The idempotency key is the same in every attempt; without it a receiver could not tell."""
    action_id, _ = make(url=f"{http.url}/hook")
    tools = Tools(
        webhooks=webhook_client(EgressPolicy([ip_network("127.0.0.0/8")])),
        servers=None,
        control_url=lambda _id: None,
        mail=EngineGroup(),
    )
    one = Runner(Runs(database, SOURCE), tools, EngineGroup(lease_s=1))
    claim = Runs(database, SOURCE).claim(action_id, "dies", 1)
    KINDS["http_request"].perform(one_attempt(claim), claim.settings, tools)  # performed, and then the worker dies
    let_lease_lapse(database, action_id)
    one.run(action_id)
    tools.webhooks.close()
    assert len(http.requests) == 2
    assert set(http.keys) == {action_id}


def one_attempt(claim):
    return Attempt(
        action_id=claim.action_id,
        number=claim.attempt,
        phase=claim.phase,
        raised=claim.raised,
        condition_ended_at=None,
        repeated=False,
        time_limit_s=5,
    )
