"""Alarm events as rows of a table."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont

from broker.model.log import AlarmEvent
from broker.model.messages import AlarmState
from clients.spotter.alarm_book import RANK, duration_text

HEADERS = ("Alarm", "Camera", "Started", "Lasted", "State", "Acknowledged")
STATES = {AlarmState.ACTIVE: "Active", AlarmState.POST_RECORDING: "Recording", AlarmState.ENDED: "Ended"}
EVENT_ROLE = Qt.ItemDataRole.UserRole
"""The `AlarmEvent` itself."""
NAME, CAMERA, STARTED, LASTED, STATE, TAKEN = range(len(HEADERS))
Index = QModelIndex | QPersistentModelIndex


def started_text(event: AlarmEvent, now: datetime) -> str:
    """When it began: the time, with the day unless it is today."""
    at, today = event.occurred_at.astimezone(), now.astimezone().date()
    return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%d %b %H:%M:%S}"


class AlarmTable(QAbstractTableModel):
    """Shows a list of events. `name_of` says what people call a camera."""

    def __init__(self, name_of: Callable[[str], str], acknowledging: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__()
        self.events: list[AlarmEvent] = []
        self._name_of = name_of
        self._acknowledging = acknowledging

    def show(self, events: list[AlarmEvent]) -> None:
        """Other events, or the same ones changed."""
        if [event.id for event in events] == [event.id for event in self.events]:
            self.events = events
            self.refresh()
            return
        self.beginResetModel()
        self.events = events
        self.endResetModel()

    def refresh(self) -> None:
        """Durations have grown."""
        if self.events:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.events) - 1, len(HEADERS) - 1))

    def row(self, index: Index) -> AlarmEvent | None:
        """The event of a row."""
        return self.events[index.row()] if index.isValid() and index.row() < len(self.events) else None

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        """How many events."""
        return 0 if parent is not None and parent.isValid() else len(self.events)

    def columnCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        """How many columns."""
        return 0 if parent is not None and parent.isValid() else len(HEADERS)

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """What stands above a column."""
        if role == Qt.ItemDataRole.DisplayRole and orientation is Qt.Orientation.Horizontal:
            return HEADERS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a field says and looks like."""
        if not index.isValid() or index.row() >= len(self.events):
            return None
        event = self.events[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(event, index.column())
            case Qt.ItemDataRole.UserRole:
                return event
            case Qt.ItemDataRole.AccessibleTextRole:
                return ", ".join(self._text(event, column) for column in range(len(HEADERS)))
            case Qt.ItemDataRole.ToolTipRole:
                failed = [f"{run.kind}: {run.outcome}, {run.reason}" for run in event.actions if run.reason]
                return "\n".join([f"{event.alarm_name}, {event.priority} priority", *failed])
        return self._look(event, index.column(), role)

    def _look(self, event: AlarmEvent, column: int, role: int) -> Any:
        if role == Qt.ItemDataRole.DecorationRole and column == NAME:
            return QColor(event.colour)
        if role == Qt.ItemDataRole.FontRole and event.acknowledged is None:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def _text(self, event: AlarmEvent, column: int) -> str:
        now = datetime.now(UTC)
        nobody = "…" if self._acknowledging(event.id) else "-"
        return (
            f"{'! ' * RANK[event.priority]}{event.alarm_name}",
            self._name_of(event.source_id),
            started_text(event, now),
            duration_text(event, now),
            STATES[event.state],
            event.acknowledged.user_name if event.acknowledged else nobody,
        )[column]
