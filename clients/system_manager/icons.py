"""Small pictures of states and kinds, painted so that they fit light and dark."""

from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap

from clients.desktop.theme import Colours

SIZE = 18


def state_icon(level: str, colours: Colours) -> QIcon:
    """A sign of its own shape for each state, for who does not see the colour: ● ▲ ■ ○."""
    colour = {"good": colours.good, "warning": colours.warning, "bad": colours.bad}.get(level, colours.muted)
    return _state(level, colour)


@lru_cache(maxsize=64)
def _state(level: str, colour: str) -> QIcon:
    pixmap = QPixmap(SIZE, SIZE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    match level:
        case "good":
            painter.drawEllipse(QRectF(4, 4, 10, 10))
        case "warning":
            painter.drawPolygon([QPointF(9, 3), QPointF(15, 14), QPointF(3, 14)])
        case "bad":
            painter.drawRect(QRectF(4, 4, 10, 10))
        case "off":
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(colour), 2))
            painter.drawEllipse(QRectF(5, 5, 8, 8))
    painter.end()
    return QIcon(pixmap)
