"""The window that opens by itself when an alarm starts: its cameras live, what to do, and the button for it."""

from datetime import UTC, datetime

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QColor
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from broker.model.log import AlarmEvent
from broker.model.messages import AlarmState
from clients.desktop.video.media import Media
from clients.desktop.widgets import button, label
from clients.spotter.alarm_book import duration_text
from clients.spotter.alarms import Alarms
from clients.spotter.camera_cell import CameraCell
from clients.spotter.grid import Grid
from clients.spotter.pictures import Pictures
from clients.spotter.site import Site

MOST_CAMERAS = 4
STAYS_MS = 10_000
"""It closes so long after the alarm has ended, unless the operator is at it."""


class AlarmPopup(QWidget):
    """Shows the newest alarm that has started; older ones that are still active come when it is done with."""

    opened = Signal(object)
    """The event whose cameras and moment are to be shown in the main window."""

    def __init__(self, site: Site, alarms: Alarms, media: Media, pictures: Pictures) -> None:
        super().__init__(None, Qt.WindowType.Window)
        self._site, self._alarms, self._pictures = site, alarms, pictures
        self.event_id: str | None = None
        self.title, self.about = label("", "title"), label("", "help")
        self.instructions = label("", wrap=True)
        self.others = label("", "help")
        self.grid = Grid(media, 1)
        self.grid.fill = self._fill
        self.acknowledge_button = button("Acknowledge", self._acknowledge, "main")
        self.acknowledge_button.setDefault(True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.others, 1)
        buttons.addWidget(button("Show in a tab", self._open))
        buttons.addWidget(button("Close", self.close))
        buttons.addWidget(self.acknowledge_button)
        layout = QVBoxLayout(self)
        for widget in (self.title, self.about, self.instructions):
            layout.addWidget(widget)
        layout.addWidget(self.grid, 1)
        layout.addLayout(buttons)
        self.resize(720, 560)
        self._ending = QTimer(self, singleShot=True, interval=STAYS_MS)
        self._ending.timeout.connect(self._ended)
        ticking = QTimer(self, interval=1000)
        ticking.timeout.connect(self._say)
        ticking.start()
        alarms.changed.connect(self._changed)

    def announce(self, event: AlarmEvent) -> None:
        """An alarm has started: show it."""
        self._show(event)
        self.show()
        self.raise_()

    def _show(self, event: AlarmEvent) -> None:
        self.event_id = event.id
        self._ending.stop()
        cameras = [id_ for id_ in dict.fromkeys((event.source_id, *event.camera_ids)) if id_ in self._site.cameras]
        self.grid.set_cells(max(min(len(cameras), MOST_CAMERAS), 1))
        self.grid.set_cameras(tuple(cameras[:MOST_CAMERAS]))
        if not cameras:
            self.grid.cells[0].empty("Your profile shows no camera of this alarm.")
        self.grid.frame_cameras(dict.fromkeys(cameras, QColor(event.colour)))
        alarm = self._site.alarms.get(event.alarm_id)
        self.instructions.setText(alarm.description if alarm else "")
        self.instructions.setVisible(bool(alarm and alarm.description))
        self.setWindowTitle(f"Alarm: {event.alarm_name}")
        self._say()

    def _say(self) -> None:
        event = self._event()
        if event is None or (not self.isVisible() and self.event_id is None):
            return
        now = datetime.now(UTC)
        self.title.setText(event.alarm_name)
        state = "ended after" if event.state is AlarmState.ENDED else "for"
        self.about.setText(
            f"{self._site.name_of(event.source_id)}, {event.priority} priority, since "
            f"{event.occurred_at.astimezone():%H:%M:%S}, {state} {duration_text(event, now)}"
        )
        taken = event.acknowledged
        self.acknowledge_button.setEnabled(self._alarms.may_acknowledge(event))
        self.acknowledge_button.setText(f"Acknowledged by {taken.user_name}" if taken else "Acknowledge")
        more = sum(other.id != event.id for other in self._alarms.book.active)
        self.others.setText(f"{more} more active" if more else "")

    def _changed(self) -> None:
        if self.event_id is None:
            return
        event = self._event()
        if event is None or event.alarm_id not in self._site.alarms:
            self._next()
        elif event.state is AlarmState.ENDED and not self._ending.isActive():
            self._ending.start()
        self._say()

    def _ended(self) -> None:
        if self.underMouse():
            self._ending.start()
        else:
            self._next()

    def _next(self) -> None:
        """The newest other alarm that is still active and not acknowledged, or nothing."""
        left = [
            event
            for event in self._alarms.book.active
            if event.id != self.event_id and event.acknowledged is None and event.alarm_id in self._site.alarms
        ]
        if left and self.isVisible():
            self._show(left[-1])
        else:
            self.close()

    def _event(self) -> AlarmEvent | None:
        return self._alarms.book.get(self.event_id) if self.event_id else None

    def _fill(self, cell: CameraCell, camera_id: str) -> None:
        self._pictures.show_live(cell, camera_id)

    def _acknowledge(self) -> None:
        if self.event_id:
            self._alarms.acknowledge(self.event_id)

    def _open(self) -> None:
        if event := self._event():
            self.opened.emit(event)
            self.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop its streams."""
        self.event_id = None
        self._ending.stop()
        self.grid.set_cameras(())
        super().closeEvent(event)
