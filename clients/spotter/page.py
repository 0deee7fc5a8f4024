"""One tab: a grid of cells, live or recorded as a whole, with the timeline and its buttons."""

from datetime import UTC, datetime

from PySide6.QtCore import QPoint, Signal
from PySide6.QtGui import QColor, QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from broker.model.layouts import Tab
from broker.model.resources import Right
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener, StreamName
from clients.spotter.alarms import Alarms
from clients.spotter.camera_cell import CameraCell
from clients.spotter.footage import Footage
from clients.spotter.grid import Grid
from clients.spotter.pictures import Pictures
from clients.spotter.player import Player
from clients.spotter.site import Site
from clients.spotter.timeline import Mark, Timeline, now_us
from clients.spotter.transport import Transport

NO_PLAYBACK = "Your profile does not let you watch recorded pictures."
PAUSE_BACK_US = 3_000_000
"""Pausing what is live shows the moment so long ago: it is on the disk for certain."""


class Page(QWidget):
    """A tab's content."""

    changed = Signal()
    """What a layout keeps of it."""
    told = Signal(str)
    """A sentence for the status bar."""
    menu_wanted = Signal(QPoint)

    def __init__(
        self,
        site: Site,
        alarms: Alarms,
        media: Media,
        pictures: Pictures,
        *,
        cells: int = 4,
    ) -> None:
        super().__init__()
        self._site, self._alarms, self._pictures = site, alarms, pictures
        self.name = ""
        self.small = False
        """Whether live pictures are always the small streams."""
        self.grid = Grid(media, cells)
        self.grid.fill = self._fill
        self.timeline, self.transport = Timeline(), Transport()
        self.footage = Footage(site, self)
        self.player = Player(media, self._opener, now_us, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self.transport)
        layout.addWidget(self.timeline)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        self.grid.cameras_changed.connect(self._cameras_changed)
        self.grid.enlarged_changed.connect(self._enlarged)
        self.grid.menu_wanted.connect(lambda _place, at: self.menu_wanted.emit(at))
        self.timeline.sought.connect(self.go_to)
        self.timeline.range_changed.connect(self._range_changed)
        self.footage.changed.connect(lambda: self.timeline.show_rows(self.footage.rows()))
        self.player.moved.connect(self._moved)
        self.player.state_changed.connect(self._refresh)
        self.player.caught_up.connect(self.go_live)
        self.transport.live_wanted.connect(self.go_live)
        self.transport.play_wanted.connect(self.play)
        self.transport.pause_wanted.connect(self.player.pause)
        self.transport.step_wanted.connect(self.step)
        self.transport.speed_wanted.connect(self.set_speed)
        self.transport.moment_wanted.connect(self.go_to)
        self._alarms.changed.connect(self._alarms_changed)
        self._site.changed.connect(self._profile_changed)

    # --- What the operator does ---------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether the present is shown."""
        return not self.player.active

    def go_live(self) -> None:
        """Show the present."""
        if self.player.active:
            self.player.end()
            self.grid.refill()
        self.timeline.go_live()
        self.transport.show_moment(None)
        self._refresh()

    def go_to(self, moment_us: int, *, playing: bool | None = None) -> None:
        """Show a moment of the past in all cells; plays on unless it was paused."""
        if not self._site.may(Right.PLAYBACK):
            self.told.emit(NO_PLAYBACK)
            return
        moment_us = min(moment_us, now_us() - 1_000_000)
        if self.player.active:
            self.player.seek(moment_us)
            if playing is not None:
                (self.player.play if playing else self.player.pause)()
        else:
            self.player.begin([], moment_us, playing=playing is not False)
            self.grid.refill()
            self.player.show(self.grid.visible_cells())
        self._moved(moment_us)

    def play(self) -> None:
        """Run; from the present, play what has just been."""
        if self.live:
            self.go_to(now_us() - PAUSE_BACK_US)
        else:
            self.player.play()

    def toggle(self) -> None:
        """Play or pause; what is live is paused."""
        if self.live:
            self.go_to(now_us() - PAUSE_BACK_US, playing=False)
        else:
            (self.player.pause if self.player.clock.playing else self.player.play)()

    def step(self, direction: int) -> None:
        """One picture forward or back, all cells at once."""
        if self.live:
            self.go_to(now_us() - PAUSE_BACK_US, playing=False)
        else:
            self.player.step(direction, self.grid.chosen_cell)

    def set_speed(self, speed: float) -> None:
        """Another speed; negative is backwards. From the present, backwards means to leave it."""
        if self.live:
            if speed > 0:
                self._refresh()
                return
            self.go_to(now_us() - PAUSE_BACK_US)
        if not self.live:
            self.player.set_speed(speed)

    def jump(self, seconds: float) -> None:
        """So much later, or earlier."""
        at = now_us() if self.live else self.player.clock.position_us
        self.go_to(at + round(seconds * 1_000_000))

    # --- Layouts ------------------------------------------------------------------------------------------------------

    def arrangement(self) -> Tab:
        """What a layout keeps."""
        return Tab(
            name=self.name or "Tab",
            cells=len(self.grid.cells),
            cameras=self.grid.cameras,
            stream="sub" if self.small else "main",
        )

    def arrange(self, tab: Tab) -> None:
        """As a layout has kept it."""
        self.name, self.small = tab.name, tab.stream == "sub"
        self.grid.set_cells(tab.cells)
        self.grid.set_cameras(tab.cameras)

    def use_small(self, small: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Always the small streams, or what suits the cell's size."""
        if small != self.small:
            self.small = small
            if self.live:
                self.grid.refill()
            self.changed.emit()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _opener(self, camera_id: str) -> Opener:
        return self._pictures.opener(camera_id, "playback")

    def _fill(self, cell: CameraCell, camera_id: str) -> None:
        if self.player.active:
            cell.show_recorded(camera_id, self._site.name_of(camera_id))
        else:
            stream: StreamName | None = "sub" if self.small else None
            self._pictures.show_live(cell, camera_id, stream)

    def _cameras_changed(self) -> None:
        if self.player.active:
            self.player.show(self.grid.visible_cells())
        self._range_changed()
        self._alarms_changed()
        self.changed.emit()

    def _enlarged(self) -> None:
        if self.player.active:
            self.player.show(self.grid.visible_cells())

    def _range_changed(self) -> None:
        cameras = tuple(dict.fromkeys(id_ for id_ in self.grid.cameras if id_ is not None))
        self.footage.want(cameras, self.timeline.scale.start_us, self.timeline.scale.end_us)
        self.timeline.show_rows(self.footage.rows())

    def _alarms_changed(self) -> None:
        now, marks, frames = datetime.now(UTC), list[Mark](), dict[str, QColor]()
        shown = set(self.grid.cameras)
        for event in self._alarms.book.listed_for(shown):
            end = event.ended_at or now
            text = f"{event.alarm_name}, {event.occurred_at.astimezone():%H:%M:%S}"
            marks.append(
                Mark(round(event.occurred_at.timestamp() * 1e6), round(end.timestamp() * 1e6), event.colour, text)
            )
        for event in self._alarms.book.active:
            frames.update(dict.fromkeys((event.source_id, *event.camera_ids), QColor(event.colour)))
        self.timeline.show_marks(marks)
        self.grid.frame_cameras(frames)

    def _profile_changed(self) -> None:
        if self._site.me is None:
            return
        if self.player.active and not self._site.may(Right.PLAYBACK):
            self.go_live()
            self.told.emit(NO_PLAYBACK)
        for cell in self.grid.cells:
            if cell.camera_id is None:
                continue
            seen = cell.camera_id in self._site.cameras
            title = self._site.name_of(cell.camera_id) if seen else ""
            runs = cell.recorded or cell.watched
            should = seen and (self.player.active or self._site.may(Right.LIVE))
            if not seen and self.player.active:
                self.player.show([other for other in self.grid.visible_cells() if other is not cell])
            if runs != should or cell.title != title:
                self._fill(cell, cell.camera_id) if seen else self._pictures.show_live(cell, cell.camera_id)
        self._range_changed()
        self._refresh()

    def _moved(self, moment_us: int) -> None:
        if self.player.active:
            self.timeline.show_position(moment_us)
            self.transport.show_moment(moment_us)

    def _refresh(self) -> None:
        clock = self.player.clock
        self.transport.show_state(
            live=self.live,
            playing=self.player.active and clock.playing,
            speed=clock.speed if self.player.active else 1.0,
            may_play=self._site.may(Right.PLAYBACK),
        )
        if self.live:
            self.transport.show_moment(None)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Only what is seen is played."""
        super().showEvent(event)
        self.footage.watch(True)
        if self.player.active:
            self.player.show(self.grid.visible_cells())

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Stand still until it is seen again."""
        super().hideEvent(event)
        self.footage.watch(False)
        if self.player.active:
            self.player.pause()
            self.player.show([])
