from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import Qt

from broker.model import messages as m
from broker.model.base import Priority
from broker.model.messages import AlarmState
from broker.model.resources import Right
from clients.sdk import NotAllowedError
from clients.spotter.alarm_book import Filter
from clients.spotter.alarm_panel import AlarmPanel
from clients.spotter.tree import DeviceTree


def raised(number, alarm="motion"):
    at = datetime.now(UTC) + timedelta(seconds=number)
    return m.AlarmRaised(
        alarm_event_id=f"event-{number}",
        alarm_id=alarm,
        at=at,
        alarm_name="Motion at the entrance",
        priority=Priority.HIGH,
        colour="#d92d20",
        trigger="motion",
        source_id="one",
        node_id="node-1",
        occurred_at=at,
        camera_ids=("one",),
    )


def acknowledged(number):
    return m.AlarmAcknowledged(
        alarm_event_id=f"event-{number}", alarm_id="motion", at=datetime.now(UTC), user_id="ann", user_name="Ann"
    )


@pytest.fixture
def panel(qtbot, site, alarms, bell):
    panel = AlarmPanel(site, alarms, bell)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_an_alarm_is_listed_rung_for_and_chosen(panel, session, bell):
    session.say(raised(1))
    assert [event.id for event in panel.table.events] == ["event-1"]
    assert bell.rung == [Priority.HIGH]
    assert panel.chosen.id == "event-1"
    assert panel.count.text() == "1 open"
    assert panel.instructions.text() == "Look."
    assert panel.acknowledge_button.isEnabled()


def test_acknowledging_asks_once_and_waits_for_the_servers_word(panel, session, qtbot):
    session.say(raised(1))
    qtbot.mouseClick(panel.acknowledge_button, Qt.MouseButton.LeftButton)
    panel.acknowledge()
    assert [each[:2] for each in session.asked if each[0] == "acknowledge"] == [("acknowledge", ("event-1",))]
    session.answer("acknowledge", None)
    assert panel.count.text() == "1 open"
    assert not panel.acknowledge_button.isEnabled()
    session.say(acknowledged(1))
    assert panel.count.text() == "All is quiet"
    assert panel.table.index(0, 5).data() == "Ann"


def test_a_refusal_is_a_sentence_and_may_be_tried_again(panel, session, alarms):
    said = []
    alarms.trouble.connect(said.append)
    session.say(raised(1))
    panel.acknowledge()
    session.answer("acknowledge", NotAllowedError(403, "Not allowed", "Your profile lacks the right."))
    assert said == ["The alarm was not acknowledged: Your profile lacks the right."]
    assert panel.acknowledge_button.isEnabled()


def test_without_the_right_nothing_is_asked(panel, session, site, alarms):
    said = []
    alarms.trouble.connect(said.append)
    site.me = site.me.model_copy(
        update={"profile": site.me.profile.model_copy(update={"rights": frozenset({Right.LIVE})})}
    )
    session.say(raised(1))
    assert not panel.acknowledge_button.isEnabled()
    panel.acknowledge()
    assert not [each for each in session.asked if each[0] == "acknowledge"]
    assert said


def test_what_is_chosen_stays_chosen_when_another_alarm_comes(panel, session):
    session.say(raised(1))
    session.say(raised(2))
    panel.choose("event-1")
    session.say(raised(3))
    assert panel.chosen.id == "event-1"
    assert [event.id for event in panel.table.events] == ["event-3", "event-2", "event-1"]


def test_filters_narrow_the_list(panel, session):
    for number in (1, 2):
        session.say(raised(number))
    session.say(acknowledged(2))
    panel.which.setCurrentText(Filter.OPEN)
    assert [event.id for event in panel.table.events] == ["event-1"]
    panel.words.setText("quay")
    assert panel.table.events == []


def test_muted_alarms_are_listed_but_not_heard(panel, session, bell, qtbot):
    qtbot.mouseClick(panel.mute_button, Qt.MouseButton.LeftButton)
    session.say(raised(1))
    assert len(panel.table.events) == 1
    assert bell.rung == []


def test_a_snoozed_alarm_neither_rings_nor_starts(session, alarms, bell):
    started = []
    alarms.started.connect(started.append)
    alarms.snooze("motion", timedelta(minutes=5))
    session.say(raised(1))
    assert (started, bell.rung) == ([], [])
    alarms.snooze("motion", None)
    session.say(raised(2))
    assert [event.id for event in started] == ["event-2"]


def test_the_tree_marks_cameras_of_active_alarms(qtbot, site, session, alarms):
    tree = DeviceTree(site)
    qtbot.addWidget(tree)
    assert tree.camera_names() == ["Camera one", "Camera two"]
    session.say(raised(1))
    assert alarms.book.active[0].state is AlarmState.ACTIVE
    tree.mark_alarmed(frozenset({"one"}))
    assert "alarm" in tree._items()[0].toolTip(0)
    tree.search.setText("two")
    assert tree.camera_names() == ["Camera two"]
