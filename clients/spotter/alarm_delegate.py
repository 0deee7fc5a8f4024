"""How an alarm looks in the list: two lines and a stripe in its colour."""

from datetime import UTC, datetime

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from broker.model.log import AlarmEvent
from broker.model.messages import AlarmState
from clients.desktop.theme import colours_of
from clients.spotter.alarm_book import duration_text
from clients.spotter.alarm_table import EVENT_ROLE, NAME, STATES, TAKEN, started_text

HEIGHT, STRIPE, GAP = 50, 5, 10


class AlarmDelegate(QStyledItemDelegate):
    """Paints `AlarmEvent`s; bold until somebody has taken notice."""

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Two lines."""
        del option, index
        return QSize(180, HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Stripe, name and time; camera, state and who took notice."""
        event: AlarmEvent | None = index.data(EVENT_ROLE)
        widget: QWidget | None = option.widget
        rect: QRect = option.rect
        if event is None or widget is None:
            return
        colours, now = colours_of(widget), datetime.now(UTC)
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colours.selected))
        painter.fillRect(QRect(rect.left(), rect.top() + 1, STRIPE, rect.height() - 2), QColor(event.colour))
        inside = rect.adjusted(STRIPE + GAP, 5, -GAP, -5)
        top, bottom = QRect(inside), QRect(inside)
        top.setBottom(inside.center().y())
        bottom.setTop(inside.center().y() + 1)
        font = QFont(widget.font())
        font.setBold(event.acknowledged is None)
        painter.setFont(font)
        name = index.sibling(index.row(), NAME).data()
        _both_ends(painter, top, (name, QColor(colours.text)), (started_text(event, now), QColor(colours.text)))
        font.setBold(False)
        font.setPixelSize(12)
        painter.setFont(font)
        active = event.state is AlarmState.ACTIVE
        taken = index.sibling(index.row(), TAKEN).data()
        state = f"{STATES[event.state]} {duration_text(event, now)}"
        about = state if event.acknowledged is None and taken == "-" else f"{state}, {taken}"
        _both_ends(
            painter,
            bottom,
            (index.sibling(index.row(), NAME + 1).data(), QColor(colours.muted)),
            (about, QColor(colours.bad if active else colours.muted)),
        )
        painter.setPen(QColor(colours.line))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        painter.restore()


def _both_ends(painter: QPainter, area: QRect, left: tuple[str, QColor], right: tuple[str, QColor]) -> None:
    """One text at the left, as much of it as there is room for, and one at the right."""
    metrics = painter.fontMetrics()
    room = area.width() - metrics.horizontalAdvance(right[0]) - GAP
    painter.setPen(left[1])
    text = metrics.elidedText(left[0], Qt.TextElideMode.ElideRight, max(room, 0))
    painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
    painter.setPen(right[1])
    painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, right[0])
