"""Tabs and cells as they were at the last sign-in, and under names: kept by SMServer."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from broker.model.layouts import Layout
from clients.desktop.failures import failure_of
from clients.desktop.session import Session
from clients.sdk import NotFoundError, SdkError

LAST = "Last session"
"""The layout that is saved by itself and restored at the next sign-in."""
SETTLE_MS = 1500
AGAIN_MS = 10_000


class Layouts(QObject):
    """Saves what changes, after a rest; reads what was saved. Belongs to the GUI thread."""

    trouble = Signal(str)

    def __init__(self, session: Session, arrangement: Callable[[], Layout], parent: QObject | None = None) -> None:
        """`arrangement` gives the tabs as they are now, named `LAST`."""
        super().__init__(parent)
        self._session, self._arrangement = session, arrangement
        self._restored = False
        self._saved: Layout | None = None
        self._settled = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settled.timeout.connect(self.save_now)

    @property
    def ready(self) -> bool:
        """Whether the last session's was read, so that changes are saved from now on."""
        return self._restored

    def restore(self, done: Callable[[Layout | None], object]) -> None:
        """Read the last session's; none when there was none. Until then nothing is saved over it."""
        self._restored = False
        self._settled.stop()

        def took(layout: Layout | None) -> None:
            self._restored, self._saved = True, layout
            done(layout)

        def failed(error: Exception) -> None:
            if isinstance(error, NotFoundError):
                took(None)
            elif isinstance(error, SdkError) and self._session.client is not None:
                QTimer.singleShot(AGAIN_MS, self, lambda: None if self._restored else self.restore(done))

        self._session.ask(lambda client: client.layouts.get(LAST), took, failed, owner=self)

    def changed(self) -> None:
        """Something is arranged in another way: save it soon."""
        if self._restored:
            self._settled.start(SETTLE_MS)

    def save_now(self) -> None:
        """Save it as the last session's; tried again while the server is away."""
        self._settled.stop()
        layout = self._arrangement()
        if not self._restored or layout == self._saved or self._session.client is None:
            return

        def failed(error: Exception) -> None:
            if isinstance(error, SdkError):
                self._settled.start(AGAIN_MS)

        def took(_: object) -> None:
            self._saved = layout

        self._session.ask(lambda client: client.layouts.save(layout), took, failed, owner=self)

    def save_as(self, layout: Layout, done: Callable[[], object]) -> None:
        """Save under a name."""
        self._session.ask(
            lambda client: client.layouts.save(layout), lambda _: done(), self._complain("saved"), owner=self
        )

    def remove(self, name: str, done: Callable[[], object]) -> None:
        """Delete the one of a name."""
        self._session.ask(
            lambda client: client.layouts.remove(name), lambda _: done(), self._complain("deleted"), owner=self
        )

    def named(self, done: Callable[[tuple[Layout, ...]], object]) -> None:
        """Those with names that people gave."""
        self._session.ask(
            lambda client: client.layouts.list(),
            lambda found: done(tuple(layout for layout in found if layout.name != LAST)),
            self._complain("read"),
            owner=self,
        )

    def _complain(self, what: str) -> Callable[[Exception], None]:
        def complain(error: Exception) -> None:
            failure = failure_of(error)
            self.trouble.emit(f"The layout was not {what}: {failure.sentence} {failure.remedy}".strip())

        return complain
