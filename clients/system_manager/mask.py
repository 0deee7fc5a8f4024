"""The motion mask: cells of the picture in which motion does not count, painted over the picture."""

from typing import Any

from PySide6.QtCore import QPoint, QRect, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from typing_extensions import override

from clients.desktop.theme import colours_of
from clients.desktop.video.cell import VideoCell
from clients.desktop.video.live import State
from clients.desktop.video.media import Media
from clients.desktop.widgets import button, label, named
from clients.system_manager.editors import Editor

HIDDEN = QColor(200, 40, 40, 120)
MOVING = QColor(60, 210, 120, 130)
GRID = QColor(255, 255, 255, 55)
MINIMUM = (480, 300)


class MaskSurface(VideoCell):
    """The live picture with the mask on it. Drag to hide cells, drag from a hidden one to show them again.

    With the keyboard: arrows move the cursor, Space hides or shows the cell.
    """

    painted_mask = Signal()
    """Somebody has changed the mask."""

    def __init__(self, media: Media) -> None:
        super().__init__(media)
        self.columns, self.rows = 16, 12
        self.hidden: set[int] = set()
        self.moving: frozenset[int] = frozenset()
        self._hiding: bool | None = None
        """What the mouse does while it is pressed; none while it is not."""
        self._cursor = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(False)
        self.setMinimumSize(*MINIMUM)
        self.setCursor(Qt.CursorShape.CrossCursor)
        named(self, "Mask")

    def show_mask(self, columns: int, rows: int, hidden: set[int]) -> None:
        """Show this mask."""
        self.columns, self.rows, self.hidden = columns, rows, set(hidden)
        self._cursor = min(self._cursor, columns * rows - 1)
        self.update()

    def show_motion(self, cells: frozenset[int]) -> None:
        """Show where the picture moves now."""
        if cells != self.moving:
            self.moving = cells
            self.update()

    def cell_rect(self, cell: int) -> QRect:
        """Where a cell is, in the widget's coordinates."""
        area = self.picture_rect()
        row, column = divmod(cell, self.columns)
        left, right = column * area.width() // self.columns, (column + 1) * area.width() // self.columns
        top, bottom = row * area.height() // self.rows, (row + 1) * area.height() // self.rows
        return QRect(area.left() + left, area.top() + top, right - left, bottom - top)

    def cell_at(self, point: QPoint) -> int | None:
        """The cell under a point."""
        area = self.picture_rect()
        if not area.contains(point):
            return None
        column = (point.x() - area.left()) * self.columns // max(area.width(), 1)
        row = (point.y() - area.top()) * self.rows // max(area.height(), 1)
        return min(row, self.rows - 1) * self.columns + min(column, self.columns - 1)

    # --- What Qt calls ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """The picture, then the cells."""
        super().paintEvent(event)
        painter = QPainter(self)
        for cell in self.moving:
            if cell < self.columns * self.rows:
                painter.fillRect(self.cell_rect(cell), MOVING)
        for cell in self.hidden:
            rect = self.cell_rect(cell)
            painter.fillRect(rect, HIDDEN)
            painter.fillRect(rect, Qt.BrushStyle.BDiagPattern)
        painter.setPen(GRID)
        area = self.picture_rect()
        for column in range(1, self.columns):
            at = area.left() + column * area.width() // self.columns
            painter.drawLine(at, area.top(), at, area.bottom())
        for row in range(1, self.rows):
            at = area.top() + row * area.height() // self.rows
            painter.drawLine(area.left(), at, area.right(), at)
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours_of(self).accent), 3))
            painter.drawRect(self.cell_rect(self._cursor).adjusted(1, 1, -2, -2))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Begin to hide, or to show."""
        cell = self.cell_at(event.position().toPoint())
        if event.button() is Qt.MouseButton.LeftButton and cell is not None:
            self._hiding = cell not in self.hidden
            self._paint(cell, hide=self._hiding)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go on."""
        cell = self.cell_at(event.position().toPoint())
        if self._hiding is not None and cell is not None:
            self._paint(cell, hide=self._hiding)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Enough."""
        del event
        self._hiding = None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Arrows and Space."""
        row, column = divmod(self._cursor, self.columns)
        key = event.key()
        if key == Qt.Key.Key_Space:
            self._paint(self._cursor, hide=self._cursor not in self.hidden)
            return
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        move = next((step for each, step in moves.items() if each == key), None)
        if move is None:
            super().keyPressEvent(event)
            return
        row = min(max(row + move[0], 0), self.rows - 1)
        column = min(max(column + move[1], 0), self.columns - 1)
        self._cursor = row * self.columns + column
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the cursor."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Hide the cursor."""
        super().focusOutEvent(event)
        self.update()

    def _paint(self, cell: int, *, hide: bool) -> None:
        if hide != (cell in self.hidden):
            self.hidden ^= {cell}
            self.update()
            self.painted_mask.emit()


class MaskEditor(Editor):
    """The mask as a field of a form: the picture, and what can be done with all cells at once.

    It shows no picture by itself: the camera's page gives it one with `attach`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._columns, self._rows = 16, 12
        self._hidden: set[int] = set()
        self.surface: MaskSurface | None = None
        self._count = label("", "help")
        self._count.setObjectName("hidden cells")
        self.clear_button = button("Show all", self._clear)
        self.invert_button = button("Invert", self._invert)
        buttons = QHBoxLayout()
        for each in (self.clear_button, self.invert_button):
            buttons.addWidget(each)
        buttons.addWidget(self._count)
        buttons.addStretch()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(buttons)
        self.setFocusProxy(self.clear_button)

    def attach(self, surface: MaskSurface) -> None:
        """Paint on this picture from now on."""
        self.surface = surface
        surface.painted_mask.connect(self._painted)
        self._column.insertWidget(0, surface, 1)
        self._show()

    @override
    def value(self) -> dict[str, Any]:
        return {"columns": self._columns, "rows": self._rows, "hidden": sorted(self._hidden)}

    @override
    def set_value(self, value: Any) -> None:
        given = value or {}
        self._columns, self._rows = int(given.get("columns", 16)), int(given.get("rows", 12))
        self._hidden = set(given.get("hidden", ()))
        self._show()

    def _show(self) -> None:
        if self.surface is not None:
            self.surface.show_mask(self._columns, self._rows, self._hidden)
        self._count.setText(f"{len(self._hidden)} of {self._columns * self._rows} cells hidden")

    def _painted(self) -> None:
        assert self.surface is not None
        self._hidden = set(self.surface.hidden)
        self._show()
        self.changed.emit()

    def _clear(self) -> None:
        self._hidden = set()
        self._show()
        self.changed.emit()

    def _invert(self) -> None:
        self._hidden = set(range(self._columns * self._rows)) - self._hidden
        self._show()
        self.changed.emit()


def still(surface: MaskSurface, sentence: str) -> None:
    """Say on the picture why there is none."""
    surface.show_state(State.BROKEN, sentence)


def fill(widget: QWidget) -> QVBoxLayout:
    """A layout without margins."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    return layout
