"""The main window: the tree at the left, the page of what is chosen at the right."""

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from clients.desktop.application import Application, ApplicationWindow, centre
from clients.desktop.failures import failure_of
from clients.desktop.session import Link, Standing
from clients.desktop.theme import kind as styled
from clients.desktop.widgets import Message, label, named
from clients.system_manager.camera_page import CameraPage
from clients.system_manager.editor_page import EditorPage
from clients.system_manager.kinds import KIND_OF, KINDS
from clients.system_manager.list_page import ListPage
from clients.system_manager.log_pages import AuditPage, HealthPage, StatesPage
from clients.system_manager.site import SiteModel
from clients.system_manager.tree import Key, SiteTree
from clients.system_manager.workplace import Workplace

TITLE = "Vigil System Manager"
SIZE = (1280, 800)
START: Key = ("server", "")
SCHEMES = (("system", "As the desktop"), ("light", "Light"), ("dark", "Dark"))


class MainWindow(ApplicationWindow):
    """System Manager, signed in."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self.setWindowTitle(TITLE)
        self.setMinimumSize(960, 600)
        self.site = SiteModel(application.session, self)
        self.workplace = Workplace(application.session, self.site, application.theme)
        self.page: QWidget | None = None
        self._key: Key = START
        self._logs = {
            "audit": AuditPage(self.workplace),
            "health": HealthPage(self.workplace),
            "states": StatesPage(self.workplace),
        }
        self._build()
        self._make_shortcuts()
        self.site.failed.connect(lambda error: self.message.say(failure_of(error)))
        self.site.changed.connect(self.message.clear)
        application.session.standing_changed.connect(self._show_standing)
        self._show_standing(application.session.standing)
        self.site.read()
        self.go(START)
        self.tree.setFocus()
        centre(self, *SIZE)

    # --- how it looks ---------------------------------------------------------------------------------------------

    def _build(self) -> None:
        application = self.application
        bar = QFrame()
        styled(bar, "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 8, 14, 8)
        row.addWidget(label("System Manager", "section"))
        row.addSpacing(12)
        add = named(QPushButton("Add"), "Add")
        menu = QMenu(add)
        for kind in KINDS:
            menu.addAction(kind.name.capitalize(), self._adder(kind.name))
        add.setMenu(menu)
        row.addWidget(add)
        refresh = named(QPushButton("Refresh"), "Refresh")
        refresh.setToolTip("F5")
        refresh.clicked.connect(self.refresh)
        row.addWidget(refresh)
        row.addStretch()
        self.standing = label("")
        self.standing.setAccessibleName("Connection")
        row.addWidget(self.standing)
        signed_in = application.session.signed_in
        name = signed_in.user.name if signed_in and signed_in.user else ""
        person = named(QPushButton(name or "Session"), "Session")
        person.setMenu(self._session_menu(person))
        row.addWidget(person)
        self.message = Message()
        self.tree = SiteTree(self.workplace)
        self.tree.chosen.connect(self.go)
        self.stack = QStackedWidget()
        for page in self._logs.values():
            self.stack.addWidget(page)
        splitter = QSplitter()
        splitter.addWidget(self.tree)
        splitter.addWidget(self.stack)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([340, SIZE[0] - 340])
        splitter.setChildrenCollapsible(False)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self.message)
        layout.addWidget(splitter, 1)
        self.setCentralWidget(content)

    def _session_menu(self, parent: QWidget) -> QMenu:
        menu = QMenu(parent)
        appearance = menu.addMenu("Appearance")
        group = QActionGroup(menu)
        for scheme, title in SCHEMES:
            action = QAction(title, menu, checkable=True)
            action.setChecked(scheme == self.application.theme.scheme)
            action.triggered.connect(self._scheme_chooser(scheme))
            group.addAction(action)
            appearance.addAction(action)
        menu.addSeparator()
        menu.addAction("Sign out", self.application.sign_out)
        return menu

    def _scheme_chooser(self, scheme: str) -> Callable[[], None]:
        return lambda: self.application.choose_scheme(scheme)

    def _adder(self, kind: str) -> Callable[[], None]:
        return lambda: self.add(kind)

    def _make_shortcuts(self) -> None:
        for keys, what in (
            (QKeySequence(QKeySequence.StandardKey.Save), self._save),
            (QKeySequence(QKeySequence.StandardKey.New), lambda: self.add(self._key[0])),
            (QKeySequence(QKeySequence.StandardKey.Refresh), self.refresh),
        ):
            action = QAction(self)
            action.setShortcut(keys)
            action.triggered.connect(what)
            self.addAction(action)

    # --- where we are ---------------------------------------------------------------------------------------------

    def go(self, key: Key) -> None:
        """Show the page of a key, unless somebody wants to stay because of unsaved work."""
        if not self._may_leave():
            self.tree.select(self._key)
            return
        kind, id_ = key
        if kind == "log":
            page = self._logs[id_]
            page.read()
            self._put(page, key)
        elif id_:
            self._open(kind, id_)
        else:
            listing = ListPage(self.workplace, KIND_OF[kind])
            listing.opened.connect(lambda kind, id_: self.go((kind, id_)))
            listing.wanted.connect(self.add)
            self._put(listing, key)
        self.tree.select(key)

    def add(self, kind: str) -> None:
        """Show an empty form."""
        if kind in KIND_OF and self._may_leave():
            self._open(kind, None)
            self.tree.select((kind, ""))

    def refresh(self) -> None:
        """Read everything anew; a form in which something was typed stays as it is."""
        self.site.read()
        if isinstance(self.page, EditorPage) and not self.page.dirty:
            self.page.load()
        elif self.page in self._logs.values():
            self._logs[self._key[1]].read()

    def may_close(self) -> bool:
        """Whether nothing would be lost, or may be."""
        return self._may_leave()

    def _open(self, kind: str, id_: str | None) -> None:
        make = CameraPage if kind == "camera" else EditorPage
        page = make(self.workplace, KIND_OF[kind], id_)
        page.saved.connect(self._saved)
        page.removed.connect(self._removed)
        self._put(page, (kind, id_ or ""))
        first = page.parts[0].focusProxy()
        if id_ is None and first is not None:
            first.setFocus()

    def _put(self, page: QWidget, key: Key) -> None:
        before = self.page
        self.page, self._key = page, key
        if self.stack.indexOf(page) < 0:
            self.stack.addWidget(page)
        self.stack.setCurrentWidget(page)
        if before is not None and before is not page and before not in self._logs.values():
            self.stack.removeWidget(before)
            # It may be the one whose signal brought us here.
            before.deleteLater()

    def _may_leave(self) -> bool:
        return not isinstance(self.page, EditorPage) or self.page.may_leave()

    def _save(self) -> None:
        if isinstance(self.page, EditorPage):
            self.page.save()

    def _saved(self, kind: str, id_: str) -> None:
        self._key = (kind, id_)
        # The event of the change may come later than its answer: the tree learns it now.
        self.site.read()
        QTimer.singleShot(0, lambda: self.tree.select(self._key))

    def _removed(self, kind: str, id_: str) -> None:
        del id_
        self.site.read()
        self.go((kind, ""))

    # --- the connection -------------------------------------------------------------------------------------------

    def _show_standing(self, standing: Standing) -> None:
        texts = {
            Link.CONNECTED: "● Connected",
            Link.CONNECTING: "○ Connecting …",
            Link.RECONNECTING: "▲ Server away, trying again …",
            Link.OVER: "■ Session over",
            Link.OUT: "○ Signed out",
        }
        self.standing.setText(texts[standing.link])
        self.standing.setToolTip(standing.reason)
        styles = {Link.CONNECTED: "good", Link.RECONNECTING: "error", Link.OVER: "error"}
        styled(self.standing, styles.get(standing.link, "help"))
        self.standing.style().unpolish(self.standing)
        self.standing.style().polish(self.standing)
        if standing.link is Link.CONNECTED:
            self.site.read()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Pictures end with the window."""
        super().closeEvent(event)
        if event.isAccepted():
            self.workplace.close()
