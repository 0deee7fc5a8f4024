"""The operators' main window: cameras on the left, tabs in the middle, alarms on the right."""

from concurrent.futures import Future
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QPoint, QSettings, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QDockWidget, QInputDialog, QMenu, QTabWidget, QWidget

from broker.model.layouts import MAX_TABS, Layout, Tab
from broker.model.log import AlarmEvent
from broker.model.resources import Right
from clients.desktop.application import Application, ApplicationWindow, centre
from clients.desktop.session import Link, Standing
from clients.desktop.sites import configuration_dir
from clients.desktop.video.media import Media
from clients.desktop.widgets import label, tool_button
from clients.spotter.alarm_panel import AlarmPanel
from clients.spotter.alarms import Alarms
from clients.spotter.export import ExportDialog, stretch_around
from clients.spotter.help_page import HelpPage
from clients.spotter.history import History
from clients.spotter.keys import key
from clients.spotter.layouts import LAST, Layouts
from clients.spotter.menus import Menus
from clients.spotter.page import Page
from clients.spotter.pictures import Pictures
from clients.spotter.popup import AlarmPopup
from clients.spotter.saving import NotSavedError, PictureKind, pictures_folder, save_picture
from clients.spotter.site import Site
from clients.spotter.sound import Bell
from clients.spotter.timeline import now_us
from clients.spotter.tree import DeviceTree

DOCK_PX = {"Cameras": 190, "Alarms": 310}
"""Widths before the operator has chosen others."""
TOLD_MS = 8000
"""How long a sentence stays in the status bar."""
BEFORE_ALARM_US = 2_000_000
"""An alarm's recording is shown from a little before it began."""
STANDINGS = {
    Link.CONNECTING: "Connecting to the management server …",
    Link.RECONNECTING: "The management server does not answer; trying again. Alarms may be missing until it is back.",
    Link.OVER: "Your session is over. Sign in again.",
    Link.OUT: "Nobody has signed in.",
}


