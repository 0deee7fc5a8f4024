"""What is recorded of the cameras on a page, asked of their nodes for the part of time on the screen."""

from datetime import UTC, datetime

from PySide6.QtCore import QObject, QTimer, Signal

from broker.model.resources import Right, Server
from clients.sdk import Span
from clients.spotter.site import Site
from clients.spotter.timeline import Stretch, now_us

SETTLE_MS = 200
REFRESH_MS = 5000
MARGIN = 0.5
"""Asked for beside what is on the screen, as a share of it, so that a little scrolling shows no hole."""


class Footage(QObject):
    """Rows for the timeline. Belongs to the GUI thread."""

    changed = Signal()

    def __init__(self, site: Site, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._site = site
        self._cameras: tuple[str, ...] = ()
        self._from_us = self._to_us = 0
        self._found: dict[str, list[Stretch]] = {}
        self._settled = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settled.timeout.connect(self._ask)
        self._again = QTimer(self, interval=REFRESH_MS)
        self._again.timeout.connect(self._ask)

    def want(self, cameras: tuple[str, ...], from_us: int, to_us: int) -> None:
        """What is on the screen now."""
        margin = round((to_us - from_us) * MARGIN)
        self._cameras, self._from_us, self._to_us = cameras, from_us - margin, to_us + margin
        self._settled.start()

    def watch(self, watched: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Whether anybody sees it: only then it is kept up to date."""
        if watched:
            self._again.start()
            self._settled.start()
        else:
            self._again.stop()

    def rows(self) -> dict[str, list[Stretch]]:
        """What is known, by the cameras' names."""
        return {self._site.name_of(id_): self._found.get(id_, []) for id_ in self._cameras}

    def _ask(self) -> None:
        if not self._site.may(Right.PLAYBACK):
            return
        until = min(self._to_us, now_us())
        if until <= self._from_us:
            return
        span = (datetime.fromtimestamp(self._from_us / 1e6, UTC), datetime.fromtimestamp(until / 1e6, UTC))
        for camera_id in self._cameras:
            camera = self._site.cameras.get(camera_id)
            server = self._site.servers.get(camera.node_id) if camera else None
            if server is not None:
                self._ask_node(server, camera_id, span)

    def _ask_node(self, server: Server, camera_id: str, span: tuple[datetime, datetime]) -> None:
        def took(spans: tuple[Span, ...]) -> None:
            self._took(camera_id, spans)

        self._site.session.ask(lambda client: client.node(server).timeline(camera_id, *span), took, owner=self)

    def _took(self, camera_id: str, spans: tuple[Span, ...]) -> None:
        found = [
            Stretch(round(span.start.timestamp() * 1e6), round(span.end.timestamp() * 1e6), span.protected)
            for span in spans
            if span.stream in ("", "main")
        ]
        if found != self._found.get(camera_id):
            self._found[camera_id] = found
            self.changed.emit()
