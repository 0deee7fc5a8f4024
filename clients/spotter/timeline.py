"""The timeline of a page: what is recorded, which alarms there were, and the moment that is shown."""

import time
from typing import NamedTuple

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from clients.desktop.theme import colours_of
from clients.desktop.video.surface import clock_text
from clients.spotter.scale import Scale

RULER = 22
ROW, ROW_LEAST = 12, 3
ALARM_ROW = 12
HEIGHT = RULER + ALARM_ROW + 4 * ROW
FIRST_SPAN_US = 3600 * 1_000_000
LIVE_AT = 0.9
"""Where the present is while the page is live, as a share of the width."""
DRAG_PX = 4
ZOOM = 1.25
"""Of one notch of the wheel."""


class Stretch(NamedTuple):
    """A stretch of recorded time, µs."""

    start_us: int
    end_us: int
    protected: bool = False


class Mark(NamedTuple):
    """An alarm on the timeline, µs."""

    start_us: int
    end_us: int
    colour: str
    text: str


def now_us() -> int:
    """The wall clock, µs since 1970 UTC."""
    return time.time_ns() // 1000


class Timeline(QWidget):
    """Click to go to a moment, drag to look elsewhere, turn the wheel to see more or less; Shift marks a stretch."""

    sought = Signal(object)
    """A moment, µs, that the operator wants to see."""
    range_changed = Signal()
    """Another part of time is on the screen."""
    marked = Signal(object)
    """A stretch (start, end), µs, for a clip; none when the mark is gone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Timeline")
        self.scale = Scale(now_us() - round(FIRST_SPAN_US * LIVE_AT), FIRST_SPAN_US, max(self.width(), 1))
        self.position_us: int | None = None
        """The moment shown; none: the present."""
        self.selection: tuple[int, int] | None = None
        self._rows: dict[str, list[Stretch]] = {}
        self._marks: list[Mark] = []
        self._press: QPoint | None = None
        self._press_scale = self.scale
        self._dragging = False
        self._selecting: int | None = None
        self._follow = True
        tick = QTimer(self, interval=500)
        tick.timeout.connect(self._tick)
        tick.start()

    # --- What it shows ------------------------------------------------------------------------------------------------

    def show_rows(self, rows: dict[str, list[Stretch]]) -> None:
        """What is recorded, a row for each camera."""
        if rows != self._rows:
            self._rows = rows
            self.update()

    def show_marks(self, marks: list[Mark]) -> None:
        """The alarms."""
        if marks != self._marks:
            self._marks = marks
            self.update()

    def show_position(self, position_us: int | None) -> None:
        """The moment shown; none: the present."""
        self.position_us = position_us
        if position_us is None:
            self._follow = True
        elif self._press is None and not self.scale.start_us <= position_us <= self.scale.end_us:
            self._look(self.scale.centred(position_us))
        self.update()

    def go_live(self) -> None:
        """Show the present again."""
        self._follow = True
        self.show_position(None)
        self._tick()

    # --- What Qt calls ------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """See more or less of time around the pointer."""
        notches = (event.angleDelta().y() or event.angleDelta().x()) / 120
        if notches:
            self.zoom(ZOOM**-notches, event.position().x())
        event.accept()

    def zoom(self, factor: float, x: float | None = None) -> None:
        """Show `factor` times as much time."""
        at = self.width() / 2 if x is None else x
        if self._follow and self.position_us is None:
            at = self.width() * LIVE_AT
        self._look(self.scale.zoomed(factor, at))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A click, a drag or, with Shift, a mark begins."""
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        at = event.position().toPoint()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._selecting = self.scale.moment(at.x())
            return
        self._press, self._press_scale, self._dragging = at, self.scale, False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Look elsewhere, mark, or only say which moment is there."""
        at = event.position().toPoint()
        if self._selecting is not None:
            one, other = sorted((self._selecting, self.scale.moment(at.x())))
            self.selection = (one, other)
            self.update()
        elif self._press is not None:
            moved = self._press.x() - at.x()
            if self._dragging or abs(moved) > DRAG_PX:
                self._dragging, self._follow = True, False
                self._look(self._press_scale.moved(moved))
        else:
            QToolTip.showText(event.globalPosition().toPoint(), self._said_at(at), self)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A click goes to its moment."""
        pressed, self._press = self._press, None
        if self._selecting is not None:
            self._selecting = None
            if self.selection and self.selection[0] == self.selection[1]:
                self.selection = None
            self.marked.emit(self.selection)
        elif pressed is not None and not self._dragging and event.button() is Qt.MouseButton.LeftButton:
            self.selection = None
            self.marked.emit(None)
            self.sought.emit(min(self.scale.moment(pressed.x()), now_us()))
        self._dragging = False

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Up and down zoom, left and right look elsewhere."""
        match event.key():
            case Qt.Key.Key_Up:
                self.zoom(1 / ZOOM)
            case Qt.Key.Key_Down:
                self.zoom(ZOOM)
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                self._follow = False
                self._look(self.scale.moved(self.width() / (-8 if event.key() == Qt.Key.Key_Left else 8)))
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """The same time on another width."""
        super().resizeEvent(event)
        self.scale = self.scale.resized(self.width())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as there is room."""
        return QSize(600, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Ruler, alarms, a row for each camera, marks, the moment shown."""
        del event
        colours, painter, scale = colours_of(self), QPainter(self), self.scale
        painter.fillRect(self.rect(), QColor(colours.surface))
        self._paint_ruler(painter)
        if self.selection:
            left, right = (scale.x(moment) for moment in self.selection)
            painter.fillRect(QRectF(left, 0, max(right - left, 1), self.height()), QColor(colours.selected))
        self._paint_rows(painter)
        for mark in self._marks:
            left, right = scale.x(mark.start_us), scale.x(mark.end_us)
            if right >= 0 and left <= self.width():
                painter.fillRect(QRectF(left, RULER + 1, max(right - left, 3), ALARM_ROW - 3), QColor(mark.colour))
        present = scale.x(now_us())
        if present < self.width():
            painter.fillRect(QRectF(max(present, 0), RULER, self.width(), self.height()), QColor(colours.ground))
            painter.setPen(QPen(QColor(colours.edge), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPoint(round(present), RULER), QPoint(round(present), self.height()))
        self._paint_cursor(painter, present if self.position_us is None else scale.x(self.position_us))
        painter.end()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _paint_ruler(self, painter: QPainter) -> None:
        colours = colours_of(self)
        for moment_us, text in self.scale.marks():
            x = round(self.scale.x(moment_us))
            painter.setPen(QColor(colours.line))
            painter.drawLine(x, 0, x, self.height())
            painter.setPen(QColor(colours.muted))
            painter.drawText(x + 4, RULER - 7, text)

    def _paint_rows(self, painter: QPainter) -> None:
        colours = colours_of(self)
        if not self._rows:
            painter.setPen(QColor(colours.muted))
            area = self.rect().adjusted(8, RULER + ALARM_ROW, 0, 0)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, "Recorded time of the cameras on this tab")
            return
        top = RULER + ALARM_ROW
        height = max(min((self.height() - top) / len(self._rows), ROW), ROW_LEAST)
        for number, stretches in enumerate(self._rows.values()):
            y = top + number * height
            painter.fillRect(QRectF(0, y + height - 1, self.width(), 1), QColor(colours.line))
            for stretch in stretches:
                left, right = self.scale.x(stretch.start_us), self.scale.x(stretch.end_us)
                if right < 0 or left > self.width():
                    continue
                colour = QColor(colours.warning if stretch.protected else colours.accent)
                painter.fillRect(QRectF(left, y + 1, max(right - left, 1), height - 2), colour)

    def _paint_cursor(self, painter: QPainter, x: float) -> None:
        colours = colours_of(self)
        colour = QColor(colours.good if self.position_us is None else colours.text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRect(QRectF(x - 1, 0, 2, self.height()))
        painter.drawPolygon(QPolygonF([QPoint(round(x) - 6, 0), QPoint(round(x) + 6, 0), QPoint(round(x), 9)]))

    def _look(self, scale: Scale) -> None:
        if scale != self.scale:
            self.scale = scale
            self.update()
            self.range_changed.emit()

    def _tick(self) -> None:
        if self._follow and self.position_us is None and not self._dragging:
            start = now_us() - round(self.scale.span_us * LIVE_AT)
            self.scale = Scale(start, self.scale.span_us, self.scale.width)
        self.update()

    def _said_at(self, at: QPoint) -> str:
        moment_us = self.scale.moment(at.x())
        said = [clock_text(moment_us)[:-2]]
        pixel = self.scale.span_us // max(self.width(), 1)
        said += [mark.text for mark in self._marks if mark.start_us - 3 * pixel <= moment_us <= mark.end_us + 3 * pixel]
        rows = list(self._rows.items())
        if rows and at.y() > RULER + ALARM_ROW:
            height = max(min((self.height() - RULER - ALARM_ROW) / len(rows), ROW), ROW_LEAST)
            number = int((at.y() - RULER - ALARM_ROW) / height)
            if number < len(rows):
                said.append(rows[number][0])
        return "\n".join(said)
