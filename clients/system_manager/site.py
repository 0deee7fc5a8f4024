"""The site as System Manager knows it: all resources and states, read once and kept up by events."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from broker.model import messages as m
from broker.model.health import HealthEvent
from broker.model.messages import CameraCondition, CameraState, NodeStateReported
from broker.model.resources import Alarm, Camera, Profile, Server, ServerRole, User
from clients.desktop.session import Session
from clients.sdk import AsyncClient, Event, HealthRecord
from clients.system_manager.dependents import Dependents, dependents_of

T = TypeVar("T")
STATES_MS = 10_000
"""Nodes report every ten seconds; events tell of changes at once."""


class Health(NamedTuple):
    """How something is: a word for colour and a text that says it without colour."""

    level: str
    """good, warning, bad or off."""
    text: str


class _Everything(NamedTuple):
    servers: tuple[Server, ...]
    cameras: tuple[Camera, ...]
    alarms: tuple[Alarm, ...]
    profiles: tuple[Profile, ...]
    users: tuple[User, ...]
    states: tuple[NodeStateReported, ...]
    health: tuple[HealthRecord, ...]


async def _everything(client: AsyncClient) -> _Everything:
    """Everything at once; the first failure is the one to tell."""
    group = asyncio.get_running_loop()
    servers = group.create_task(_awaited(client.servers.list()))
    cameras = group.create_task(_awaited(client.cameras.list()))
    alarms = group.create_task(_awaited(client.alarms.list()))
    profiles = group.create_task(_awaited(client.profiles.list()))
    users = group.create_task(_awaited(client.users.list()))
    states = group.create_task(_awaited(client.node_states()))
    health = group.create_task(_awaited(client.health_events(limit=500)))
    await asyncio.gather(servers, cameras, alarms, profiles, users, states, health)
    return _Everything(
        servers.result(),
        cameras.result(),
        alarms.result(),
        profiles.result(),
        users.result(),
        states.result(),
        health.result(),
    )


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


class SiteModel(QObject):
    """Emits `changed` whenever something differs; `changed_resource` names it, with none for removed ones."""

    changed = Signal()
    states_changed = Signal()
    changed_resource = Signal(str, str)
    """Kind and id of a resource that is new, changed or gone."""
    failed = Signal(object)
    """The site could not be read."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._all: dict[str, dict[str, Any]] = {name: {} for name in ("server", "camera", "alarm", "profile", "user")}
        self.states: dict[str, NodeStateReported] = {}
        self._lost: set[str] = set()
        self.loaded = False
        session.happened.connect(self._happened)
        session.missed.connect(self.read)
        self._timer = QTimer(self, interval=STATES_MS)
        self._timer.timeout.connect(self._read_states)
        self._timer.start()

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read everything anew."""
        self._session.ask(_everything, self._take, self.failed.emit, owner=self)

    def _take(self, found: _Everything) -> None:
        self._all = {
            "server": {item.id: item for item in found.servers},
            "camera": {item.id: item for item in found.cameras},
            "alarm": {item.id: item for item in found.alarms},
            "profile": {item.id: item for item in found.profiles},
            "user": {item.id: item for item in found.users},
        }
        self.states = {state.node_id: state for state in found.states}
        self._lost = set()
        for record in reversed(found.health):
            self._note(record.event, record.subject)
        self.loaded = True
        self.changed.emit()

    def _read_states(self) -> None:
        if self._session.signed_in is not None and self.loaded:
            self._session.ask(lambda client: client.node_states(), self._take_states, owner=self)

    def _take_states(self, states: Sequence[NodeStateReported]) -> None:
        self.states = {state.node_id: state for state in states}
        self.states_changed.emit()

    def _happened(self, event: Event) -> None:
        message = event.message()
        match message:
            case NodeStateReported():
                self.states[message.node_id] = message
                self.states_changed.emit()
            case m.HealthEventReported():
                self._note(message.event, message.subject)
                self.states_changed.emit()
            case m.ConfigurationChange():
                self._apply(message)

    def _apply(self, message: m.ConfigurationChange) -> None:
        for kind, held in self._all.items():
            resource = getattr(message, kind, None)
            removed = getattr(message, f"{kind}_id", None)
            if resource is not None:
                held[resource.id] = resource
                self.changed_resource.emit(kind, resource.id)
                self.changed.emit()
                return
            if removed is not None:
                held.pop(removed, None)
                self.changed_resource.emit(kind, removed)
                self.changed.emit()
                return

    def _note(self, event: str, subject: str) -> None:
        if event == HealthEvent.NODE_LOST:
            self._lost.add(subject)
        elif event == HealthEvent.NODE_RESTORED:
            self._lost.discard(subject)

    # --- asking ---------------------------------------------------------------------------------------------------

    def every(self, kind: str) -> Sequence[Any]:
        """All of a kind, by name."""
        return sorted(self._all[kind].values(), key=lambda item: (item.name.lower(), item.id))

    def find(self, kind: str, id_: str) -> Any:
        """One of them, or none."""
        return self._all[kind].get(id_)

    def name(self, kind: str, id_: str) -> str:
        """What people call it; its id when it is not known."""
        found = self.find(kind, id_)
        return str(found.name) if found is not None else id_

    def references(self, kind: str) -> list[tuple[str, str]]:
        """Ids and names for choosing one. Cameras go to DVRServers only."""
        items = self.every(kind)
        if kind == "server":
            items = [server for server in items if server.role == ServerRole.DVRSERVER]
        return [(item.id, item.name) for item in items]

    def camera_state(self, camera_id: str) -> CameraState | None:
        """What its node last said of a camera."""
        camera = self.find("camera", camera_id)
        state = self.states.get(camera.node_id) if camera is not None else None
        return next((each for each in state.cameras if each.camera_id == camera_id), None) if state else None

    def health(self, kind: str, id_: str) -> Health:
        """How a resource is now."""
        match kind:
            case "server":
                return self._server_health(id_)
            case "camera":
                return self._camera_health(id_)
            case _:
                found = self.find(kind, id_)
                enabled = getattr(found, "enabled", True)
                return Health("off", "disabled") if not enabled else Health("", "")

    def _server_health(self, id_: str) -> Health:
        server = self.find("server", id_)
        if server is not None and not server.enabled:
            return Health("off", "disabled")
        if id_ in self._lost:
            return Health("bad", "silent")
        state = self.states.get(id_)
        if state is None:
            return Health("off", "not heard of yet")
        return Health("good", f"runs revision {state.revision}")

    def _camera_health(self, id_: str) -> Health:
        camera = self.find("camera", id_)
        if camera is not None and not camera.enabled:
            return Health("off", "disabled")
        if camera is not None and camera.node_id in self._lost:
            return Health("bad", "its server is silent")
        state = self.camera_state(id_)
        if state is None:
            return Health("off", "not heard of yet")
        text = state.condition.replace("_", " ")
        if state.condition is CameraCondition.RUNNING:
            return Health("warning" if state.problem else "good", "records" if state.recording else "runs")
        return Health("warning" if state.condition is CameraCondition.CONNECTING else "bad", text)

    def dependents(self, kind: str, id_: str) -> Dependents:
        """What hangs on a resource."""
        return dependents_of(kind, id_, self.every)


def cell_text(site: SiteModel, kind: str, values: Mapping[str, Any], column: str) -> str:
    """What a list shows of a resource's field."""
    del kind
    value = values.get(column)
    match column:
        case "node_id":
            return site.name("server", str(value))
        case "profile_id":
            return site.name("profile", str(value))
        case "trigger" if isinstance(value, Mapping):
            return f"{str(value.get('kind', '')).capitalize()}: {site.name('camera', str(value.get('camera_id')))}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, sorted(value)))
    return str(value if value is not None else "").replace("_", " ") if column == "recording" else str(value or "")
