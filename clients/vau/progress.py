"""How a download goes, for people: on a terminal, or in a plain window where there is only a screen."""

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from clients.vau.install import Pulse

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Terminal(Pulse):
    """One line that fills up. The library comes when there is something to show."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def begin(self, total: int) -> None:
        """Show the line."""
        from rich.console import Console  # noqa: PLC0415 - a start with nothing new does without
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._task = self._progress.add_task(self._title, total=total)

    def went_on(self, done: int) -> None:
        """Fill it."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done)

    def close(self) -> None:
        """Leave the terminal as it should be."""
        if self._progress is not None:
            self._progress.stop()


class Window(Pulse):
    """A plain progress window, for who clicked on an icon."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._application: Any = None
        self._dialog: Any = None

    def begin(self, total: int) -> None:
        """Open it."""
        from PySide6.QtCore import Qt  # noqa: PLC0415 - where there is no Qt, VAU works without a window
        from PySide6.QtWidgets import QApplication, QProgressDialog  # noqa: PLC0415

        self._application = QApplication.instance() or QApplication([])
        self._dialog = QProgressDialog(self._title, "", 0, 1000)
        self._dialog.setWindowTitle("Vigil")
        self._dialog.setCancelButton(None)
        self._dialog.setMinimumWidth(420)
        self._dialog.setMinimumDuration(0)
        self._dialog.setWindowFlag(Qt.WindowType.WindowCloseButtonHint, on=False)
        self._total = max(total, 1)
        self._dialog.setLabelText(f"{self._title} ({_megabytes(total)})")
        self._dialog.show()
        self.went_on(0)

    def went_on(self, done: int) -> None:
        """Fill it, and let it be painted."""
        if self._dialog is not None:
            self._dialog.setValue(min(1000 * done // self._total, 999))
            self._application.processEvents()

    def close(self) -> None:
        """Close it."""
        if self._dialog is not None:
            self._dialog.close()
            self._application.processEvents()


def for_people(title: str) -> Pulse:
    """What suits where VAU was started; silence where nobody looks."""
    if sys.stderr is not None and sys.stderr.isatty():
        return Terminal(title)
    return Window(title) if has_screen() else Pulse()


def has_screen() -> bool:
    """Whether a window could be shown: there is a screen, and Qt."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM")
    return bool(screen) and importlib.util.find_spec("PySide6") is not None


def tell(sentence: str) -> None:
    """Say something on standard error; without a terminal also in a window, for that is all that the user sees."""
    if sys.stderr is not None:
        sys.stderr.write(sentence + "\n")
        sys.stderr.flush()
    if (sys.stderr is None or not sys.stderr.isatty()) and has_screen() and not os.environ.get("QT_QPA_PLATFORM"):
        from PySide6.QtWidgets import QApplication, QMessageBox  # noqa: PLC0415 - as above

        application = QApplication.instance() or QApplication([])
        QMessageBox.critical(None, "Vigil", sentence)
        del application


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
