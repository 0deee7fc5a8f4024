import time

import pytest

from broker.codec import decode
from broker.journal import Journal
from broker.model.base import LANES, Priority
from broker.model.messages import TriggerActivated, TriggerEnded
from servers.dvrserver.triggers import Triggers

DEADLINE_S = 5.0
NOW_US = 1_767_225_600_000_000


def journalled(journal):
    """What the journal holds, in the order of its lanes."""
    rows = [row for lane in LANES for row in journal.pending(lane, 0, 100)]
    return [decode(row.headers, row.body) for row in sorted(rows, key=lambda row: row.position)]


def wait_for(journal, count):
    deadline = time.monotonic() + DEADLINE_S
    while len(found := journalled(journal)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.005)
    return found


@pytest.fixture
def journal(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    yield journal
    journal.close()


@pytest.fixture
def make(journal, tmp_path):
    made = []

    def make(lanes=None):
        triggers = Triggers(
            journal,
            "node-1",
            lane=lambda camera_id: (lanes or {}).get(camera_id, Priority.LOW),
            open_file=tmp_path / "open.json",
        )
        triggers.start()
        made.append(triggers)
        return triggers

    yield make
    for triggers in made:
        triggers.close()


def test_motion_is_journalled_with_its_lane_its_cells_and_one_trace_for_both_ends(make, journal):
    triggers = make({"door": Priority.HIGH})
    triggers.motion("door", True, NOW_US, (3, 4))
    triggers.motion("door", False, NOW_US + 2_000_000, ())
    begun, ended = wait_for(journal, 2)
    assert isinstance(begun.message, TriggerActivated)
    assert isinstance(ended.message, TriggerEnded)
    assert begun.lane is Priority.HIGH
    assert begun.message.cells == (3, 4)
    assert begun.message.occurred_at.timestamp() * 1_000_000 == NOW_US
    assert begun.message.sequence < ended.message.sequence
    assert len(begun.trace_id) == 32
    assert begun.trace_id == ended.trace_id


def test_a_second_activation_has_a_trace_of_its_own(make, journal):
    triggers = make()
    for active in (True, False, True):
        triggers.motion("door", active, NOW_US, ())
    first, _, second = wait_for(journal, 3)
    assert first.trace_id != second.trace_id


def test_what_is_said_twice_is_journalled_once(make, journal):
    triggers = make()
    for active in (False, True, True, False, False):
        triggers.motion("door", active, NOW_US, ())
    triggers.close()
    assert [type(envelope.message) for envelope in journalled(journal)] == [TriggerActivated, TriggerEnded]


def test_a_trigger_that_a_killed_process_left_open_is_ended_at_the_next_start(make, journal):
    killed = make()
    killed.motion("door", True, NOW_US, ())
    wait_for(journal, 1)
    make()
    begun, ended = wait_for(journal, 2)
    assert isinstance(ended.message, TriggerEnded)
    assert ended.message.source_id == "door"
    assert ended.trace_id == begun.trace_id


def test_a_trigger_that_was_ended_is_not_ended_again_at_the_next_start(make, journal):
    first = make()
    first.motion("door", True, NOW_US, ())
    first.motion("door", False, NOW_US, ())
    first.close()
    second = make()
    second.close()
    assert len(journalled(journal)) == 2


def test_a_damaged_list_of_open_triggers_keeps_nothing_from_starting(make, journal, tmp_path):
    (tmp_path / "open.json").write_text("{not json")
    triggers = make()
    triggers.motion("door", True, NOW_US, ())
    assert len(wait_for(journal, 1)) == 1
