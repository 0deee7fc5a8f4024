"""The cells of a page: how many, which camera in which, one of them perhaps enlarged."""

from collections.abc import Callable

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from clients.desktop.video.media import Media
from clients.spotter import arrangement
from clients.spotter.camera_cell import CameraCell

ARROWS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class Grid(QWidget):
    """Cells with cameras. `cameras_changed` follows every change that the operator or the program makes."""

    cameras_changed = Signal()
    chosen_changed = Signal(int)
    enlarged_changed = Signal()
    menu_wanted = Signal(int, QPoint)

    def __init__(self, media: Media, cells: int = 4, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._media = media
        self.cells: list[CameraCell] = []
        self.cameras: tuple[str | None, ...] = ()
        self.chosen = 0
        self.enlarged: int | None = None
        self.fill: Callable[[CameraCell, str], None] = lambda _cell, _camera_id: None
        """Has a cell show a camera; the page says how."""
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Cells")
        self.set_cells(cells)

    # --- What is asked of it ------------------------------------------------------------------------------------------

    def set_cells(self, cells: int) -> None:
        """Divide the page into so many cells; cameras stay as far as there is room."""
        cells = min(max(cells, 1), arrangement.MOST_CELLS)
        cameras = arrangement.regrouped(self.cameras, cells)
        if cells != len(self.cells):
            self.enlarged = None
            self._build(cells)
        self.chosen = min(self.chosen, cells - 1)
        self.set_cameras(cameras)
        self.choose(self.chosen)

    def set_cameras(self, cameras: tuple[str | None, ...]) -> None:
        """Show these; cells whose camera stays are not touched."""
        self.cameras = arrangement.regrouped(cameras, len(self.cells))
        for cell, camera_id in zip(self.cells, self.cameras, strict=True):
            if camera_id is None:
                if cell.camera_id is not None:
                    cell.empty()
            elif cell.camera_id != camera_id:
                self.fill(cell, camera_id)
        self.cameras_changed.emit()

    def refill(self) -> None:
        """Have every cell show its camera anew, e.g. recorded instead of live."""
        for cell, camera_id in zip(self.cells, self.cameras, strict=True):
            if camera_id is not None:
                self.fill(cell, camera_id)

    def place(self, camera_id: str, at: int | None = None) -> None:
        """Show a camera in a cell, or where there is room."""
        place = arrangement.first_free(self.cameras, self.chosen) if at is None else at
        self.set_cameras(arrangement.placed(self.cameras, camera_id, place))
        self.choose(place)

    def remove(self, place: int, sentence: str = "") -> None:
        """Empty a cell."""
        cameras = list(self.cameras)
        cameras[place] = None
        self.set_cameras(tuple(cameras))
        if sentence:
            self.cells[place].empty(sentence)

    def choose(self, place: int) -> None:
        """Direct commands to a cell."""
        self.chosen = place
        for cell in self.cells:
            cell.choose(cell.place == place and len(self.cells) > 1)
        self.chosen_changed.emit(place)

    def enlarge(self, place: int | None) -> None:
        """Show one cell alone, or all again; what is not seen does not stream."""
        self.enlarged = None if place is None or self.enlarged == place or len(self.cells) == 1 else place
        for cell in self.cells:
            cell.setVisible(self.enlarged is None or cell.place == self.enlarged)
        if self.enlarged is not None:
            self.choose(self.enlarged)
        self._stretch()
        self.enlarged_changed.emit()

    @property
    def chosen_cell(self) -> CameraCell:
        """The cell that commands go to."""
        return self.cells[self.chosen]

    def visible_cells(self) -> list[CameraCell]:
        """Those with a camera that are to be seen."""
        return [
            cell
            for cell in self.cells
            if cell.camera_id is not None and (self.enlarged is None or cell.place == self.enlarged)
        ]

    def frame_cameras(self, colours: dict[str, QColor]) -> None:
        """Draw a frame around cameras of active alarms, in the alarm's colour."""
        for cell in self.cells:
            border = colours.get(cell.camera_id or "")
            if border != cell.border:
                cell.border = border
                cell.update()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _build(self, cells: int) -> None:
        for cell in self.cells:
            cell.clear()
            self._layout.removeWidget(cell)
            cell.hide()
            cell.deleteLater()
        _, columns = arrangement.shape(cells)
        self.cells = [CameraCell(self._media, place, self) for place in range(cells)]
        for cell in self.cells:
            self._layout.addWidget(cell, cell.place // columns, cell.place % columns)
            cell.pressed.connect(self._pressed)
            cell.enlarged.connect(self.enlarge)
            cell.camera_dropped.connect(self._dropped)
            cell.menu_wanted.connect(self.menu_wanted)
            cell.show()
        self._stretch()

    def _stretch(self) -> None:
        rows, columns = arrangement.shape(len(self.cells))
        for row in range(4):
            shown = row < rows and (self.enlarged is None or self.enlarged // columns == row)
            self._layout.setRowStretch(row, int(shown))
        for column in range(4):
            shown = column < columns and (self.enlarged is None or self.enlarged % columns == column)
            self._layout.setColumnStretch(column, int(shown))

    def _pressed(self, place: int) -> None:
        self.setFocus()
        self.choose(place)

    def _dropped(self, place: int, camera_id: str, came_from: int) -> None:
        if came_from == place:
            return
        if 0 <= came_from < len(self.cameras) and self.cameras[came_from] == camera_id:
            self.set_cameras(arrangement.exchanged(self.cameras, came_from, place))
        else:
            self.set_cameras(arrangement.placed(self.cameras, camera_id, place))
        self.choose(place)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Arrows choose another cell."""
        step = ARROWS.get(Qt.Key(event.key()))
        if step is None or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            super().keyPressEvent(event)
            return
        rows, columns = arrangement.shape(len(self.cells))
        row, column = divmod(self.chosen, columns)
        place = min(max(row + step[0], 0), rows - 1) * columns + min(max(column + step[1], 0), columns - 1)
        if place < len(self.cells):
            self.choose(place)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for a few pictures."""
        return QSize(800, 450)
