"""The page of a camera: its address tested before it is saved, its live picture with the motion mask on it."""

from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QHideEvent, QPixmap, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from broker.model.resources import Camera
from clients.desktop.failures import Failure, failure_of
from clients.desktop.theme import kind as styled
from clients.desktop.video.live import State
from clients.desktop.widgets import Message, button, hidden, label
from clients.sdk import FieldProblem, MotionSeen, ProbeFound, ProblemError
from clients.system_manager.editor_page import EditorPage
from clients.system_manager.form import Rows
from clients.system_manager.kinds import ResourceKind
from clients.system_manager.mask import MaskEditor, MaskSurface
from clients.system_manager.workplace import Workplace

MOTION_MS = 500
PICTURE = (320, 200)


def described(found: ProbeFound) -> str:
    """What an address is, in a few words."""
    lines = []
    if found.video is not None:
        rate = f", {found.video.fps:g} pictures/s" if found.video.fps else ""
        lines.append(f"{found.video.codec.upper()}, {found.video.width} by {found.video.height} pixels{rate}")
    if found.audio is not None:
        word = {1: "mono", 2: "stereo"}.get(found.audio.channels, f"{found.audio.channels} channels")
        lines.append(f"Sound: {found.audio.codec.upper()}, {found.audio.sample_rate / 1000:g} kHz, {word}")
    elif found.video is not None:
        lines.append("No sound")
    if found.kbps:
        lines.append(f"{found.kbps / 1000:.1f} Mbit/s" if found.kbps >= 1000 else f"{found.kbps:.0f} kbit/s")  # noqa: PLR2004 - a thousand
    return "\n".join(lines)


class ProbePanel(QFrame):
    """Tests an address and shows what came."""

    def __init__(self, page: "CameraPage") -> None:
        super().__init__()
        styled(self, "panel")
        self._page = page
        self.main_button = button("Test main stream", lambda: page.probe("main_url"))
        self.sub_button = button("Test small stream", lambda: page.probe("sub_url"))
        self._busy = hidden(label("The server dials the address …", "help"))
        self.problem = Message()
        self.text = label("", wrap=True)
        self.picture = hidden(QLabel())
        self.picture.setAccessibleName("Picture from the tested address")
        self.picture.setFixedSize(*PICTURE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QHBoxLayout()
        buttons.addWidget(self.main_button)
        buttons.addWidget(self.sub_button)
        buttons.addWidget(self._busy)
        buttons.addStretch()
        result = QHBoxLayout()
        result.addWidget(self.picture)
        result.addWidget(self.text, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self.problem)
        layout.addLayout(result)

    def begin(self) -> None:
        """An address is being tested."""
        self.set_busy(True)
        self.problem.clear()
        self.text.clear()
        self.picture.setVisible(False)

    def set_busy(self, busy: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Whether it is being tested."""
        self._busy.setVisible(busy)
        self.main_button.setEnabled(not busy)
        self.sub_button.setEnabled(not busy)

    def show_result(self, found: ProbeFound) -> None:
        """What came."""
        self.set_busy(False)
        self.text.setText(described(found))
        if found.problem:
            sentence = found.problem[:1].upper() + found.problem[1:]
            self.problem.say(Failure(sentence.rstrip(".") + "."))
        picture = QPixmap()
        if found.snapshot and picture.loadFromData(QByteArray(found.snapshot)):
            scaled = picture.scaled(
                *PICTURE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
            self.picture.setPixmap(scaled)
            self.picture.setVisible(True)


class CameraPage(EditorPage):
    """Edits a camera."""

    def __init__(self, workplace: Workplace, kind: ResourceKind, resource_id: str | None = None) -> None:
        self.surface: MaskSurface | None = None
        self._watched: Any = None
        super().__init__(workplace, kind, resource_id)
        self._motion = QTimer(self, interval=MOTION_MS)
        self._motion.timeout.connect(self._ask_motion)

    def tab_content(self, number: int, rows: Rows) -> QWidget:
        """The first tab tests addresses; the mask is painted on the live picture."""
        if number == 0:
            self.panel = ProbePanel(self)
            content = QWidget()
            layout = QVBoxLayout(content)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(14)
            layout.addWidget(rows)
            layout.addWidget(self.panel)
            return content
        motion = rows.editors.get("motion")
        mask = motion.editors.get("mask") if isinstance(motion, Rows) else None
        if isinstance(mask, MaskEditor):
            self.surface = MaskSurface(self.workplace.media)
            self.surface.setFixedHeight(360)
            self.surface.setMaximumWidth(640)
            self.surface.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            mask.attach(self.surface)
        return rows

    def shown(self) -> None:
        """The live picture is that of the camera as it is saved."""
        if self.surface is None:
            return
        if self.resource_id is None:
            self.surface.show_state(State.BROKEN, "The live picture comes once the camera is saved.")
            return
        camera = Camera.model_validate(self._base, extra="ignore")
        watched = (camera.id, camera.name, camera.node_id, camera.sub_url, camera.enabled)
        if watched == self._watched:
            return
        self._watched = watched
        if camera.enabled:
            self.surface.watch(camera.name, self.workplace.opener(camera), has_sub=camera.sub_url is not None)
        else:
            self.surface.clear()
            self.surface.show_state(State.BROKEN, "The camera is disabled.")

    # --- testing an address ---------------------------------------------------------------------------------------

    def probe(self, field: str) -> None:
        """Have the chosen server dial the address that is typed."""
        values = self.values
        self._clear()
        url = str(values.get(field) or "")
        server = self.workplace.site.find("server", str(values.get("node_id") or ""))
        if server is None:
            self.show_problems([FieldProblem("node_id", "Choose the server that is to capture it", "")])
            return
        if not url:
            self.show_problems([FieldProblem(field, "Write the address that is to be tested", "")])
            return
        self.panel.begin()
        known = self.resource_id if self.password is None else None
        username, password = str(values.get("username") or ""), self.password
        self.workplace.session.ask(
            lambda client: client.node(server).probe(url, username=username, password=password, camera_id=known),
            self._probed,
            lambda error: self._not_probed(error, field),
            owner=self,
        )

    def _probed(self, found: ProbeFound) -> None:
        self.panel.show_result(found)
        area = self.tabs.widget(0)
        if isinstance(area, QScrollArea):
            # Once the picture has its place in the layout.
            QTimer.singleShot(50, self.panel, lambda: area.ensureWidgetVisible(self.panel))

    def _not_probed(self, error: Exception, field: str) -> None:
        self.panel.set_busy(False)
        if isinstance(error, ProblemError) and error.field == "url":
            self.show_problems([FieldProblem(field, error.detail.removeprefix("url: "), error.remedy)])
        else:
            self.panel.problem.say(failure_of(error))

    # --- motion ---------------------------------------------------------------------------------------------------

    def _ask_motion(self) -> None:
        camera = self.workplace.site.find("camera", self.resource_id or "")
        server = self.workplace.site.find("server", camera.node_id) if camera is not None else None
        if server is None or self.surface is None or not self.surface.isVisible():
            return
        self.workplace.session.ask(
            lambda client: client.node(server).motion(camera.id), self._show_motion, lambda _: None, owner=self
        )

    def _show_motion(self, seen: MotionSeen) -> None:
        if self.surface is not None and (seen.columns, seen.rows) == (self.surface.columns, self.surface.rows):
            self.surface.show_motion(frozenset(seen.cells))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Motion is asked for only while it can be seen."""
        super().showEvent(event)
        self._motion.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks."""
        super().hideEvent(event)
        self._motion.stop()
