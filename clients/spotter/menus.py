"""The main window's menus. Shortcuts come from the one table of keys."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QDockWidget, QMenu, QWidget

from clients.spotter.arrangement import CHOICES
from clients.spotter.keys import KEYS, key
from clients.spotter.page import Page

if TYPE_CHECKING:
    from clients.spotter.window import MainWindow


class Menus:
    """Builds the menus; `actions` holds those of the key table by name."""

    def __init__(self, window: "MainWindow") -> None:
        self._window = window
        self.actions: dict[str, QAction] = {}
        bar = window.menuBar()
        pictures, cells, view, layouts, helps = (
            bar.addMenu(title) for title in ("&Pictures", "&Cells", "&View", "&Layouts", "&Help")
        )
        for name, does in (
            ("live", self._with(Page.go_live)),
            ("play", self._with(Page.toggle)),
            ("step_forward", self._with(lambda page: page.step(1))),
            ("step_back", self._with(lambda page: page.step(-1))),
            ("faster", self._with(lambda page: page.transport.change_speed(1))),
            ("slower", self._with(lambda page: page.transport.change_speed(-1))),
            ("reverse", self._with(lambda page: page.transport.reverse.click())),
            ("back_30", self._with(lambda page: page.jump(-30))),
            ("ahead_30", self._with(lambda page: page.jump(30))),
            ("back_300", self._with(lambda page: page.jump(-300))),
            ("ahead_300", self._with(lambda page: page.jump(300))),
            ("go_to", self._with(lambda page: page.transport.focus_moment())),
            ("snapshot", window.save_snapshot),
            ("export", window.export_clip),
        ):
            pictures.addAction(self._action(name, does))
        for name, count in (("grid_1", 1), ("grid_4", 4), ("grid_9", 9), ("grid_16", 16)):
            cells.addAction(self._action(name, partial(window.set_cells, count)))
        more = cells.addMenu("Other numbers")
        for count in CHOICES:
            if count not in (1, 4, 9, 16):
                more.addAction(f"{count} cells", partial(window.set_cells, count))
        cells.addSeparator()
        cells.addAction(self._action("enlarge", lambda: window.page.grid.enlarge(window.page.grid.chosen)))
        cells.addAction(self._action("empty", lambda: window.page.grid.remove(window.page.grid.chosen)))
        self.small = cells.addAction("Always the small streams")
        self.small.setCheckable(True)
        self.small.triggered.connect(window.use_small)
        for name, does in (
            ("new_tab", partial(window.add_tab, None)),
            ("close_tab", lambda: window.close_tab(window.tabs.currentIndex())),
            ("next_tab", lambda: window.tabs.setCurrentIndex((window.tabs.currentIndex() + 1) % window.tabs.count())),
            ("tree", window.tree.tree.setFocus),
            ("alarms", window.panel.focus_list),
            ("acknowledge", window.panel.acknowledge),
            ("open_alarm", window.panel.open),
            ("mute", window.panel.mute_button.toggle),
            ("full_screen", window.toggle_full_screen),
        ):
            view.addAction(self._action(name, does))
        view.addAction("Rename the tab …", window.rename_tab)
        for dock in window.findChildren(QDockWidget):
            view.addAction(dock.toggleViewAction())
        self.pops_up = view.addAction("Alarms open a window")
        self.pops_up.setCheckable(True)
        self.pops_up.setChecked(True)
        self._appearance(view.addMenu("Appearance"))
        layouts.addAction("Save as …", window.save_layout)
        self.open_layout = layouts.addMenu("Open")
        self.delete_layout = layouts.addMenu("Delete")
        layouts.aboutToShow.connect(window.list_layouts)
        helps.addAction(self._action("help", window.show_help))
        helps.addSeparator()
        helps.addAction("Sign out", window.application.sign_out)

    def _with(self, does: Callable[[Page], object]) -> Callable[[], object]:
        """Does it with whichever tab is seen by then."""
        return lambda: does(self._window.page)

    def _action(self, name: str, does: object) -> QAction:
        """A menu's line for a shortcut of the table."""
        entry = key(name)
        action = QAction(entry.does, self._window)
        action.setShortcut(QKeySequence(entry.keys))
        # Single keys mean something else in lists and text fields: they are for who looks at the pictures.
        if entry.alone:
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(lambda _checked=False: does())  # type: ignore[operator] # a function without arguments
        self.actions[name] = action
        return action

    def serve(self, grid: QWidget) -> None:
        """Have single keys work while a grid has the keyboard."""
        grid.addActions([self.actions[entry.name] for entry in KEYS if entry.alone])

    def _appearance(self, menu: QMenu) -> None:
        group = QActionGroup(menu)
        for scheme, text in (("system", "As the desktop"), ("light", "Light"), ("dark", "Dark")):
            action = group.addAction(menu.addAction(text))
            action.setCheckable(True)
            action.setChecked(self._window.application.theme.scheme == scheme)
            action.triggered.connect(partial(self._window.application.choose_scheme, scheme))