class MainWindow(ApplicationWindow):
    """Holds it all together; one for each signed-in operator."""

    _saved = Signal(object)

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self.setWindowTitle("Spotter")
        self.session = application.session
        self.media, self.bell = Media(), Bell()
        self.settings = QSettings(str(configuration_dir() / "spotter.ini"), QSettings.Format.IniFormat)
        self.site = Site(self.session, self)
        self.alarms = Alarms(self.site, self.bell, self)
        self.pictures = Pictures(self.site, self.session)
        self.layouts = Layouts(self.session, self._arrangement, self)
        self.tabs = QTabWidget(movable=True, tabsClosable=True, documentMode=True)
        self.tree = DeviceTree(self.site)
        self.panel = AlarmPanel(self.site, self.alarms, self.bell)
        self.popup = AlarmPopup(self.site, self.alarms, self.media, self.pictures)
        self.pops_up = True
        """Whether alarms open the popup."""
        self._user_id = ""
        self._enlarged_docks: list[QDockWidget] = []
        self._standing = label("", "help")
        self._who = label("", "help")
        self._build()
        self._connect()
        self._remember()
        self.add_tab()
        self._signed_in()

    # --- How it is put together ---------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.setCentralWidget(self.tabs)
        corner = tool_button("+")
        corner.setToolTip(f"{key('new_tab').does} ({key('new_tab').keys})")
        corner.setAccessibleName(key("new_tab").does)
        corner.clicked.connect(lambda _checked=False: self.add_tab())
        self.tabs.setCornerWidget(corner)
        self._dock("Cameras", self.tree, Qt.DockWidgetArea.LeftDockWidgetArea, 180)
        self._dock("Alarms", self.panel, Qt.DockWidgetArea.RightDockWidgetArea, 300)
        self.statusBar().addPermanentWidget(self._standing)
        self.statusBar().addPermanentWidget(self._who)
        self.statusBar().setSizeGripEnabled(False)
        self.menus = Menus(self)
        centre(self, 1280, 800)
        docks = self.findChildren(QDockWidget)
        self.resizeDocks(docks, [DOCK_PX[dock.objectName()] for dock in docks], Qt.Orientation.Horizontal)

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea, width: int) -> None:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setWidget(widget)
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        self.addDockWidget(area, dock)
        widget.setMinimumWidth(width)

    def use_small(self, small: bool) -> None:  # noqa: FBT001 - Qt's signal
        """Always the small streams in the tab that is seen, or what suits each cell."""
        self.page.use_small(small)

    def _tab_moved(self) -> None:
        self.layouts.changed()

    def _camera_opened(self, camera_id: str) -> None:
        self.page.grid.place(camera_id)

    def _connect(self) -> None:
        self.tabs.currentChanged.connect(self._tab_changed)
        self.tabs.tabCloseRequested.connect(self.close_tab)
        self.tabs.tabBarDoubleClicked.connect(self.rename_tab)
        self.tabs.tabBar().tabMoved.connect(self._tab_moved)
        self.tree.opened.connect(self._camera_opened)
        self.panel.opened.connect(self.show_alarm)
        self.panel.history_wanted.connect(self.show_history)
        self.panel.muted.connect(lambda muted: self.settings.setValue("muted", muted))
        self.popup.opened.connect(self.show_alarm)
        self.menus.pops_up.toggled.connect(self._set_pops_up)
        self.alarms.started.connect(self._alarm_started)
        self.alarms.changed.connect(self._alarms_changed)
        self.alarms.trouble.connect(self.tell)
        self.layouts.trouble.connect(self.tell)
        self.site.changed.connect(self._profile_changed)
        self.session.standing_changed.connect(self._stand)
        self.application.sign_in.signed_in.connect(self._signed_in)
        self.application.theme.changed.connect(self.tree.refresh)
        self._saved.connect(self._picture_saved)
        QShortcut(QKeySequence("Esc"), self, self._leave_full_screen)

    def _remember(self) -> None:
        geometry, state = self.settings.value("geometry"), self.settings.value("state")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        if isinstance(state, QByteArray):
            self.restoreState(state)
        self.panel.mute_button.setChecked(self.settings.value("muted", False, bool) is True)
        self.menus.pops_up.setChecked(self.settings.value("pops_up", True, bool) is True)

    # --- Signing in and out -------------------------------------------------------------------------------------------

    def _signed_in(self) -> None:
        """Somebody has; perhaps somebody else than before, who must see nothing of what the other one saw."""
        signed_in = self.session.signed_in
        user = signed_in.user if signed_in else None
        if user is None:
            return
        place = self.session.trusted.url.split("://")[-1] if self.session.trusted else ""
        self._who.setText(f"{user.name} at {place}")
        if user.id != self._user_id:
            self._user_id = user.id
            self._clear_tabs()
            self.alarms.forget()
            self.site.forget()
            self.site.begin()
            self.layouts.restore(self._restored)
        else:
            self.site.begin()
            self.alarms.reload()
            for page in self.pages:
                page.grid.refill()
        self._stand(self.session.standing)

    def _restored(self, layout: Layout | None) -> None:
        if layout is not None and layout.tabs:
            self._arrange(layout)

    def _stand(self, standing: Standing) -> None:
        self._standing.setText(STANDINGS.get(standing.link, "Connected"))
        self._standing.setToolTip(standing.reason)
        if standing.link in (Link.OVER, Link.OUT):
            # What the session gave is gone with it: nothing of the site stays on the screen.
            self.popup.close()
            for page in self.pages:
                page.go_live()
                for cell in page.grid.cells:
                    camera_id, name = cell.camera_id, cell.title
                    if camera_id is not None:
                        cell.empty(STANDINGS[standing.link])
                        cell.camera_id = camera_id
                        cell.show_title(name)

    def _profile_changed(self) -> None:
        if self.site.me is None:
            return
        may = self.site.may
        self.menus.actions["export"].setEnabled(may(Right.EXPORT))
        if self.popup.isVisible() and not may(Right.LIVE):
            self.popup.close()

    # --- Tabs ---------------------------------------------------------------------------------------------------------

    @property
    def pages(self) -> list[Page]:
        """All tabs, from left to right."""
        found = (self.tabs.widget(index) for index in range(self.tabs.count()))
        return [page for page in found if isinstance(page, Page)]

    @property
    def page(self) -> Page:
        """The tab that is seen."""
        current = self.tabs.currentWidget()
        assert isinstance(current, Page)
        return current

    def add_tab(self, tab: Tab | None = None) -> Page | None:
        """Another tab; none when there are as many as a layout keeps."""
        if self.tabs.count() >= MAX_TABS:
            self.tell(f"There are {MAX_TABS} tabs, which is the most.")
            return None
        page = Page(self.site, self.alarms, self.media, self.pictures)
        page.name = tab.name if tab else f"Tab {self.tabs.count() + 1}"
        page.changed.connect(self.layouts.changed)
        page.told.connect(self.tell)
        page.menu_wanted.connect(self._cell_menu)
        self.menus.serve(page.grid)
        index = self.tabs.addTab(page, page.name)
        self.tabs.setCurrentIndex(index)
        if tab:
            page.arrange(tab)
        page.grid.setFocus()
        self.layouts.changed()
        return page

    def close_tab(self, index: int) -> None:
        """Close one; the last one is emptied instead."""
        page = self.tabs.widget(index)
        if not isinstance(page, Page):
            return
        if self.tabs.count() == 1:
            page.go_live()
            page.grid.set_cameras(())
        else:
            self.tabs.removeTab(index)
            self._end(page)
        self.layouts.changed()

    def _end(self, page: Page) -> None:
        page.player.end()
        page.changed.disconnect()
        page.grid.set_cameras(())
        page.hide()
        page.deleteLater()

    def _clear_tabs(self) -> None:
        for page in self.pages[1:]:
            self.tabs.removeTab(self.tabs.indexOf(page))
            self._end(page)
        self.page.go_live()
        self.page.grid.set_cameras(())

    def _arrange(self, layout: Layout) -> None:
        self._clear_tabs()
        first, *others = layout.tabs
        self.page.arrange(first)
        self.tabs.setTabText(0, first.name)
        for tab in others:
            self.add_tab(tab)
        self.tabs.setCurrentIndex(0)

    def _arrangement(self) -> Layout:
        return Layout(name=LAST, tabs=tuple(page.arrangement() for page in self.pages))

    def _tab_changed(self) -> None:
        if self.tabs.count():
            self.menus.small.setChecked(self.page.small)

    def rename_tab(self) -> None:
        """Ask for another name of the tab that is seen."""
        name, given = QInputDialog.getText(self, "Rename the tab", "Name", text=self.page.name)
        name = name.strip()[:120]
        if given and name:
            self.page.name = name
            self.tabs.setTabText(self.tabs.currentIndex(), name)
            self.layouts.changed()

    def set_cells(self, count: int) -> None:
        """Divide the tab that is seen."""
        self.page.grid.set_cells(count)

    # --- Layouts with names -------------------------------------------------------------------------------------------

    def save_layout(self) -> None:
        """Save the arrangement under a name."""
        name, given = QInputDialog.getText(self, "Save the layout", "Name")
        if not given or not name.strip():
            return
        try:
            layout = Layout(name=name, tabs=self._arrangement().tabs)
        except ValueError:
            self.tell("A layout's name has 1 to 60 characters, no slash, and no dot at its beginning.")
            return
        self.layouts.save_as(layout, lambda: self.tell(f"The layout “{layout.name}” was saved."))

    def list_layouts(self) -> None:
        """Fill the menus of layouts with names."""

        def took(found: tuple[Layout, ...]) -> None:
            for menu in (self.menus.open_layout, self.menus.delete_layout):
                menu.clear()
                menu.setEnabled(bool(found))
            for layout in found:
                self.menus.open_layout.addAction(layout.name, partial(self._arrange, layout))
                said = partial(self.tell, f"The layout “{layout.name}” was deleted.")
                self.menus.delete_layout.addAction(layout.name, partial(self.layouts.remove, layout.name, said))

        self.layouts.named(took)

    # --- Alarms -------------------------------------------------------------------------------------------------------

    def _alarm_started(self, event: AlarmEvent) -> None:
        if self.pops_up and (not self.popup.isVisible() or not self.popup.isActiveWindow()):
            self.popup.announce(event)

    def _set_pops_up(self, pops_up: bool) -> None:  # noqa: FBT001 - Qt's signal
        self.pops_up = pops_up
        self.settings.setValue("pops_up", pops_up)

    def _alarms_changed(self) -> None:
        active = self.alarms.book.active
        self.tree.mark_alarmed(frozenset(id_ for event in active for id_ in (event.source_id, *event.camera_ids)))

    def show_alarm(self, event: AlarmEvent) -> None:
        """A tab with the alarm's cameras, from a little before it began; live where recordings may not be seen."""
        cameras = [id_ for id_ in dict.fromkeys((event.source_id, *event.camera_ids)) if id_ in self.site.cameras]
        if not cameras:
            self.tell("Your profile shows no camera of this alarm.")
            return
        tab = Tab(name=f"Alarm: {event.alarm_name}"[:100], cells=min(len(cameras), 16), cameras=tuple(cameras[:16]))
        existing = next((page for page in self.pages if page.name == tab.name), None)
        page = existing or self.add_tab()
        if page is None:
            return
        page.arrange(tab)
        index = self.tabs.indexOf(page)
        self.tabs.setTabText(index, tab.name)
        self.tabs.setCurrentIndex(index)
        self.activateWindow()
        if self.site.may(Right.PLAYBACK):
            page.go_to(round(event.occurred_at.timestamp() * 1e6) - BEFORE_ALARM_US, playing=True)

    def show_history(self) -> None:
        """The alarms of the past."""
        history = History(self.site, self.alarms, self)
        history.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        history.opened.connect(self.show_alarm)
        history.show()

    # --- Pictures and clips -------------------------------------------------------------------------------------------

    def save_snapshot(self) -> None:
        """Save the chosen cell's picture as large as the camera sends it."""
        cell = self.page.grid.chosen_cell
        if cell.frame is None:
            self.tell("The chosen cell shows no picture.")
            return
        kind: PictureKind = "jpg" if self.settings.value("picture_kind", "png") == "jpg" else "png"
        saved = save_picture(self.media.pool, cell.frame, cell.title, self._folder(), kind)
        saved.add_done_callback(self._saved.emit)

    def _picture_saved(self, saved: "Future[Path]") -> None:
        try:
            self.tell(f"Saved: {saved.result()}")
        except NotSavedError as error:
            self.tell(str(error))

    def export_clip(self) -> None:
        """Ask which clip to save."""
        cell = self.page.grid.chosen_cell
        if not self.site.may(Right.EXPORT):
            self.tell("Your profile does not let you save clips.")
            return
        at = now_us() if self.page.live else self.page.player.clock.position_us
        stretch = self.page.timeline.selection or stretch_around(at)
        stretch = stretch[0], min(stretch[1], now_us())
        dialog = ExportDialog(self.site, cell.camera_id or "", stretch, self._folder(), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _folder(self) -> Path:
        return Path(str(self.settings.value("folder", "")) or pictures_folder())

    def _cell_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        for name in ("snapshot", "export", "enlarge", "empty"):
            menu.addAction(self.menus.actions[name])
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    # --- The window ---------------------------------------------------------------------------------------------------

    def tell(self, sentence: str) -> None:
        """Say something in the status bar."""
        self.statusBar().showMessage(sentence, TOLD_MS)

    def show_help(self) -> None:
        """Keyboard and mouse."""
        page = HelpPage(self)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def toggle_full_screen(self) -> None:
        """Pictures alone, or all again."""
        if self.isFullScreen():
            self._leave_full_screen()
            return
        self._enlarged_docks = [dock for dock in self.findChildren(QDockWidget) if dock.isVisible()]
        for dock in self._enlarged_docks:
            dock.hide()
        self.showFullScreen()

    def _leave_full_screen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
            for dock in self._enlarged_docks:
                dock.show()

    def may_close(self) -> bool:
        """End the streams, and keep the arrangement."""
        self.layouts.save_now()
        self.settings.setValue("geometry", self.saveGeometry())
        self.settings.setValue("state", self.saveState())
        self.popup.close()
        for page in self.pages:
            page.player.end()
            page.changed.disconnect()
            page.grid.set_cameras(())
        self.bell.close()
        self.media.close()
        return True
