"""The alarm list, with what an operator does about alarms."""

from datetime import UTC, datetime, timedelta

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from broker.model.log import AlarmEvent
from clients.desktop.widgets import button, label, named, tool_button
from clients.spotter.alarm_book import SNOOZES, Filter
from clients.spotter.alarm_delegate import AlarmDelegate
from clients.spotter.alarm_table import AlarmTable
from clients.spotter.alarms import Alarms
from clients.spotter.site import Site
from clients.spotter.sound import Bell


def snooze_text(length: timedelta) -> str:
    """A length of time as a menu says it."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:  # noqa: PLR2004 - less than an hour
        return f"{minutes} minutes"
    return "1 hour" if minutes == 60 else f"{minutes // 60} hours"  # noqa: PLR2004 - the same


class AlarmPanel(QWidget):
    """Lists alarms; opens, acknowledges, snoozes them."""

    opened = Signal(object)
    """The `AlarmEvent` whose cameras and moment are to be shown."""
    history_wanted = Signal()
    muted = Signal(bool)

    def __init__(self, site: Site, alarms: Alarms, bell: Bell, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._site, self._alarms, self._bell = site, alarms, bell
        self.table = AlarmTable(site.name_of, alarms.acknowledging)
        self.view = named(QListView(), "Alarms")
        self.view.setModel(self.table)
        self.view.setItemDelegate(AlarmDelegate(self.view))
        self.view.setUniformItemSizes(True)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.which = named(QComboBox(), "Which alarms")
        self.which.addItems(list(Filter))
        self.words = named(QLineEdit(placeholderText="Filter", clearButtonEnabled=True), "Filter alarms")
        self.instructions = label("", "help", wrap=True)
        self.count = label("", "section")
        self.acknowledge_button = button("Acknowledge", self.acknowledge, "main")
        self.open_button = button("Show", self.open)
        self.snooze_button = tool_button("Snooze")
        self.snooze_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.snooze_button.setMenu(QMenu(self))
        self.snooze_button.menu().aboutToShow.connect(self._fill_snoozes)
        self.mute_button = named(tool_button("", checkable=True), "Mute alarms")
        self.history_button = tool_button("History")
        self.history_button.clicked.connect(self.history_wanted)
        self.mute_button.toggled.connect(self._mute)
        self._mute(muted=False)
        self._lay_out()
        self.which.currentIndexChanged.connect(self.refresh)
        self.words.textChanged.connect(self.refresh)
        self.view.selectionModel().currentRowChanged.connect(self._chosen)
        self.view.activated.connect(self.open)
        space = QShortcut(QKeySequence(Qt.Key.Key_Space), self.view, self.acknowledge)
        space.setContext(Qt.ShortcutContext.WidgetShortcut)
        alarms.changed.connect(self.refresh)
        site.changed.connect(self.refresh)
        ticking = QTimer(self, interval=1000)
        ticking.timeout.connect(self.table.refresh)
        ticking.start()
        self.refresh()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.count)
        head.addStretch()
        head.addWidget(self.mute_button)
        head.addWidget(self.history_button)
        filters = QHBoxLayout()
        filters.addWidget(self.which)
        filters.addWidget(self.words, 1)
        foot = QHBoxLayout()
        foot.addWidget(self.acknowledge_button, 1)
        foot.addWidget(self.open_button)
        foot.addWidget(self.snooze_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        for inside in (head, filters):
            layout.addLayout(inside)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.instructions)
        layout.addLayout(foot)

    @property
    def chosen(self) -> AlarmEvent | None:
        """The event that commands go to."""
        return self.table.row(self.view.currentIndex())

    def choose(self, event_id: str) -> None:
        """Direct commands to an event, if it is listed."""
        for row, event in enumerate(self.table.events):
            if event.id == event_id:
                self.view.setCurrentIndex(self.table.index(row, 0))

    def acknowledge(self) -> None:
        """Take notice of the chosen event."""
        if event := self.chosen:
            self._alarms.acknowledge(event.id)

    def open(self) -> None:
        """Show the chosen event's cameras."""
        if event := self.chosen:
            self.opened.emit(event)

    def refresh(self) -> None:
        """Show the book as it is now; what was chosen stays chosen."""
        chosen = self.chosen
        self.table.show(self._alarms.book.listed(Filter(self.which.currentText()), self.words.text()))
        if chosen is not None:
            self.choose(chosen.id)
        if self.chosen is None and self.table.events:
            self.view.setCurrentIndex(self.table.index(0, 0))
        waiting = self._alarms.book.unacknowledged
        self.count.setText(f"{waiting} open" if waiting else "All is quiet")
        self._chosen()

    def _chosen(self, *_: QModelIndex) -> None:
        event = self.chosen
        self.acknowledge_button.setEnabled(self._alarms.may_acknowledge(event))
        self.open_button.setEnabled(event is not None)
        self.snooze_button.setEnabled(event is not None or bool(self._alarms.book.snoozes(datetime.now(UTC))))
        alarm = self._site.alarms.get(event.alarm_id) if event else None
        self.instructions.setText(alarm.description if alarm else "")
        self.instructions.setVisible(bool(alarm and alarm.description))

    def _fill_snoozes(self) -> None:
        menu, now = self.snooze_button.menu(), datetime.now(UTC)
        menu.clear()
        if event := self.chosen:
            for length in SNOOZES:
                act = menu.addAction(f"“{event.alarm_name}” for {snooze_text(length)}")
                act.triggered.connect(
                    lambda _=False, id_=event.alarm_id, length=length: self._alarms.snooze(id_, length)
                )
            menu.addSeparator()
        for alarm_id, until in self._alarms.book.snoozes(now).items():
            alarm = self._site.alarms.get(alarm_id)
            act = menu.addAction(f"End: {alarm.name if alarm else alarm_id}, until {until.astimezone():%H:%M}")
            act.triggered.connect(lambda _=False, id_=alarm_id: self._alarms.snooze(id_, None))

    def _mute(self, muted: bool) -> None:  # noqa: FBT001 - Qt's signal
        self._bell.mute(muted)
        self.mute_button.setText("Sound off" if muted else "Sound on")
        self.muted.emit(muted)

    def focus_list(self) -> None:
        """Take the keyboard to the list."""
        self.view.setFocus(Qt.FocusReason.ShortcutFocusReason)
