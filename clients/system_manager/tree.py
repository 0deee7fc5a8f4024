"""The tree of the site: servers with their cameras, alarms, profiles, users, and the logs; each with its state."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from clients.desktop.widgets import named
from clients.system_manager.icons import state_icon
from clients.system_manager.kinds import KINDS
from clients.system_manager.workplace import Workplace

Key = tuple[str, str]
"""Kind and id; a list has no id, a log has the kind `log`."""

LOGS = (("audit", "Audit trail"), ("health", "Health events"), ("states", "Processes"))
GROUPS = tuple(kind for kind in KINDS if kind.name != "camera")


class SiteTree(QTreeWidget):
    """Emits `chosen` with the key of what somebody selects."""

    chosen = Signal(object)

    def __init__(self, workplace: Workplace) -> None:
        super().__init__()
        self._workplace = workplace
        self._items: dict[Key, QTreeWidgetItem] = {}
        self._quiet = False
        named(self, "Site")
        self.setColumnCount(2)
        self.setHeaderLabels(["Site", "State"])
        self.setMinimumWidth(300)
        self.setUniformRowHeights(True)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self.setColumnWidth(1, 132)
        self.currentItemChanged.connect(self._current_changed)
        workplace.site.changed.connect(self.rebuild)
        workplace.site.states_changed.connect(self.show_states)
        workplace.theme.changed.connect(self.show_states)
        self.rebuild()

    def select(self, key: Key) -> None:
        """Show where we are, without telling anybody."""
        item = self._items.get(key)
        self._quiet = True
        if item is not None:
            self.setCurrentItem(item)
            self.scrollToItem(item)
        else:
            self.clearSelection()
        self._quiet = False

    def rebuild(self) -> None:
        """Show what there is now; what was folded stays folded."""
        folded = {key for key, item in self._items.items() if item.childCount() and not item.isExpanded()}
        current = self._key(self.currentItem())
        self._quiet = True
        self.clear()
        self._items = {}
        site = self._workplace.site
        for kind in GROUPS:
            group = self._add(None, (kind.name, ""), kind.title)
            for item in site.every(kind.name):
                node = self._add(group, (kind.name, item.id), item.name)
                if kind.name == "server":
                    for camera in site.every("camera"):
                        if camera.node_id == item.id:
                            self._add(node, ("camera", camera.id), camera.name)
            if kind.name == "server":
                self._add(None, ("camera", ""), "Cameras")
        for name, title in LOGS:
            self._add(None, ("log", name), title)
        for key, item in self._items.items():
            item.setExpanded(key not in folded)
        if current in self._items:
            self.setCurrentItem(self._items[current])
        self._quiet = False
        self.show_states()

    def show_states(self) -> None:
        """Say how everything is."""
        site, colours = self._workplace.site, self._workplace.theme.colours
        for (kind, id_), item in self._items.items():
            if not id_ or kind == "log":
                if kind != "log":
                    item.setText(1, str(len(site.every(kind))))
                continue
            health = site.health(kind, id_)
            item.setText(1, health.text)
            item.setToolTip(1, health.text)
            item.setIcon(0, state_icon(health.level or "none", colours))

    def _add(self, parent: QTreeWidgetItem | None, key: Key, title: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([title, ""])
        item.setToolTip(0, title)
        item.setData(0, Qt.ItemDataRole.UserRole, list(key))
        if parent is None:
            self.addTopLevelItem(item)
            font = item.font(0)
            font.setBold(True)
            item.setFont(0, font)
        else:
            parent.addChild(item)
        self._items[key] = item
        return item

    @staticmethod
    def _key(item: QTreeWidgetItem | None) -> Key | None:
        if item is None:
            return None
        kind, id_ = item.data(0, Qt.ItemDataRole.UserRole)
        return str(kind), str(id_)

    def _current_changed(self, item: QTreeWidgetItem | None) -> None:
        key = self._key(item)
        if key is not None and not self._quiet:
            self.chosen.emit(key)
