"""The calendar of an alarm: a grid of days and hours, painted with the mouse or the keyboard."""

from datetime import date
from typing import Any
from zoneinfo import available_timezones

from PySide6.QtCore import QDate, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QDateEdit, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget
from typing_extensions import override

from broker.model.resources import ALWAYS, DAYS
from clients.desktop.theme import colours_of, mark_wrong
from clients.desktop.widgets import button, hidden, label, named
from clients.system_manager.editors import Editor

HOURS = 24
HEAD, SIDE = 24, 124
CELL_HEIGHT = 26


class HourGrid(QWidget):
    """Rows of 24 hours each: on or off. Drag to set many alike; Space sets the one under the cursor."""

    painted = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.plans: list[str] = []
        self._setting: str | None = None
        self._cursor = (0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMaximumWidth(860)
        named(self, name)

    def show_plans(self, titles: list[str], plans: list[str]) -> None:
        """Show these days."""
        self.titles, self.plans = titles, plans
        self._cursor = (min(self._cursor[0], max(len(plans) - 1, 0)), self._cursor[1])
        self.setFixedHeight(HEAD + CELL_HEIGHT * len(plans) + 2)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for names and hours."""
        return QSize(SIDE + HOURS * 24, HEAD + CELL_HEIGHT * len(self.plans) + 2)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The least with which hours can be hit."""
        return QSize(SIDE + HOURS * 16, HEAD + CELL_HEIGHT * len(self.plans) + 2)

    def cell_rect(self, row: int, hour: int) -> QRect:
        """Where an hour of a day is."""
        across = self.width() - SIDE - 2
        left, right = hour * across // HOURS, (hour + 1) * across // HOURS
        return QRect(SIDE + left, HEAD + row * CELL_HEIGHT, right - left, CELL_HEIGHT)

    def cell_at(self, point: QPoint) -> tuple[int, int] | None:
        """The day and hour under a point."""
        row = (point.y() - HEAD) // CELL_HEIGHT
        hour = (point.x() - SIDE) * HOURS // max(self.width() - SIDE - 2, 1)
        return (row, hour) if 0 <= row < len(self.plans) and 0 <= hour < HOURS else None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Hours above, days at the left, filled cells for on."""
        del event
        colours = colours_of(self)
        painter = QPainter(self)
        painter.setPen(QColor(colours.muted))
        for hour in range(0, HOURS + 1, 3):
            at = self.cell_rect(0, min(hour, HOURS - 1))
            x = at.left() if hour < HOURS else at.right()
            width = 40
            flag = Qt.AlignmentFlag.AlignHCenter if 0 < hour < HOURS else Qt.AlignmentFlag.AlignLeft
            left = x - width // 2 if 0 < hour < HOURS else (x if hour == 0 else x - width)
            if hour == HOURS:
                flag = Qt.AlignmentFlag.AlignRight
            painter.drawText(QRect(left, 0, width, HEAD - 4), flag | Qt.AlignmentFlag.AlignBottom, f"{hour} h")
        for row, plan in enumerate(self.plans):
            painter.setPen(QColor(colours.text))
            side = QRect(0, HEAD + row * CELL_HEIGHT, SIDE - 8, CELL_HEIGHT)
            painter.drawText(side, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.titles[row])
            for hour, digit in enumerate(plan):
                rect = self.cell_rect(row, hour).adjusted(1, 1, -1, -1)
                painter.fillRect(rect, QColor(colours.accent if digit == "1" else colours.raised))
        if self.hasFocus() and self.plans:
            painter.setPen(QPen(QColor(colours.text), 2))
            painter.drawRect(self.cell_rect(*self._cursor).adjusted(1, 1, -1, -1))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Begin: on becomes off, or off on."""
        cell = self.cell_at(event.position().toPoint())
        if cell is not None:
            self._setting = "0" if self.plans[cell[0]][cell[1]] == "1" else "1"
            self._set(cell, self._setting)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go on with the same."""
        cell = self.cell_at(event.position().toPoint())
        if cell is not None and self._setting is not None:
            self._set(cell, self._setting)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Enough."""
        del event
        self._setting = None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Arrows and Space."""
        row, hour = self._cursor
        key = event.key()
        if key == Qt.Key.Key_Space and self.plans:
            self._set(self._cursor, "0" if self.plans[row][hour] == "1" else "1")
            return
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        move = next((step for each, step in moves.items() if each == key), None)
        if move is None:
            super().keyPressEvent(event)
            return
        self._cursor = (
            min(max(row + move[0], 0), max(len(self.plans) - 1, 0)),
            min(max(hour + move[1], 0), HOURS - 1),
        )
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the cursor."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Hide the cursor."""
        super().focusOutEvent(event)
        self.update()

    def _set(self, cell: tuple[int, int], digit: str) -> None:
        row, hour = cell
        plan = self.plans[row]
        self._cursor = cell
        if plan[hour] != digit:
            self.plans[row] = plan[:hour] + digit + plan[hour + 1 :]
            self.painted.emit()
        self.update()


class CalendarEditor(Editor):
    """Time zone, the week, and single days that differ."""

    def __init__(self) -> None:
        super().__init__()
        self.zone = named(QComboBox(), "Time zone")
        self.zone.setEditable(True)
        self.zone.addItems(["UTC", *sorted(zone for zone in available_timezones() if "/" in zone)])
        self.zone.setMinimumWidth(260)
        self.zone.editTextChanged.connect(self._zone_changed)
        self.week = HourGrid("Week")
        self.week.painted.connect(self.changed)
        self.days = HourGrid("Exception days")
        self.days.painted.connect(self._days_painted)
        self.date = named(QDateEdit(), "Date of an exception")
        self.date.setCalendarPopup(True)
        self.date.setDisplayFormat("yyyy-MM-dd")
        self.date.setDate(QDate.currentDate())
        self._exceptions: dict[str, str] = {}
        self._wrong = hidden(label("", "error"))
        zone_row = QHBoxLayout()
        zone_row.addWidget(label("Time zone"))
        zone_row.addWidget(self.zone)
        zone_row.addWidget(self._wrong)
        zone_row.addStretch()
        buttons = QHBoxLayout()
        buttons.addWidget(button("All on", lambda: self._all(ALWAYS)))
        buttons.addWidget(button("All off", lambda: self._all("0" * HOURS)))
        buttons.addWidget(button("Working hours", self._working))
        buttons.addStretch()
        exceptions = QHBoxLayout()
        exceptions.addWidget(label("Days that differ"))
        exceptions.addWidget(self.date)
        exceptions.addWidget(button("Add day", self.add_day))
        exceptions.addWidget(button("Remove day", self.remove_day))
        exceptions.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(zone_row)
        column.addWidget(label("Filled hours: the alarm can start. Drag to paint, or use arrows and Space.", "help"))
        column.addWidget(self.week)
        column.addLayout(buttons)
        column.addLayout(exceptions)
        column.addWidget(self.days)
        self.setFocusProxy(self.zone)
        self._quiet = False

    @override
    def value(self) -> dict[str, Any]:
        return {
            "time_zone": self.zone.currentText().strip(),
            "week": list(self.week.plans),
            "exceptions": dict(sorted(self._exceptions.items())),
        }

    @override
    def set_value(self, value: Any) -> None:
        given = value or {}
        self._quiet = True
        self.zone.setEditText(str(given.get("time_zone", "UTC")))
        self._quiet = False
        self.week.show_plans([day.capitalize() for day in DAYS], list(given.get("week") or [ALWAYS] * len(DAYS)))
        self._exceptions = dict(given.get("exceptions") or {})
        self._show_days()

    @override
    def complain(self, path: str, sentence: str) -> bool:
        if path.split(".", maxsplit=1)[0] != "time_zone":
            return False
        mark_wrong(self.zone, True)
        self._wrong.setText(sentence)
        self._wrong.setVisible(True)
        return True

    @override
    def clear(self) -> None:
        mark_wrong(self.zone, False)
        self._wrong.setVisible(False)

    def add_day(self) -> None:
        """The date that is chosen is a day of its own from now on, off at first."""
        self._exceptions.setdefault(self.date.date().toString("yyyy-MM-dd"), "0" * HOURS)
        self._show_days()
        self.changed.emit()

    def remove_day(self) -> None:
        """The date that is chosen is as any other of its weekday again."""
        if self._exceptions.pop(self.date.date().toString("yyyy-MM-dd"), None) is not None:
            self._show_days()
            self.changed.emit()

    def _show_days(self) -> None:
        days = sorted(self._exceptions)
        titles = [f"{day} {date.fromisoformat(day):%a}" for day in days]
        self.days.show_plans(titles, [self._exceptions[day] for day in days])
        self.days.setVisible(bool(days))

    def _days_painted(self) -> None:
        self._exceptions = dict(zip(sorted(self._exceptions), self.days.plans, strict=True))
        self.changed.emit()

    def _all(self, plan: str) -> None:
        self.week.show_plans(self.week.titles, [plan] * len(DAYS))
        self.changed.emit()

    def _working(self) -> None:
        plan = "0" * 8 + "1" * 10 + "0" * 6
        self.week.show_plans(self.week.titles, [plan] * 5 + ["0" * HOURS] * 2)
        self.changed.emit()

    def _zone_changed(self) -> None:
        if not self._quiet:
            self.changed.emit()
