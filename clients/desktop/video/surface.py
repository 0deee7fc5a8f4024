"""A widget that paints one picture, what it is called, how it is, and what is wrong with it."""

from datetime import UTC, datetime

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from clients.desktop.video.frame import Frame, Size
from clients.desktop.video.live import State

BACKGROUND = QColor("#0c0e12")
INK = QColor("#f2f4f7")
FAINT = QColor("#98a2b3")
PLATE = QColor(12, 14, 18, 176)
VEIL = QColor(12, 14, 18, 150)
DOTS = {
    State.PLAYING: QColor("#32d583"),
    State.CONNECTING: QColor("#fdb022"),
    State.BROKEN: QColor("#f97066"),
}
PADDING = 6
NOTHING = "No camera"


class VideoSurface(QWidget):
    """Paints frames without scaling them: who delivers them knows `wanted_size`.

    Pictures are dark in both themes, as a cinema is: a bright frame around a night picture blinds.
    """

    painted = Signal(object)
    """A frame, the first time that it is painted."""
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(96, 54)
        self.frame: Frame | None = None
        self.title = ""
        self.note = ""
        """A few words beside the name, such as the time shown."""
        self.state = State.EMPTY
        self.sentence = ""
        """What is wrong, for the operator; empty when nothing is."""
        self.border: QColor | None = None
        """Around the picture, e.g. in an alarm's colour."""
        self._painted: Frame | None = None

    def wanted_size(self) -> Size:
        """The size at which pictures should come, in device pixels."""
        ratio = self.devicePixelRatioF()
        return max(round(self.width() * ratio), 2), max(round(self.height() * ratio), 2)

    def show_frame(self, frame: Frame | None) -> None:
        """Paint this picture from now on."""
        self.frame = frame
        self.update()

    def show_state(self, state: State, sentence: str = "") -> None:
        """Say how the stream is; a picture that there is stays, veiled when it is not fresh."""
        if (state, sentence) != (self.state, self.sentence):
            self.state, self.sentence = state, sentence
            self.setToolTip(sentence)
            self.setAccessibleName(f"{self.title} {state}")
            self.setAccessibleDescription(sentence)
            self.update()

    def show_title(self, title: str, note: str = "") -> None:
        """Say which camera it is."""
        if (title, note) != (self.title, self.note):
            self.title, self.note = title, note
            self.update()

    def picture_rect(self) -> QRect:
        """Where the picture is, in the widget's own coordinates; all of it while there is none."""
        if self.frame is None:
            return self.rect()
        width, height = self.frame.source_size
        across = min(self.width(), self.height() * width // height)
        down = min(self.height(), self.width() * height // width)
        return QRect((self.width() - across) // 2, (self.height() - down) // 2, across, down)

    # --- What Qt calls ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Picture, veil, sentence, name."""
        del event
        painter = QPainter(self)
        frame = self.frame
        if frame is None:
            painter.fillRect(self.rect(), BACKGROUND)
        else:
            self._paint_picture(painter, frame)
        if self.state in (State.BROKEN, State.CONNECTING, State.EMPTY):
            self._paint_sentence(painter)
        if self.title:
            self._paint_plate(painter)
        if self.border is not None:
            painter.setPen(self.border)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for inset in range(3):
                painter.drawRect(self.rect().adjusted(inset, inset, -inset - 1, -inset - 1))
        painter.end()
        if frame is not None and frame is not self._painted:
            self._painted = frame
            self.painted.emit(frame)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Tell who delivers pictures."""
        super().resizeEvent(event)
        self.resized.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Leave it to who holds the cell."""
        event.ignore()

    def _paint_picture(self, painter: QPainter, frame: Frame) -> None:
        image, ratio = frame.image, self.devicePixelRatioF()
        target = self.picture_rect()
        if target != self.rect():
            painter.fillRect(self.rect(), BACKGROUND)
        fits = abs(image.width() - target.width() * ratio) <= 2 and abs(image.height() - target.height() * ratio) <= 2  # noqa: PLR2004 - rounding
        if fits and ratio == 1:
            painter.drawImage(target.topLeft(), image)
        else:
            painter.drawImage(target, image)  # scaled, until pictures of the new size come
        if self.state is State.BROKEN:
            painter.fillRect(target, VEIL)

    def _paint_sentence(self, painter: QPainter) -> None:
        said = self.sentence
        if not said and self.frame is None:
            said = {State.EMPTY: NOTHING, State.CONNECTING: "Connecting …"}.get(self.state, "")
        if not said:
            return
        painter.setPen(INK if self.state is State.BROKEN else FAINT)
        area = self.rect().adjusted(12, 12, -12, -30)
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, said)

    def _paint_plate(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        painter.setFont(font)
        metrics = QFontMetrics(font)
        height = metrics.height() + PADDING
        plate = QRect(0, self.height() - height, self.width(), height)
        painter.fillRect(plate, PLATE)
        dot = DOTS.get(self.state)
        left = PADDING
        if dot is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(dot)
            painter.drawEllipse(left, plate.center().y() - 3, 8, 8)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
            left += 14
        note_width = metrics.horizontalAdvance(self.note) if self.note else 0
        room = self.width() - left - PADDING - (note_width + 2 * PADDING if self.note else 0)
        painter.setPen(INK)
        name = metrics.elidedText(self.title, Qt.TextElideMode.ElideRight, max(room, 0))
        painter.drawText(QRect(left, plate.top(), max(room, 0), height), Qt.AlignmentFlag.AlignVCenter, name)
        if self.note:
            right = QRect(self.width() - note_width - PADDING, plate.top(), note_width + 1, height)
            painter.setPen(FAINT)
            painter.drawText(right, Qt.AlignmentFlag.AlignVCenter, self.note)


def clock_text(time_us: int) -> str:
    """A moment on this machine's clock, to the tenth of a second, as operators read it."""
    moment = datetime.fromtimestamp(time_us / 1e6, UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 100_000}"
