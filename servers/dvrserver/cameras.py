"""The cameras of this node, kept in step with the configuration: what did not change goes on undisturbed."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from broker.model.health import HealthEvent
from broker.model.messages import (
    CameraCondition,
    CameraConfigured,
    CameraRemoved,
    CameraState,
    ConfigurationChange,
    SecretRemoved,
    SecretSealed,
)
from broker.model.resources import Camera, MotionDetection
from broker.process import logger
from broker.replica import Replica
from broker.trust.identity import Identity
from servers.dvrserver.capture import Capture
from servers.dvrserver.condition import Trouble, together
from servers.dvrserver.configuration import MissingSecretError, password_of
from servers.dvrserver.motion import MotionPool
from servers.dvrserver.reports import Reports
from servers.dvrserver.sources import Source, Stream, motion_stream, sources_of
from servers.dvrserver.triggers import Triggers
from servers.wire.media import Format, H264Format

log = logger(__name__)

RELEVANT = (CameraConfigured, CameraRemoved, SecretSealed, SecretRemoved)
"""Changes after which the captures are looked at."""


@dataclass(slots=True)
class Kept:
    """A camera of this node, and what is done about it."""

    camera: Camera
    captures: dict[Stream, Capture] = field(default_factory=dict)
    trouble: Trouble | None = None
    """Why it cannot even be dialled."""
    watched: MotionDetection | None = None
    """How motion is looked for now; none: not at all."""
    blind: str = ""
    """Why motion cannot be looked for, in a sentence."""
    missed: set[Stream] = field(default_factory=set)
    """Streams whose loss or refusal was reported and whose return was not."""


class Cameras:
    """Starts, changes and stops captures; knows the state of every camera of this node."""

    def __init__(
        self,
        *,
        replica: Replica,
        identity: Identity,
        make_capture: "Callable[[Source, Cameras], Capture]",
        motion: MotionPool,
        triggers: Triggers,
        reports: Reports,
    ) -> None:
        self._replica = replica
        self._identity = identity
        self._make_capture = make_capture
        self._motion = motion
        self._triggers = triggers
        self._reports = reports
        self._kept: dict[str, Kept] = {}
        self._ending: dict[tuple[str, Stream], asyncio.Task[None]] = {}
        self._closed = False

    # --- what others ask ------------------------------------------------------------------------------------------

    def configured(self) -> Mapping[str, Camera]:
        """This node's cameras by id."""
        return {camera_id: kept.camera for camera_id, kept in self._kept.items()}

    def credentials(self, camera_id: str) -> tuple[Camera, str] | None:
        """A camera of this node and its password; none where there is neither."""
        kept = self._kept.get(camera_id)
        if kept is None:
            return None
        try:
            return kept.camera, password_of(kept.camera, self._replica, self._identity)
        except MissingSecretError:
            return None

    def motion(self, camera_id: str) -> tuple[Camera, bool, tuple[int, ...]] | None:
        """A camera of this node, whether it is in motion, and the cells that moved when it was last looked at."""
        kept = self._kept.get(camera_id)
        return None if kept is None else (kept.camera, *self._motion.seen(camera_id))

    def captures(self) -> Iterator[Capture]:
        """All connections."""
        for kept in self._kept.values():
            yield from kept.captures.values()

    def find(self, camera_id: str, stream: Stream) -> Capture | None:
        """The capture behind a stream's address; a camera without small stream gives its main one."""
        kept = self._kept.get(camera_id)
        if kept is None:
            return None
        return kept.captures.get(stream) or kept.captures.get("main")

    def recorded(self, camera_id: str, stream: Stream) -> bool:
        """Whether a stream is being recorded now, or will be when its camera is back."""
        kept = self._kept.get(camera_id)
        capture = kept.captures.get(stream) if kept else None
        return capture is not None and capture.source.record

    def states(self) -> tuple[CameraState, ...]:
        """Every camera of this node, as it is now."""
        return tuple(self._state(kept) for _, kept in sorted(self._kept.items()))

    @staticmethod
    def _state(kept: Kept) -> CameraState:
        camera_id = kept.camera.id
        main, sub = kept.captures.get("main"), kept.captures.get("sub")
        if kept.trouble is not None:
            return CameraState(camera_id=camera_id, condition=kept.trouble.condition, problem=kept.trouble.problem)
        if main is None:
            return CameraState(camera_id=camera_id, condition=CameraCondition.DISABLED)
        state = together(main.state, sub.state if sub else None)
        problem = main.recording_problem or state.problem or kept.blind
        return CameraState(camera_id=camera_id, condition=state.condition, problem=problem, recording=main.recording)

    # --- following the configuration ------------------------------------------------------------------------------

    def configuration_changed(self, change: ConfigurationChange | None) -> None:
        """The replica has changed; none: anything may have."""
        if not self._closed and (change is None or isinstance(change, RELEVANT)):
            self.reconcile()

    def reconcile(self) -> None:
        """Make the captures what the configuration says."""
        mine = {id_: camera for id_, camera in self._replica.cameras.items() if camera.node_id == self._identity.id}
        for camera_id in self._kept.keys() - mine.keys():
            self._drop(self._kept.pop(camera_id))
            log.info("camera is not captured here any more", camera_id=camera_id)
        for camera_id, camera in mine.items():
            kept = self._kept.get(camera_id)
            if kept is None:
                kept = self._kept[camera_id] = Kept(camera)
                log.info("camera is captured here", camera_id=camera_id)
            self._apply(kept, camera)
        self._reports.changed()

    def _apply(self, kept: Kept, camera: Camera) -> None:
        kept.camera, kept.trouble = camera, None
        wanted: dict[Stream, Source] = {}
        try:
            if camera.enabled:
                password = password_of(camera, self._replica, self._identity)
                wanted = {source.stream: source for source in sources_of(camera, password)}
        except MissingSecretError as error:
            kept.trouble = Trouble(CameraCondition.REFUSED, str(error))
        for stream, capture in list(kept.captures.items()):
            if wanted.get(stream) != capture.source:
                self._stop(kept, stream)
        watch = camera.motion if wanted and camera.motion.enabled else None
        watched_stream = motion_stream(camera)
        for stream, source in wanted.items():
            capture = kept.captures.get(stream) or self._make_capture(source, self)
            capture.motion = "none"
            if watch is not None and stream == watched_stream:
                capture.motion = "all" if stream == "sub" else "key frames"
            if stream not in kept.captures:
                kept.captures[stream] = capture
                capture.start(after=self._ending.get((camera.id, stream)))
        self._watch(kept, watch)

    def _watch(self, kept: Kept, watch: MotionDetection | None) -> None:
        if watch == kept.watched:
            return
        kept.watched = watch
        self._watch_anew(kept)

    def _watch_anew(self, kept: Kept) -> None:
        """Whatever moved until now is over; look again from the beginning, if at all."""
        kept.blind = ""
        self._triggers.end(kept.camera.id)
        if kept.watched is not None:
            self._motion.watch(kept.camera.id, kept.watched)
        else:
            self._motion.forget(kept.camera.id)

    def _stop(self, kept: Kept, stream: Stream) -> None:
        task = kept.captures.pop(stream).stop()
        if task is not None:
            key = (kept.camera.id, stream)
            self._ending[key] = task
            task.add_done_callback(lambda done: self._ending.pop(key, None) if self._ending.get(key) is done else None)

    def _drop(self, kept: Kept) -> None:
        for stream in list(kept.captures):
            self._stop(kept, stream)
        self._watch(kept, None)

    async def close(self) -> None:
        """Stop all captures and wait for their last fragments."""
        self._closed = True
        for kept in self._kept.values():
            self._drop(kept)
        if self._ending:
            await asyncio.wait(self._ending.values())
        self._kept.clear()

    # --- what captures tell ---------------------------------------------------------------------------------------

    def capture_changed(self, capture: Capture, before: Trouble) -> None:
        """Tell of a signal that was lost, restored or refused, once each time."""
        now, source = capture.state, capture.source
        kept = self._kept.get(source.camera_id)
        if kept is not None and now.condition is not before.condition:
            event = _event(now.condition, missed=source.stream in kept.missed)
            if event is HealthEvent.CAMERA_SIGNAL_RESTORED:
                kept.missed.discard(source.stream)
            elif event is not None:
                kept.missed.add(source.stream)
            if event is not None:
                detail = f"{source.stream} stream: {now.problem}" if now.problem else f"{source.stream} stream"
                self._reports.health(event, source.camera_id, detail)
        self._reports.changed()

    def recording_changed(self, camera_id: str, stream: Stream, problem: str) -> None:
        """Footage cannot be written, or with no problem, can again."""
        kept = self._kept.get(camera_id)
        capture = kept.captures.get(stream) if kept else None
        if capture is not None and capture.recording_problem != problem:
            event = HealthEvent.RECORDING_FAILED if problem else HealthEvent.RECORDING_RESTORED
            capture.recording_problem = problem
            self._reports.health(event, camera_id, problem)

    def stays_away(self, capture: Capture) -> None:
        """The watched stream stays away: what moved in it is over, and the detector begins anew when it is back."""
        kept = self._kept.get(capture.source.camera_id)
        if kept is not None and kept.watched is not None and capture.motion != "none":
            self._watch_anew(kept)

    def motion_problem(self, camera_id: str, problem: str) -> None:
        """The detector has given a camera up, until its configuration changes or it was away."""
        kept = self._kept.get(camera_id)
        if kept is not None:
            kept.blind = problem
            self._reports.health(HealthEvent.DECODER_CRASHED, camera_id, problem)

    def format_changed(self, capture: Capture, before: tuple[Format, ...]) -> None:
        """The camera sends another picture size or profile than before."""
        detail = f"{capture.source.stream} stream: {_sizes(before)} became {_sizes(capture.formats)}"
        self._reports.health(HealthEvent.CAMERA_FORMAT_CHANGED, capture.source.camera_id, detail)


def _event(now: CameraCondition, *, missed: bool) -> HealthEvent | None:
    match now:
        case CameraCondition.RUNNING:
            return HealthEvent.CAMERA_SIGNAL_RESTORED if missed else None
        case CameraCondition.REFUSED:
            return HealthEvent.CAMERA_REFUSED
        case CameraCondition.NO_SIGNAL:
            return HealthEvent.CAMERA_SIGNAL_LOST
    return None


def _sizes(formats: tuple[Format, ...]) -> str:
    names = [f"{f.width}x{f.height}" if isinstance(f, H264Format) else f.codec for f in formats]
    return ", ".join(names) or "nothing"
