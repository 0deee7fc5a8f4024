"""The list of cameras that the profile shows, by server, with how each is."""

from PySide6.QtCore import QMimeData, QPoint, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from broker.model.messages import CameraCondition, CameraState
from clients.desktop.theme import colours_of
from clients.desktop.widgets import label, named
from clients.spotter.site import Site

CAMERA_MIME = "application/x-vigil-camera"
"""What is dragged: the id of a camera."""
CELL_MIME = "application/x-vigil-cell"
"""And, when it comes out of a cell, that cell's place."""
ID_ROLE = Qt.ItemDataRole.UserRole
ICON = 16

SENTENCES = {
    CameraCondition.RUNNING: "Running",
    CameraCondition.CONNECTING: "Connecting",
    CameraCondition.NO_SIGNAL: "No picture",
    CameraCondition.REFUSED: "The camera refuses the connection",
    CameraCondition.DISABLED: "Switched off",
}
UNKNOWN = "Its server has not been heard of"


def camera_mime(camera_id: str) -> QMimeData:
    """A camera on its way to a cell."""
    data = QMimeData()
    data.setData(CAMERA_MIME, camera_id.encode())
    return data


class _Tree(QTreeWidget):
    """Drags cameras, not rows."""

    def mimeTypes(self) -> list[str]:  # noqa: N802 - Qt's name
        return [CAMERA_MIME]

    def mimeData(self, items: list[QTreeWidgetItem]) -> QMimeData:  # type: ignore[override] # noqa: N802 - Qt's name; the stub has a sequence
        camera_id = items[0].data(0, ID_ROLE) if items else None
        return camera_mime(camera_id) if camera_id else QMimeData()


class DeviceTree(QWidget):
    """A search field over a tree. Drag a camera to a cell, or open it with Enter or a double click."""

    opened = Signal(str)
    """The id of a camera that is to be shown."""

    def __init__(self, site: Site, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._site = site
        self._alarmed: frozenset[str] = frozenset()
        self.search = named(QLineEdit(placeholderText="Find a camera", clearButtonEnabled=True), "Find a camera")
        self.tree = named(_Tree(), "Cameras")
        self.tree.setHeaderHidden(True)
        self.tree.setDragEnabled(True)
        self.tree.setDragDropMode(QTreeWidget.DragDropMode.DragOnly)
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(14)
        self.nothing = label("Your profile shows no camera.", "help", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.search)
        layout.addWidget(self.nothing)
        layout.addWidget(self.tree)
        self.search.textChanged.connect(self._find)
        self.tree.itemActivated.connect(self._activated)
        site.changed.connect(self.rebuild)
        site.conditions_changed.connect(self.refresh)
        self.rebuild()

    def rebuild(self) -> None:
        """Show what the profile shows."""
        chosen = self.tree.currentItem()
        chosen_id = chosen.data(0, ID_ROLE) if chosen else None
        self.tree.clear()
        by_node: dict[str, list[str]] = {}
        for camera in self._site.cameras.values():
            by_node.setdefault(camera.node_id, []).append(camera.id)
        for node_id in sorted(by_node, key=self._server_name):
            parent = QTreeWidgetItem(self.tree, [self._server_name(node_id)])
            parent.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for camera_id in sorted(by_node[node_id], key=lambda id_: self._site.cameras[id_].name.lower()):
                item = QTreeWidgetItem(parent, [self._site.cameras[camera_id].name])
                item.setData(0, ID_ROLE, camera_id)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDragEnabled)
                if camera_id == chosen_id:
                    self.tree.setCurrentItem(item)
        self.tree.expandAll()
        self.nothing.setVisible(not self._site.cameras)
        self.refresh()
        self._find(self.search.text())

    def refresh(self) -> None:
        """Show how each camera is."""
        for item in self._items():
            camera_id = item.data(0, ID_ROLE)
            state = self._site.condition(camera_id)
            item.setIcon(0, self._icon(state, alarmed=camera_id in self._alarmed))
            said = (state.problem or SENTENCES[state.condition]) if state else UNKNOWN
            recorded = ", recorded" if state and state.recording else ""
            alarm = ", alarm" if camera_id in self._alarmed else ""
            item.setToolTip(0, f"{said}{recorded}{alarm}")

    def mark_alarmed(self, camera_ids: frozenset[str]) -> None:
        """Mark the cameras of active alarms."""
        if camera_ids != self._alarmed:
            self._alarmed = camera_ids
            self.refresh()

    def camera_names(self) -> list[str]:
        """The cameras that are to be seen in the tree, from top to bottom."""
        return [item.text(0) for item in self._items() if not item.isHidden()]

    def _items(self) -> list[QTreeWidgetItem]:
        top = [self.tree.topLevelItem(index) for index in range(self.tree.topLevelItemCount())]
        children = [node.child(index) for node in top if node for index in range(node.childCount())]
        return [child for child in children if child is not None]

    def _server_name(self, node_id: str) -> str:
        server = self._site.servers.get(node_id)
        return server.name if server else node_id

    def _activated(self, item: QTreeWidgetItem) -> None:
        if camera_id := item.data(0, ID_ROLE):
            self.opened.emit(camera_id)

    def _find(self, words: str) -> None:
        wanted = words.lower().split()
        for item in self._items():
            text = f"{item.text(0)} {item.data(0, ID_ROLE)}".lower()
            item.setHidden(not all(word in text for word in wanted))

    def _icon(self, state: CameraState | None, *, alarmed: bool) -> QIcon:
        """A shape and a colour: a disc runs, a ring does not, a cross is broken, a dash is off; alarms get a frame."""
        colours = colours_of(self)
        pixmap = QPixmap(ICON, ICON)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        condition = state.condition if state else None
        centre = QPoint(ICON // 2, ICON // 2)
        if condition is CameraCondition.RUNNING:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.good))
            painter.drawEllipse(centre, 4, 4)
        elif condition is CameraCondition.CONNECTING:
            painter.setPen(QPen(QColor(colours.warning), 2))
            painter.drawEllipse(centre, 4, 4)
        elif condition in (CameraCondition.NO_SIGNAL, CameraCondition.REFUSED):
            painter.setPen(QPen(QColor(colours.bad), 2))
            painter.drawLine(4, 4, 12, 12)
            painter.drawLine(4, 12, 12, 4)
        else:
            painter.setPen(QPen(QColor(colours.muted), 2))
            painter.drawLine(4, 8, 12, 8)
        if alarmed:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(colours.warning), 2))
            painter.drawRect(1, 1, ICON - 2, ICON - 2)
        painter.end()
        return QIcon(pixmap)
