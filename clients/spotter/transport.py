"""The row of buttons under the pictures: live or recorded, play, step, speed, a moment to go to."""

from datetime import UTC, datetime

from PySide6.QtCore import QDateTime, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QDateTimeEdit, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from clients.desktop.video.surface import clock_text
from clients.desktop.widgets import label, named, tool_button
from clients.spotter.clock import SPEEDS
from clients.spotter.keys import key

SHOWN_PX = 96
"""Room for a time of day."""
FORMAT = "yyyy-MM-dd HH:mm:ss"


def speed_text(speed: float) -> str:
    """A speed as the list says it."""
    fractions = {0.25: "¼", 0.5: "½"}
    return f"{fractions.get(speed, f'{speed:g}')} \u00d7"


def shown_text(moment_us: int) -> str:
    """A moment as it is shown beside the buttons: the time, with the date unless it is today."""
    text = clock_text(moment_us)
    day, _, clock = text.partition(" ")
    return clock if day == f"{datetime.now().astimezone():%Y-%m-%d}" else text


class Transport(QWidget):
    """Says what the operator wants; shows what is."""

    live_wanted = Signal()
    play_wanted = Signal()
    pause_wanted = Signal()
    step_wanted = Signal(int)
    speed_wanted = Signal(float)
    """Signed: negative is backwards."""
    moment_wanted = Signal(object)
    """µs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playing = False
        self.live = self._button("● Live", "live", self.live_wanted.emit, checkable=True)
        self.back = self._button("❙◀", "step_back", lambda: self.step_wanted.emit(-1))
        self.reverse = self._button("◀", "reverse", self._say_speed, checkable=True)
        self.play = self._button("▶ Play", "play", self.toggle)
        self.forward = self._button("▶❙", "step_forward", lambda: self.step_wanted.emit(1))
        self.speed = named(QComboBox(), "Speed")
        for speed in SPEEDS:
            self.speed.addItem(speed_text(speed), speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.setToolTip(f"Speed ({key('faster').keys} and {key('slower').keys})")
        self.moment = named(QDateTimeEdit(calendarPopup=True), "Moment to go to")
        self.moment.setDisplayFormat(FORMAT)
        self.moment.setDateTime(QDateTime.currentDateTime())
        self.go = self._button("Go", "go_to", self._go)
        self.shown = label("", "section")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 2)
        for widget in (self.live, self.back, self.reverse, self.play, self.forward, self.speed):
            layout.addWidget(widget)
        layout.addWidget(self.shown, 1)
        layout.addWidget(self.moment)
        layout.addWidget(self.go)
        self.shown.setMinimumWidth(SHOWN_PX)
        self.shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.speed.currentIndexChanged.connect(self._say_speed)

    def show_state(self, *, live: bool, playing: bool, speed: float, may_play: bool) -> None:
        """What is going on."""
        self._playing = playing
        self.live.setChecked(live)
        self.play.setText("❙❙ Pause" if playing and not live else "▶ Play")
        with QSignalBlocker(self.reverse), QSignalBlocker(self.speed):
            self.reverse.setChecked(speed < 0)
            index = self.speed.findData(abs(speed))
            self.speed.setCurrentIndex(index if index >= 0 else self.speed.currentIndex())
        for widget in (self.back, self.reverse, self.play, self.forward, self.speed, self.moment, self.go):
            widget.setEnabled(may_play)

    def show_moment(self, moment_us: int | None) -> None:
        """The moment shown; none: the present."""
        self.shown.setText("Live" if moment_us is None else shown_text(moment_us))

    def toggle(self) -> None:
        """Play or pause."""
        (self.pause_wanted if self._playing else self.play_wanted).emit()

    def change_speed(self, steps: int) -> None:
        """So many speeds faster, or slower."""
        index = min(max(self.speed.currentIndex() + steps, 0), len(SPEEDS) - 1)
        self.speed.setCurrentIndex(index)

    def focus_moment(self) -> None:
        """Take the keyboard to the moment to go to."""
        self.moment.setFocus()

    def _go(self) -> None:
        self.moment_wanted.emit(self.moment.dateTime().toMSecsSinceEpoch() * 1000)

    def _say_speed(self) -> None:
        speed = float(self.speed.currentData())
        self.speed_wanted.emit(-speed if self.reverse.isChecked() else speed)

    def _button(self, text: str, name: str, pressed: object, *, checkable: bool = False) -> QToolButton:
        made = tool_button(text, checkable=checkable)
        made.setToolTip(f"{key(name).does} ({key(name).keys})")
        made.setAccessibleName(key(name).does)
        # A click leaves the keyboard with the pictures, so that single keys go on working.
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.clicked.connect(lambda _checked=False: pressed())  # type: ignore[operator] # a function without arguments
        return made


def moment_of(moment_us: int) -> datetime:
    """A moment as an aware datetime."""
    return datetime.fromtimestamp(moment_us / 1e6, UTC)
