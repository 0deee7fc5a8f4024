"""Recorded pictures of a whole tab on one clock: every cell shows the same instant."""

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from clients.desktop.video.frame import Frame
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener
from clients.spotter.camera_cell import CameraCell
from clients.spotter.clock import PlayerClock
from clients.spotter.reel import Reel
from clients.spotter.shelf import Outlook

TICK_MS = 15
PATIENCE_S = 2.0
"""So long all wait for a camera whose pictures do not come; then the others go on."""
JUDGE_S, TOO_SLOW = 1.5, 0.3
"""Whether a high speed is kept is judged every so often; more than this share of waiting is too much."""
PICTURE_US = 40_000
"""A step back where the moments of pictures are not known."""
PRESENT_US = 2_000_000
"""Nearer to the present nothing is recorded yet."""


class Player(QObject):
    """Plays cells from one clock. Belongs to the GUI thread."""

    moved = Signal(object)
    """The moment now shown, µs."""
    state_changed = Signal()
    caught_up = Signal()
    """The present is reached: there is nothing more to play."""

    def __init__(
        self,
        media: Media,
        opener_of: Callable[[str], Opener],
        now_us: Callable[[], int],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._media, self._opener_of, self._now_us = media, opener_of, now_us
        self.clock = PlayerClock(0, time.monotonic)
        self.active = False
        self._reels: dict[CameraCell, Reel] = {}
        self._waiting_since: dict[CameraCell, float] = {}
        self._stepping = False
        self._leader: CameraCell | None = None
        self._said_us = -1
        self._key_frames = False
        self._held_s = self._judged_at = self._ticked_at = 0.0
        self._timer = QTimer(self, interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)

    # --- What the operator does ---------------------------------------------------------------------------------------

    def begin(self, cells: list[CameraCell], position_us: int, *, playing: bool) -> None:
        """Show these cells' cameras from a moment on."""
        self.end()
        self.active = True
        self.clock = PlayerClock(position_us, time.monotonic)
        self.show(cells)
        if playing:
            self.clock.play()
        self._timer.start()
        self.state_changed.emit()

    def show(self, cells: list[CameraCell]) -> None:
        """Other cells are to be seen; what goes on playing is not touched."""
        for cell in [cell for cell in self._reels if cell not in cells]:
            self._reels.pop(cell).stop()
            self._waiting_since.pop(cell, None)
        for cell in cells:
            if cell not in self._reels and cell.camera_id is not None:
                reel = Reel(self._media, self._opener_of(cell.camera_id), self._now_us)
                reel.size = cell.wanted_size()
                self._reels[cell] = reel
                reel.start(self.clock.position_us, backwards=self.clock.speed < 0, key_frames=self._key_frames)

    def end(self) -> None:
        """Play nothing more."""
        self._timer.stop()
        for reel in self._reels.values():
            reel.stop()
        self._reels.clear()
        self._waiting_since.clear()
        self._stepping = False
        if self.active:
            self.active = False
            self.state_changed.emit()

    def seek(self, position_us: int) -> None:
        """Go to a moment; whether it plays stays as it is."""
        self.clock.seek(min(position_us, self._now_us() - PRESENT_US // 2))
        self._restart()

    def play(self) -> None:
        """Run."""
        self.clock.play()
        self.state_changed.emit()

    def pause(self) -> None:
        """Stand still."""
        self.clock.pause()
        self.state_changed.emit()

    def set_speed(self, speed: float) -> None:
        """Another speed; negative is backwards."""
        before, was_light = self.clock.speed, self._key_frames
        self.clock.set_speed(speed)
        self._key_frames = self._key_frames and abs(speed) >= abs(before)
        if (before < 0) != (speed < 0) or was_light != self._key_frames:
            self._restart()
        self.state_changed.emit()

    def step(self, direction: int, leader: CameraCell | None = None) -> None:
        """One picture of the leader forward (1) or back (-1), all others to the same instant; pauses."""
        self._leader = leader
        self.clock.pause()
        if self.clock.speed < 0 or self._key_frames:
            self.clock.set_speed(1.0)
            self._key_frames = False
            self._restart()
        if direction > 0:
            self._stepping = True
            self._step_forward()
        else:
            self._stepping = False
            self._step_back()
        self.state_changed.emit()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Show every cell what belongs to this moment."""
        position, now = self.clock.position_us, time.monotonic()
        hold = False
        for cell, reel in list(self._reels.items()):
            reel.size = cell.wanted_size()
            reel.collect(position)
            outlook, picture = reel.shelf.show(position)
            if outlook is Outlook.WAITING:
                since = self._waiting_since.setdefault(cell, now)
                hold = hold or now - since < PATIENCE_S
            else:
                self._waiting_since.pop(cell, None)
            frame = picture if isinstance(picture, Frame) else None
            cell.show_moment(frame, gap=outlook is Outlook.GAP, sentence=reel.sentence)
        self.clock.hold(hold and self.clock.playing)
        self._lighten(hold, now)
        if self._stepping:
            self._step_forward()
        if position != self._said_us:
            self._said_us = position
            self.moved.emit(position)
        ahead = self.clock.playing and self.clock.speed > 0
        if ahead and position >= self._now_us() - PRESENT_US:
            self.caught_up.emit()

    def _step_forward(self) -> None:
        position = self.clock.position_us
        reels = self._leading()
        coming = [moment for reel in reels if (moment := reel.shelf.next_after(position)) is not None]
        # The next picture of all is known once each camera has one coming, or none any more.
        if not coming or any(not len(reel.shelf) and not reel.shelf.ended for reel in reels):
            return
        self._stepping = False
        self.clock.seek(min(coming))
        self.tick()

    def _step_back(self) -> None:
        reels, position = self._leading(), self.clock.position_us
        shown = [picture.time_us for reel in reels if (picture := reel.shelf.current) is not None]
        at = min(max(shown, default=position), position)
        before = [moment for reel in reels if (moment := reel.previous_before(at)) is not None]
        self.clock.seek(max(before, default=at - PICTURE_US))
        self._restart()

    def _leading(self) -> list[Reel]:
        """The leader's reel; where it has nothing to show, any may lead."""
        leader = self._reels.get(self._leader) if self._leader is not None else None
        if leader is not None and (leader.shelf.current is not None or len(leader.shelf)):
            return [leader]
        return list(self._reels.values())

    def _lighten(self, hold: bool, now: float) -> None:  # noqa: FBT001 - one value, said by the name
        """Show key frames alone when this machine cannot keep up with a high speed."""
        if abs(self.clock.speed) <= 1 or not self.clock.playing or self._key_frames:
            self._held_s, self._judged_at, self._ticked_at = 0.0, now, now
            return
        self._held_s += (now - self._ticked_at) * hold
        self._ticked_at = now
        if now - self._judged_at > JUDGE_S:
            if self._held_s > TOO_SLOW * (now - self._judged_at):
                self._key_frames = True
                self._restart()
            self._held_s, self._judged_at = 0.0, now

    def _restart(self) -> None:
        self._waiting_since.clear()
        for cell, reel in self._reels.items():
            reel.size = cell.wanted_size()
            reel.start(self.clock.position_us, backwards=self.clock.speed < 0, key_frames=self._key_frames)
