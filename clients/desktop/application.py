"""The life of a desktop application: sign in, work, sign in again when the session is over, end.

    def main() -> None:
        raise SystemExit(Application("Vigil System Manager", MainWindow, needs=Right.ADMINISTER).run())

With VAU, addresses and branding are those of the site, the application says when it works, and offers to restart when
there is a newer version; without VAU, from a checkout, none of this happens.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox, QWidget

from broker.model.resources import Right
from broker.process import LogSettings, ProcessSettings, configure_logs, load_settings
from clients.desktop.session import Session
from clients.desktop.sign_in import SignInWindow
from clients.desktop.sites import Sites
from clients.desktop.theme import Theme
from clients.sdk import Event
from clients.vau import launched

MakeWindow = Callable[["Application"], QMainWindow]
HEALTHY_MS = 500
"""A window that has been on the screen for so long works."""


class Application(QObject):
    """One running application. Windows get it, and through it session, appearance and what is remembered."""

    def __init__(
        self, title: str, make_window: MakeWindow, *, needs: Right | None = None, sites: Sites | None = None
    ) -> None:
        self.qt = _qt_application(title)
        super().__init__()
        self.title = title
        self.sites = sites or Sites()
        self.theme = Theme(self.qt, self.sites.scheme)
        self.session = Session(program=title)
        self.window: QMainWindow | None = None
        self._make_window = make_window
        self._leaving = False
        self._offered = ""
        self.sign_in = SignInWindow(
            self.session,
            self.sites,
            title,
            addresses=_addresses(),
            fingerprints=_fingerprints(),
            needs=needs,
            ca=_authorities(),
        )
        self.sign_in.signed_in.connect(self._signed_in)
        self.sign_in.closed.connect(self._sign_in_closed)
        self.session.over.connect(self._over)
        self.session.happened.connect(self._happened)

    def start(self) -> None:
        """Show the sign-in window; `run` does it, and tests."""
        self.sign_in.show()
        QTimer.singleShot(HEALTHY_MS, launched.report_healthy)

    def run(self) -> int:
        """Run until the last window is closed; the exit status."""
        self.start()
        # Qt's loop would leave Ctrl-C to whenever Python next runs.
        signal.signal(signal.SIGINT, lambda *_: self.qt.quit())
        alive = QTimer(interval=500)
        alive.timeout.connect(lambda: None)
        alive.start()
        try:
            return self.qt.exec()
        finally:
            self.close()

    def close(self) -> None:
        """End the session and the background thread."""
        self._leaving = True
        if self.window is not None:
            self.window.close()
        self.session.close()

    def sign_out(self) -> None:
        """End the session and ask who comes next. Windows close first, and may refuse because of unsaved work."""
        window, self._leaving = self.window, True
        try:
            if window is not None and not window.close():
                return
        finally:
            self._leaving = False
        self.session.sign_out()
        self.sign_in.show()

    def choose_scheme(self, scheme: str) -> None:
        """Light, dark or as the desktop has it; remembered."""
        self.theme.choose(scheme)
        self.sites.choose_scheme(scheme)

    def window_closed(self) -> None:
        """The main window has been closed; by the person: the application ends."""
        self.window = None
        if not self._leaving:
            self.qt.quit()

    # --- what happens ---------------------------------------------------------------------------------------------

    def _signed_in(self) -> None:
        self.sign_in.hide()
        if self.window is None:
            self.window = self._make_window(self)
            self.window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.window.show()
        self.window.raise_()

    def _sign_in_closed(self) -> None:
        if self.window is None:
            self.qt.quit()

    def _over(self, sentence: str) -> None:
        self.sign_in.again(sentence)
        self.sign_in.show()
        self.sign_in.raise_()

    def _happened(self, event: Event) -> None:
        version = launched.update_offered(event.kind, event.data)
        if version and version != self._offered:
            self._offered = version
            self.offer_restart(version)

    def offer_restart(self, version: str) -> None:
        """Ask, without holding anything up, whether to start the new version now."""
        box = QMessageBox(self.window or self.sign_in)
        box.setWindowTitle("A new version")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"Version {version} of {self.title} is there.")
        box.setInformativeText("Restart now, or go on; it then starts with the next start.")
        now = box.addButton("Restart now", QMessageBox.ButtonRole.AcceptRole)
        box.addButton("Later", QMessageBox.ButtonRole.RejectRole)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.finished.connect(lambda: self._restart() if box.clickedButton() is now else None)
        box.open()

    def _restart(self) -> None:
        if self.window is not None and not self.window.close():
            return
        if launched.restart():
            self.qt.quit()


class ApplicationWindow(QMainWindow):
    """A main window that may refuse to close while work is unsaved."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self.application = application

    def may_close(self) -> bool:
        """Whether nothing would be lost; ask the person where something would."""
        return True

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Close, unless work would be lost."""
        if not self.may_close():
            event.ignore()
            return
        super().closeEvent(event)
        self.application.window_closed()


def _qt_application(title: str) -> QApplication:
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    application.setApplicationDisplayName(title)
    application.setQuitOnLastWindowClosed(False)
    configure_logs(LogSettings(level="warning"))
    return application


def _addresses() -> tuple[str, ...]:
    """Where the site says it is, then where the environment says."""
    known, told = launched.launch(), launched.configuration()
    found = [known.server] if known else []
    found += [address.url for address in told.addresses] if told else []
    found.append(load_settings(ProcessSettings).smserver_url)
    return tuple(dict.fromkeys(_short(url) for url in found))


def _short(url: str) -> str:
    """As people write it: the scheme is found out, except where plain speaking is meant for another machine."""
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return parts.netloc if parts.scheme == "https" or local else url


def _fingerprints() -> tuple[str, ...]:
    known, told = launched.launch(), launched.configuration()
    found = [known.certificate] if known else []
    found += [address.certificate for address in told.addresses] if told else []
    return tuple(fingerprint for fingerprint in found if fingerprint)


def _authorities() -> Path | None:
    return load_settings(ProcessSettings).tls.ca


def centre(window: QWidget, width: int, height: int) -> None:
    """Give a window its size, or less where the screen is smaller, in the middle of it."""
    available = window.screen().availableGeometry()
    window.resize(min(width, available.width()), min(height, available.height()))
    window.move(available.center() - window.rect().center())
