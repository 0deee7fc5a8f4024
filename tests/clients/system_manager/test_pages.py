"""Pages of System Manager: forms, problems beside their fields, removal, logs, and the keyboard."""

import time

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QLineEdit, QWidget

from broker.model.resources import Alarm, MotionTrigger
from clients.desktop.session import Link


def test_a_problem_is_said_beside_its_field_and_nothing_typed_is_lost(window, save):
    window.add("user")
    page = window.page
    page.editor("id").line.setText("Olga!")
    page.editor("email").line.setText("olga@example.org")
    save(page)
    said = page.complaints()
    assert set(said) == {"id", "name", "profile_id"}
    assert "small letters" in said["id"]
    assert page.values["email"] == "olga@example.org"
    assert page.editor("id").line.property("wrong") is True


def test_what_only_the_server_knows_is_said_beside_the_field_too(window, save, until):
    window.add("camera")
    page = window.page
    for name, text in (("id", "gate"), ("name", "Second"), ("main_url", "rtsp://192.0.2.8/main")):
        page.editor(name).line.setText(text)
    page.editor("node_id").box.setCurrentIndex(1)
    save(page)
    assert "already" in page.complaints()["id"]
    page.editor("id").line.setText("gate-2")
    save(page)
    until(lambda: page.resource_id == "gate-2" and not page.dirty)
    assert page.complaints() == {}


def test_a_password_is_written_and_never_read(furnished, open_page, save, until):
    page = open_page("camera", "gate")
    page.editor("username").line.setText("root")
    page.editor("password").line.setText("a camera secret")
    assert page.dirty
    save(page)
    until(lambda: not page.dirty and not page.busy)
    assert page.editor("password").line.text() == ""
    assert page.editor("password").line.placeholderText() == "kept, not shown"
    with furnished.client() as client:
        assert client.cameras.get("gate").secret_ref


def test_removal_says_what_depends_on_it_and_does_not_offer_what_cannot_be(furnished, window, open_page, until):
    with furnished.client() as client:
        client.alarms.add(Alarm(id="motion", name="Motion", trigger=MotionTrigger(camera_id="gate")))
    until(lambda: window.site.find("alarm", "motion") is not None)
    page = open_page("camera", "gate")
    page.ask_remove()
    assert not page.dialog.confirm.isEnabled()
    assert "Alarm Motion uses it." in window.site.dependents("camera", "gate").blocking
    page.dialog.reject()
    page = open_page("alarm", "motion")
    page.ask_remove()
    page.dialog.confirm.click()
    until(lambda: window.site.find("alarm", "motion") is None)


def test_the_audit_trail_is_read_page_by_page_and_by_user(furnished, window, until, monkeypatch):
    monkeypatch.setattr("clients.system_manager.log_pages.PAGE", 3)
    window.go(("log", "audit"))
    page = window.page
    until(lambda: len(page.records) == 3)
    page.older.click()
    until(lambda: len(page.records) == 6)
    ids = [record.id for record in page.records]
    assert ids == sorted(set(ids), reverse=True)
    page.kind.setCurrentIndex(page.kind.findData("camera"))
    page.read()
    until(lambda: [record.kind for record in page.records] == ["camera"])
    page.table.selectRow(0)
    assert "Main stream address" in page.detail.toPlainText() or "main_url" in page.detail.toPlainText()


def test_mask_cells_are_painted_with_the_mouse_and_the_keyboard(open_page, qtbot):
    page = open_page("camera", "gate")
    page.tabs.setCurrentIndex(2)
    surface = page.surface
    start = surface.cell_rect(0).center()
    qtbot.mousePress(surface, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(surface, surface.cell_rect(1).center())
    surface._paint(1, hide=True)  # offscreen, a moved mouse holds no button
    qtbot.mouseRelease(surface, Qt.MouseButton.LeftButton, pos=surface.cell_rect(1).center())
    assert page.values["motion"]["mask"]["hidden"] == [0, 1]
    qtbot.mouseClick(surface, Qt.MouseButton.LeftButton, pos=start)
    assert page.values["motion"]["mask"]["hidden"] == [1]
    surface._cursor = 0
    qtbot.keyClick(surface, Qt.Key.Key_Down)
    qtbot.keyClick(surface, Qt.Key.Key_Space)
    assert page.values["motion"]["mask"]["hidden"] == [1, 16]
    mask = page.parts[2].editors["motion"].editors["mask"]
    mask.invert_button.click()
    assert len(page.values["motion"]["mask"]["hidden"]) == 190
    mask.clear_button.click()
    assert page.values["motion"]["mask"]["hidden"] == []


def test_hours_of_a_calendar_are_painted(window, qtbot):
    window.add("alarm")
    page = window.page
    page.tabs.setCurrentIndex(2)
    grid = page.editor("calendar").week
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.cell_rect(0, 5).center())
    assert page.values["calendar"]["week"][0] == "1" * 5 + "0" + "1" * 18
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    qtbot.keyClick(grid, Qt.Key.Key_Space)
    assert page.values["calendar"]["week"][0] == "1" * 5 + "00" + "1" * 17
    assert grid.cell_at(QPoint(0, 0)) is None


def test_while_the_server_is_away_what_was_typed_stays_and_can_be_saved_later(
    furnished, application, open_page, save, until
):
    page = open_page("camera", "gate")
    page.editor("name").line.setText("North gate")
    furnished.stop()
    until(lambda: application.session.standing.link is Link.RECONNECTING)
    save(page)
    assert "does not answer" in page.message.text
    assert page.values["name"] == "North gate"
    furnished.start()
    until(lambda: application.session.standing.link is Link.CONNECTED)
    save(page)
    until(lambda: not page.dirty and not page.busy)
    with furnished.client() as client:
        assert client.cameras.get("gate").name == "North gate"


def test_the_gui_thread_is_never_held_up_by_a_server_that_is_slow(furnished, window, until):
    longest, last = [0.0], [time.monotonic()]

    def tick():
        now = time.monotonic()
        longest[0] = max(longest[0], now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    done = []
    last[0] = time.monotonic()
    furnished.background.loop.call_soon_threadsafe(time.sleep, 1.0)
    window.site.changed.connect(lambda: done.append(1))
    window.refresh()
    until(lambda: done)
    timer.stop()
    assert longest[0] < 0.5


def test_everything_that_can_be_operated_has_a_name_and_takes_the_keyboard(open_page):
    page = open_page("camera", "gate")
    for line in page.findChildren(QLineEdit):
        if line.isVisibleTo(page) and line.objectName() != "qt_spinbox_lineedit":
            assert line.accessibleName()
    for widget in page.findChildren(QWidget):
        if hasattr(widget, "clicked") and widget.isVisibleTo(page):
            assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
