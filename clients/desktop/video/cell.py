"""The widget of one camera's live picture: it plays, says what is wrong, and comes back by itself."""

from concurrent.futures import Future
from functools import partial
from threading import Lock

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from clients.desktop.video.frame import Frame
from clients.desktop.video.live import LiveFeed, State
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener, StreamName
from clients.desktop.video.strand import Strand
from clients.desktop.video.surface import VideoSurface

MAIN_FROM = 700
"""Pixels across from which a cell shows the main stream, where it may choose."""
SETTLE_MS = 400
"""A cell that is being resized decides after this rest."""


class Mailbox(QObject):
    """Hands the newest picture, and what there is to say, from decoding threads to the GUI thread."""

    _posted = Signal()
    said = Signal(object, str)
    """State and sentence."""

    def __init__(self, take: "Taking") -> None:
        super().__init__()
        self._take = take
        self._lock = Lock()
        self._newest: Frame | None = None
        self.replaced = 0
        """Pictures that a newer one replaced before the GUI thread came to them."""
        self._posted.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def put(self, frame: Frame) -> None:
        """Leave a picture; from any thread."""
        with self._lock:
            waits, self._newest = self._newest is not None, frame
            self.replaced += waits
        if not waits:
            self._posted.emit()

    def _deliver(self) -> None:
        with self._lock:
            frame, self._newest = self._newest, None
        if frame is not None:
            self._take(frame)


class Taking:
    """A method of a cell, until the cell turns to something else."""

    def __init__(self, cell: "VideoCell") -> None:
        self._cell: VideoCell | None = cell

    def __call__(self, frame: Frame) -> None:
        """Hand the picture on, if it is still wanted."""
        if self._cell is not None:
            self._cell.take(frame)

    def stop(self) -> None:
        """From now on nothing is taken."""
        self._cell = None


class VideoCell(VideoSurface):
    """Shows a camera live. All methods belong to the GUI thread."""

    def __init__(self, media: Media, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stream: StreamName | None = None
        """What plays now."""
        self._media = media
        self._opener: Opener | None = None
        self._has_sub = False
        self._choice: StreamName | None = None
        self._strand: Strand | None = None
        self._taking: Taking | None = None
        self._mailbox: Mailbox | None = None
        self._playing: Future[None] | None = None
        self._settled = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settled.timeout.connect(self._reconsider)
        self.resized.connect(self._resized)

    def watch(self, title: str, opener: Opener, *, has_sub: bool = False, stream: StreamName | None = None) -> None:
        """Play a camera from now on.

        Args:
            title: what people call the camera.
            opener: where its streams are.
            has_sub: whether there is a small stream.
            stream: always this one; none: the one that suits the cell's size.
        """
        self.clear()
        self._opener, self._has_sub, self._choice = opener, has_sub, stream
        self.show_title(title)
        if self.isVisible():
            self._play()

    def clear(self) -> None:
        """Play nothing."""
        self._stop()
        self._opener = None
        self.show_frame(None)
        self.show_title("")
        self.show_state(State.EMPTY)

    def take(self, frame: Frame) -> None:
        """A picture has arrived."""
        self.show_frame(frame)

    @property
    def watched(self) -> bool:
        """Whether a camera was given to play live."""
        return self._opener is not None

    @property
    def paused(self) -> bool:
        """Whether a camera was given but nothing plays, because the cell is not to be seen."""
        return self._opener is not None and self._playing is None

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _play(self) -> None:
        if self._opener is None:
            return
        self._stop()
        self.stream = self._suitable()
        taking = Taking(self)
        mailbox = Mailbox(taking)
        mailbox.said.connect(partial(self._said, mailbox), Qt.ConnectionType.QueuedConnection)
        strand = Strand(self._media.pool, mailbox.put, partial(mailbox.said.emit, State.BROKEN))
        strand.size = self.wanted_size()
        feed = LiveFeed(self._opener, self.stream, strand, mailbox.said.emit)
        self._taking, self._mailbox, self._strand = taking, mailbox, strand
        self._playing = self._media.run(feed.run())

    def _stop(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
        if self._taking is not None:
            self._taking.stop()
        if self._strand is not None:
            self._strand.close()
        self._playing = self._taking = self._strand = self._mailbox = None

    def _said(self, mailbox: Mailbox, state: State, sentence: str) -> None:
        if mailbox is self._mailbox:
            self.show_state(state, sentence)

    def _suitable(self) -> StreamName:
        if self._choice == "sub" and not self._has_sub:
            return "main"
        if self._choice is not None:
            return self._choice
        return "sub" if self._has_sub and self.wanted_size()[0] < MAIN_FROM else "main"

    def _resized(self) -> None:
        if self._strand is not None:
            self._strand.size = self.wanted_size()
        self._settled.start()

    def _reconsider(self) -> None:
        if self._playing is not None and self._suitable() != self.stream:
            self._play()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Only what is seen streams."""
        super().showEvent(event)
        if self.paused:
            self._play()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """The stream ends; the camera is kept."""
        super().hideEvent(event)
        self._stop()
