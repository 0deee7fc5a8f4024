import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDropEvent

from clients.spotter.grid import Grid
from clients.spotter.tree import camera_mime


@pytest.fixture
def grid(qtbot, media):
    grid = Grid(media, 4)
    qtbot.addWidget(grid)
    grid.filled = []

    def fill(cell, camera_id):
        grid.filled.append((cell.place, camera_id))
        cell.camera_id = camera_id

    grid.fill = fill
    grid.resize(400, 300)
    grid.show()
    return grid


def drop(cell, data):
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.MoveAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    cell.dropEvent(event)
    return event


def test_a_camera_of_the_list_is_dropped_on_a_cell(grid):
    event = drop(grid.cells[2], camera_mime("one"))
    assert event.isAccepted()
    assert grid.cameras == (None, None, "one", None)
    assert grid.filled == [(2, "one")]
    assert grid.chosen == 2


def test_a_cell_that_is_dropped_on_another_is_exchanged_with_it(grid):
    grid.set_cameras(("one", "two"))
    drop(grid.cells[1], grid.cells[0].drag_data())
    assert grid.cameras == ("two", "one", None, None)
    drop(grid.cells[3], grid.cells[0].drag_data())
    assert grid.cameras == (None, "one", None, "two")


def test_a_cell_that_is_dropped_on_itself_stays(grid):
    grid.set_cameras(("one",))
    grid.filled.clear()
    drop(grid.cells[0], grid.cells[0].drag_data())
    assert (grid.cameras[0], grid.filled) == ("one", [])


def test_a_double_click_enlarges_a_cell_and_shows_all_again(grid, qtbot):
    grid.set_cameras(("one", "two"))
    qtbot.mouseDClick(grid.cells[1], Qt.MouseButton.LeftButton)
    assert [cell.isVisible() for cell in grid.cells] == [False, True, False, False]
    qtbot.waitUntil(lambda: grid.cells[1].width() == grid.width())
    assert [cell.place for cell in grid.visible_cells()] == [1]
    qtbot.mouseDClick(grid.cells[1], Qt.MouseButton.LeftButton)
    assert all(cell.isVisible() for cell in grid.cells)


def test_another_number_of_cells_keeps_the_cameras(grid):
    grid.set_cameras(("one", None, "two"))
    grid.set_cells(16)
    assert len(grid.cells) == 16
    assert grid.cameras[:3] == ("one", None, "two")
    grid.set_cells(1)
    assert grid.cameras == ("one",)
    grid.set_cells(99)
    assert len(grid.cells) == 16


def test_arrows_choose_and_clicks_too(grid, qtbot):
    qtbot.mouseClick(grid.cells[3], Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    assert grid.chosen == 3
    qtbot.keyClick(grid, Qt.Key.Key_Up)
    assert grid.chosen == 1
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    assert grid.chosen == 1
    qtbot.keyClick(grid, Qt.Key.Key_Left)
    assert grid.chosen == 0


def test_a_camera_that_stays_is_not_begun_anew(grid):
    grid.set_cameras(("one", "two"))
    grid.filled.clear()
    grid.set_cameras(("one", "three"))
    assert grid.filled == [(1, "three")]
