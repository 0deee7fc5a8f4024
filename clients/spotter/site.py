"""What the signed-in operator sees of the site, kept up to date by the event stream."""

import time

from PySide6.QtCore import QObject, QTimer, Signal

from broker.model import messages as m
from broker.model.resources import Alarm, Camera, Right, Server
from clients.desktop.session import Link, Session, Standing
from clients.sdk import Event, Me, SdkError

SETTLE_MS = 150
"""Several changes of configuration in a row cost one question."""
AGAIN_MS = 3000
"""After a failure to read what the profile shows."""
SILENT_S = 35.0
"""Processes speak every ten seconds; one that was silent for longer is not known to live."""


class Site(QObject):
    """Cameras, alarms, rights. Belongs to the GUI thread."""

    changed = Signal()
    """What the profile shows, or what it lets the operator do, is another; `me` has it."""
    conditions_changed = Signal()
    """How the cameras are."""
    alarm_said = Signal(object)
    """A message about an alarm event."""
    caught_up = Signal()
    """Signed in, or events were missed: read lists anew."""
    said = Signal(object)
    """Any event, for what else is of interest, e.g. `UpdateAvailable`."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.me: Me | None = None
        self.cameras: dict[str, Camera] = {}
        self.alarms: dict[str, Alarm] = {}
        self.servers: dict[str, Server] = {}
        self._conditions: dict[str, m.CameraState] = {}
        self._heard: dict[str, float] = {}
        self._settled = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settled.timeout.connect(self.reload)
        self._watch = QTimer(self, interval=5000)
        self._watch.timeout.connect(self.conditions_changed)
        session.happened.connect(self._happened)
        session.missed.connect(self._missed)
        session.standing_changed.connect(self._standing_changed)

    def may(self, right: Right) -> bool:
        """Whether the profile has a right."""
        return self.me is not None and right in self.me.profile.rights

    def name_of(self, camera_id: str) -> str:
        """What people call a camera."""
        camera = self.cameras.get(camera_id)
        return camera.name if camera else camera_id

    def condition(self, camera_id: str) -> m.CameraState | None:
        """How a camera is; none when its server has not been heard of for a while."""
        state = self._conditions.get(camera_id)
        camera = self.cameras.get(camera_id)
        if state is None or camera is None:
            return None
        heard = self._heard.get(camera.node_id)
        return state if heard is not None and time.monotonic() - heard < SILENT_S else None

    def begin(self) -> None:
        """Read everything, after signing in."""
        self._watch.start()
        self.reload()

    def reload(self) -> None:
        """Read what the profile shows."""
        self.session.ask(lambda client: client.me(), self._took, self._failed, owner=self)

    def forget(self) -> None:
        """Nobody is signed in."""
        self._watch.stop()
        self._settled.stop()
        self.me = None
        self.cameras, self.alarms, self.servers, self._conditions = {}, {}, {}, {}
        self.changed.emit()

    def _took(self, me: Me) -> None:
        first = self.me is None
        self.me = me
        self.cameras = {camera.id: camera for camera in me.cameras}
        self.alarms = {alarm.id: alarm for alarm in me.alarms}
        self.servers = {server.id: server for server in me.servers}
        self.changed.emit()
        if first:
            self.caught_up.emit()
            self._read_conditions()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, SdkError) and self.session.standing.link not in (Link.OUT, Link.OVER):
            self._settled.start(AGAIN_MS)

    def _read_conditions(self) -> None:
        def took(states: tuple[m.NodeStateReported, ...]) -> None:
            for state in states:
                self._heard_of(state)
            self.conditions_changed.emit()

        self.session.ask(lambda client: client.node_states(), took, owner=self)

    def _heard_of(self, state: m.NodeStateReported) -> None:
        self._heard[state.node_id] = time.monotonic()
        for camera in state.cameras:
            self._conditions[camera.camera_id] = camera

    def _missed(self) -> None:
        self.reload()
        self._read_conditions()
        self.caught_up.emit()

    def _standing_changed(self, standing: Standing) -> None:
        if standing.link is Link.CONNECTED and self.me is not None:
            # Whatever was not heard while the connection was away.
            self._missed()

    def _happened(self, event: Event) -> None:
        message = event.message()
        if isinstance(message, m.NodeStateReported):
            self._heard_of(message)
            self.conditions_changed.emit()
        elif isinstance(message, m.AlarmFact):
            self.alarm_said.emit(message)
        elif isinstance(message, m.ConfigurationChange):
            self._settled.start(SETTLE_MS)
        self.said.emit(event)
