"""Alarms of the past: searched by time, alarm and state, older ones on demand, any of them played again."""

from datetime import datetime

from PySide6.QtCore import QDateTime, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDateTimeEdit,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from broker.model.log import AlarmEvent
from broker.model.messages import AlarmState
from clients.desktop.failures import failure_of
from clients.desktop.widgets import Message, button, label, named
from clients.spotter.alarm_book import MOST_EVENTS
from clients.spotter.alarm_table import CAMERA, LASTED, NAME, STARTED, STATE, STATES, TAKEN, AlarmTable
from clients.spotter.alarms import Alarms
from clients.spotter.site import Site
from clients.spotter.transport import FORMAT

WIDTHS = {CAMERA: 120, STARTED: 130, LASTED: 80, STATE: 90, TAKEN: 130}


def alarm_view(table: AlarmTable, name: str) -> QTableView:
    """A table of alarm events, a row at a time."""
    view = named(QTableView(), name)
    view.setModel(table)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.setTabKeyNavigation(False)
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(28)
    view.horizontalHeader().setHighlightSections(False)
    for column, width in WIDTHS.items():
        view.setColumnWidth(column, width)
    view.horizontalHeader().setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
    return view


class History(QDialog):
    """A window of its own, which may stay open."""

    opened = Signal(object)
    """The `AlarmEvent` to be played."""

    def __init__(self, site: Site, alarms: Alarms, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._alarms = alarms
        self._asked = 0
        self.setWindowTitle("Alarms of the past")
        self.resize(820, 520)
        self.before = named(QDateTimeEdit(calendarPopup=True), "Before")
        self.before.setDisplayFormat(FORMAT)
        self.before.setDateTime(QDateTime.currentDateTime())
        self.alarm, self.state = named(QComboBox(), "Alarm"), named(QComboBox(), "State")
        self.alarm.addItem("All alarms", None)
        for alarm in sorted(site.alarms.values(), key=lambda alarm: alarm.name.lower()):
            self.alarm.addItem(alarm.name, alarm.id)
        self.state.addItem("Every state", None)
        for state, text in STATES.items():
            self.state.addItem(text, state)
        self.table = AlarmTable(site.name_of)
        self.view = alarm_view(self.table, "Alarms of the past")
        self.message, self.summary = Message(), label("", "help")
        self.older = button("Older", self._older)
        self.play = button("Play", self._open, "main")
        self._lay_out()
        self.view.activated.connect(self._open)
        self.alarm.currentIndexChanged.connect(self.search)
        self.state.currentIndexChanged.connect(self.search)
        self.search()

    def _lay_out(self) -> None:
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.addWidget(label("Before"))
        for widget in (self.before, self.alarm, self.state):
            head.addWidget(widget)
        head.addWidget(button("Search", self.search))
        head.addStretch()
        foot.addWidget(self.summary, 1)
        foot.addWidget(self.older)
        foot.addWidget(self.play)
        foot.addWidget(button("Close", self.close))
        layout = QVBoxLayout(self)
        layout.addLayout(head)
        layout.addWidget(self.message)
        layout.addWidget(self.view, 1)
        layout.addLayout(foot)

    def search(self) -> None:
        """Begin anew with what is chosen."""
        before = self.before.dateTime().addSecs(1).toPython()
        assert isinstance(before, datetime)
        self._ask(before.astimezone(), [])

    def _older(self) -> None:
        if self.table.events:
            self._ask(self.table.events[-1].raised_at, self.table.events)

    def _ask(self, before: datetime, so_far: list[AlarmEvent]) -> None:
        self._asked += 1
        asked = self._asked
        self.message.clear()
        self.summary.setText("Searching …")
        alarm_id: str | None = self.alarm.currentData()
        state: AlarmState | None = self.state.currentData()

        def took(events: tuple[AlarmEvent, ...]) -> None:
            if asked != self._asked:
                return
            self.table.show([*so_far, *events])
            self.older.setEnabled(len(events) == MOST_EVENTS)
            count = len(self.table.events)
            self.summary.setText(f"{count} alarms" if count else "There is no such alarm.")
            self.play.setEnabled(bool(count))
            if count and not self.view.currentIndex().isValid():
                self.view.selectRow(0)

        def failed(error: Exception) -> None:
            if asked == self._asked:
                self.summary.setText("")
                self.message.say(failure_of(error))

        self._alarms.history(took, failed, owner=self, before=before, alarm_id=alarm_id, state=state)

    def _open(self) -> None:
        if event := self.table.row(self.view.currentIndex()):
            self.opened.emit(event)
