"""One cell of a page: a camera live or recorded, chosen, dragged, dropped on."""

from PySide6.QtCore import QMimeData, QPoint, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDrag,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QApplication, QWidget

from clients.desktop.video.cell import VideoCell
from clients.desktop.video.frame import Frame
from clients.desktop.video.live import State
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener, StreamName
from clients.desktop.video.surface import clock_text
from clients.spotter.tree import CAMERA_MIME, CELL_MIME, camera_mime

CHOSEN = QColor("#6cb2ff")
TARGET = QColor("#fdb022")
NO_RECORDING = "No recording at this time"
WAITING = "Loading …"


class CameraCell(VideoCell):
    """A place in a page's grid. What happens to it is the page's to decide."""

    pressed = Signal(int)
    enlarged = Signal(int)
    camera_dropped = Signal(int, str, int)
    """Place, camera, and the place it came from, -1 when from elsewhere."""
    menu_wanted = Signal(int, QPoint)

    def __init__(self, media: Media, place: int, parent: QWidget | None = None) -> None:
        super().__init__(media, parent)
        self.place = place
        self.camera_id: str | None = None
        self.recorded = False
        """Whether the player delivers the pictures, not the live stream."""
        self._chosen = False
        self._target = False
        self._press_at: QPoint | None = None
        self.setAcceptDrops(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda at: self.menu_wanted.emit(self.place, self.mapToGlobal(at)))

    # --- What it shows ------------------------------------------------------------------------------------------------

    def show_live(self, camera_id: str, name: str, opener: Opener, *, has_sub: bool, stream: StreamName | None) -> None:
        """Play the camera live."""
        self.recorded = False
        self.camera_id = camera_id
        self.watch(name, opener, has_sub=has_sub, stream=stream)

    def show_recorded(self, camera_id: str, name: str) -> None:
        """Wait for recorded pictures from the player."""
        if not self.recorded or self.camera_id != camera_id:
            self.clear()
        self.recorded = True
        self.camera_id = camera_id
        self.show_title(name)
        self.show_state(State.CONNECTING, WAITING if self.frame is None else "")

    def show_moment(self, frame: Frame | None, *, gap: bool, sentence: str = "") -> None:
        """The recorded picture of a moment, or why there is none."""
        if sentence:
            self.show_state(State.BROKEN, sentence)
        elif gap:
            self.show_title(self.title)
            self.show_frame(None)
            self.show_state(State.EMPTY, NO_RECORDING)
        elif frame is not None:
            if frame is not self.frame:
                self.show_frame(frame)
                self.show_title(self.title, clock_text(frame.time_us))
            self.show_state(State.PLAYING)

    def empty(self, sentence: str = "") -> None:
        """Show no camera, and perhaps say why."""
        self.clear()
        self.camera_id = None
        self.recorded = False
        self.show_state(State.EMPTY, sentence)

    def choose(self, chosen: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Mark it as the one that commands go to."""
        if chosen != self._chosen:
            self._chosen = chosen
            self.update()

    # --- Mouse --------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Choose it; a drag may begin."""
        if event.button() is Qt.MouseButton.LeftButton:
            self._press_at = event.position().toPoint()
        self.pressed.emit(self.place)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take the camera along."""
        if self._press_at is None or self.camera_id is None:
            return
        moved = event.position().toPoint() - self._press_at
        if moved.manhattanLength() < QApplication.startDragDistance():
            return
        self._press_at = None
        drag = QDrag(self)
        drag.setMimeData(self.drag_data())
        drag.setPixmap(self.grab().scaledToWidth(160))
        drag.exec(Qt.DropAction.MoveAction | Qt.DropAction.CopyAction, Qt.DropAction.MoveAction)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """It was a click."""
        del event
        self._press_at = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Enlarge it, or show all again."""
        if event.button() is Qt.MouseButton.LeftButton:
            self.enlarged.emit(self.place)

    def drag_data(self) -> QMimeData:
        """The camera in it, with its place."""
        data = camera_mime(self.camera_id or "")
        data.setData(CELL_MIME, str(self.place).encode())
        return data

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """A camera may be dropped here."""
        if event.mimeData().hasFormat(CAMERA_MIME):
            event.acceptProposedAction()
            self._aim(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802 - Qt's name
        """It went on."""
        del event
        self._aim(False)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Take the camera."""
        self._aim(False)
        data = event.mimeData()
        camera_id = bytes(data.data(CAMERA_MIME).data()).decode("utf-8", "replace")
        came_from = bytes(data.data(CELL_MIME).data())
        same_page = isinstance(event.source(), CameraCell) and event.source().parent() is self.parent()
        place = int(came_from) if came_from.isdigit() and (same_page or event.source() is None) else -1
        event.acceptProposedAction()
        if camera_id:
            self.camera_dropped.emit(self.place, camera_id, place)

    def _aim(self, target: bool) -> None:  # noqa: FBT001 - one value, said by the name
        self._target = target
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """The picture, and a frame around what is chosen or aimed at."""
        super().paintEvent(event)
        if self._chosen or self._target:
            painter = QPainter(self)
            painter.setPen(QPen(TARGET if self._target else CHOSEN, 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
            painter.end()
