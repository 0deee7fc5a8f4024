"""Small widgets, made in one call each: the style sheet's classes, names for screen readers, keyboard access."""

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from clients.desktop.failures import Failure
from clients.desktop.theme import kind

W = TypeVar("W", bound=QWidget)


def named(widget: W, name: str) -> W:
    """Give a widget the name that screen readers say and tests look for."""
    widget.setAccessibleName(name)
    return widget


def hidden(widget: W) -> W:
    """Hide a widget until it is wanted."""
    widget.setVisible(False)
    return widget


class WrappedLabel(QLabel):
    """A text of several lines that is never cut off: layouts inside scroll areas do not ask for its height."""

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Claim the height that this width needs."""
        super().resizeEvent(event)
        self._claim()

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show another text."""
        super().setText(text)
        self._claim()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """By now the width is the real one."""
        super().showEvent(event)
        self._claim()

    def _claim(self) -> None:
        if not self.isVisible():
            return
        needed = self.heightForWidth(self.width())
        if needed != self.minimumHeight():
            self.setMinimumHeight(max(needed, 0))


def label(text: str = "", style: str = "", *, wrap: bool = False) -> QLabel:
    """Plain text: what servers and people wrote is never taken for markup."""
    made = WrappedLabel() if wrap else QLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText(text)
    made.setWordWrap(wrap)
    if style:
        kind(made, style)
    return made


def selectable(text: str = "", style: str = "") -> QLabel:
    """A text that can be copied."""
    made = label(text, style, wrap=True)
    made.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return made


def button(text: str, pressed: Callable[[], object], style: str = "") -> QPushButton:
    """A button; `style` is main or danger."""
    made = QPushButton(text)
    made.clicked.connect(lambda: pressed())  # noqa: PLW0108 - without the `checked` that the signal brings
    if style:
        kind(made, style)
    return made


def tool_button(text: str, *, checkable: bool = False) -> QToolButton:
    """A small button for a bar."""
    made = QToolButton()
    made.setText(text)
    made.setCheckable(checkable)
    return made


class Message(QFrame):
    """A sentence and its remedy, in a frame that is there only while it says something."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        kind(self, "bad")
        self._sentence, self._remedy = selectable(), selectable()
        inside = QVBoxLayout(self)
        inside.setContentsMargins(12, 8, 12, 8)
        inside.addWidget(self._sentence)
        inside.addWidget(self._remedy)
        self.setVisible(False)

    def say(self, failure: Failure) -> None:
        """Show it."""
        self._sentence.setText(failure.sentence)
        self._remedy.setText(failure.remedy)
        self._remedy.setVisible(bool(failure.remedy))
        self.setAccessibleDescription(self.text)
        self.setVisible(True)

    def clear(self) -> None:
        """Say nothing."""
        self._sentence.clear()
        self._remedy.clear()
        self.setVisible(False)

    @property
    def text(self) -> str:
        """What it says; empty when it says nothing."""
        return f"{self._sentence.text()} {self._remedy.text()}".strip()
