"""Saving a clip: which camera, from when to when, where to; progress, and a way out."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from PySide6.QtCore import QDateTime, QTimer
from PySide6.QtWidgets import (
    QComboBox,
    QDateTimeEdit,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from clients.desktop.failures import Failure, failure_of
from clients.desktop.session import Asked
from clients.desktop.widgets import Message, button, hidden, label, named
from clients.sdk import AsyncClient, SdkError
from clients.spotter.naming import file_name, free_path
from clients.spotter.saving import finish, part_of
from clients.spotter.site import Site
from clients.spotter.transport import FORMAT, moment_of

LONGEST = timedelta(hours=1)
"""What a node gives in one clip."""
AROUND_US = 30_000_000
"""Before and after the moment shown, where no stretch is marked."""
MEGABYTE = 1_000_000


class ExportDialog(QDialog):
    """Writes one MP4, copied as it was recorded. What has the chosen name is a whole clip, or nothing has it."""

    def __init__(
        self, site: Site, camera_id: str, stretch: tuple[int, int], folder: Path, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._site = site
        self._asked: Asked | None = None
        self._path: Path | None = None
        self._named = ""
        self.saved: Path | None = None
        """The clip, when there is one."""
        self.setWindowTitle("Save a clip")
        self.setMinimumWidth(560)
        self.camera = named(QComboBox(), "Camera")
        for camera in sorted(site.cameras.values(), key=lambda camera: camera.name.lower()):
            self.camera.addItem(camera.name, camera.id)
        self.camera.setCurrentIndex(max(self.camera.findData(camera_id), 0))
        self.begin, self.end = (
            named(QDateTimeEdit(calendarPopup=True), "From"),
            named(QDateTimeEdit(calendarPopup=True), "To"),
        )
        for field, moment_us in zip((self.begin, self.end), stretch, strict=True):
            field.setDisplayFormat(FORMAT)
            field.setDateTime(QDateTime.fromMSecsSinceEpoch(moment_us // 1000))
        self.folder, self.name = named(QLineEdit(str(folder)), "Folder"), named(QLineEdit(), "File name")
        self.message = Message()
        self.progress = hidden(named(QProgressBar(minimum=0, maximum=0, textVisible=False), "Progress"))
        self.summary = label("", "help", wrap=True)
        self.save = button("Save", self.start, "main")
        self.leave = button("Close", self.reject)
        self._lay_out()
        self._polled = QTimer(self, interval=300)
        self._polled.timeout.connect(self._progressed)
        for signal in (self.camera.currentIndexChanged, self.begin.dateTimeChanged):
            signal.connect(self._propose_name)
        self._propose_name()

    def _lay_out(self) -> None:
        where = QHBoxLayout()
        where.addWidget(self.folder, 1)
        where.addWidget(button("Choose …", self._choose_folder))
        form = QFormLayout()
        form.addRow("&Camera", self.camera)
        form.addRow("&From", self.begin)
        form.addRow("&To", self.end)
        form.addRow("Folder", where)
        form.addRow("File &name", self.name)
        buttons = QHBoxLayout()
        buttons.addWidget(self.summary, 1)
        buttons.addWidget(self.leave)
        buttons.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.addWidget(label("Save a clip", "title"))
        layout.addLayout(form)
        layout.addWidget(label("One MP4 file, copied as it was recorded, sound included; an hour at most.", "help"))
        layout.addWidget(self.message)
        layout.addWidget(self.progress)
        layout.addLayout(buttons)

    @property
    def running(self) -> bool:
        """Whether a clip is on its way."""
        return self._asked is not None

    def start(self) -> None:
        """Begin, if what is typed makes sense."""
        self.message.clear()
        begin, end = (_aware(field) for field in (self.begin, self.end))
        camera = self._site.cameras.get(self.camera.currentData())
        server = self._site.servers.get(camera.node_id) if camera else None
        if camera is None or server is None:
            self.message.say(Failure("This camera has no recording server.", "Choose another one."))
            return
        if not timedelta(0) < end - begin <= LONGEST:
            self.message.say(Failure("A clip is longer than nothing and at most an hour.", "Change From or To."))
            return
        path = Path(self.folder.text()).expanduser() / (self.name.text().strip() or "clip.mp4")
        if path.suffix.lower() != ".mp4":
            path = path.with_name(f"{path.name}.mp4")
        if path.exists():
            self.message.say(Failure(f"{path.name} is there already.", "Choose another name."))
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.message.say(Failure(f"{path.parent} cannot be made: {error.strerror}.", "Choose another folder."))
            return
        self._path = path

        async def work(client: AsyncClient) -> int:
            try:
                length = await client.node(server).clip(camera.id, begin, end, part_of(path))
                await asyncio.to_thread(finish, path)
            except BaseException:  # whatever ends it, a stop included: half a file helps nobody
                part_of(path).unlink(missing_ok=True)
                raise
            return int(length)

        self._set_running(True)
        self._asked = self._site.session.ask(work, self._done, self._failed, owner=self)

    def reject(self) -> None:
        """Stop what is under way, or close."""
        if self._asked is None:
            super().reject()
            return
        self._asked.cancel()
        self._ended()
        self.summary.setText("Stopped; nothing was saved.")

    def _done(self, length: int) -> None:
        self.saved = self._path
        self._asked = None
        self._set_running(False)
        self.summary.setText(f"Saved: {self._path} ({length / MEGABYTE:.1f} MB)")
        self._propose_name()

    def _failed(self, error: Exception) -> None:
        self._ended()
        failure = failure_of(error)
        if isinstance(error, OSError):
            failure = Failure(
                f"The clip could not be written: {error.strerror}.", "Choose another folder, or make room."
            )
        elif not isinstance(error, SdkError):
            failure = Failure(f"The clip could not be saved: {error}")
        self.message.say(failure)

    def _ended(self) -> None:
        self._asked = None
        self._set_running(False)
        self.summary.setText("")

    def _progressed(self) -> None:
        if self._path is None:
            return
        try:
            length = part_of(self._path).stat().st_size
        except OSError:
            length = 0
        self.summary.setText(f"{length / MEGABYTE:.1f} MB so far")

    def _set_running(self, running: bool) -> None:  # noqa: FBT001 - one value, said by the name
        self.progress.setVisible(running)
        self.save.setEnabled(not running)
        self.leave.setText("Stop" if running else "Close")
        for field in (self.camera, self.begin, self.end, self.folder, self.name):
            field.setEnabled(not running)
        if running:
            self._polled.start()
        else:
            self._polled.stop()

    def _propose_name(self) -> None:
        if self.name.text() not in ("", self._named):
            return  # somebody has typed one
        name = file_name(self.camera.currentText(), _aware(self.begin), "mp4")
        self._named = free_path(Path(self.folder.text()).expanduser(), name).name
        self.name.setText(self._named)

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Where clips go", self.folder.text()):
            self.folder.setText(chosen)


def stretch_around(moment_us: int) -> tuple[int, int]:
    """A stretch to propose for a clip of a moment."""
    return moment_us - AROUND_US, moment_us + AROUND_US


def _aware(field: QDateTimeEdit) -> datetime:
    return moment_of(field.dateTime().toMSecsSinceEpoch() * 1000).astimezone()
