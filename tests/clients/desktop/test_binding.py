"""Qt's binding keeps count: one that gives up references to None or True ends an application after some minutes."""

import sys

import pytest
from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

CALLS = 300


class Speaker(QObject):
    spoken = Signal()


@pytest.fixture
def counted():
    """References to None, True and False that some calls cost, a call."""
    spare = [[constant] * 10_000 for constant in (None, True, False)]

    def counted(call):
        call()
        before = [sys.getrefcount(constant) for constant in (None, True, False)]
        for _ in range(CALLS):
            call()
        after = [sys.getrefcount(constant) for constant in (None, True, False)]
        return [round((now - then) / CALLS, 1) for now, then in zip(after, before, strict=True)]

    yield counted
    del spare


def test_signals_and_events_give_up_no_reference(qapp, counted):
    speaker, heard = Speaker(), []
    speaker.spoken.connect(heard.clear, Qt.ConnectionType.QueuedConnection)

    def say():
        speaker.spoken.emit()
        QCoreApplication.processEvents()

    assert counted(say) == [0, 0, 0]


def test_painting_gives_up_no_reference(qtbot, counted):
    class Blank(QWidget):
        def paintEvent(self, event):  # noqa: N802 - Qt's name
            pass

    blank = Blank()
    qtbot.addWidget(blank)
    blank.show()
    assert counted(blank.repaint) == [0, 0, 0]
    assert counted(blank.update) == [0, 0, 0]
