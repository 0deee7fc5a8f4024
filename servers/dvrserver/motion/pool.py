"""Decoder processes and the cameras that are shared out among them.

A batch of access units is sent when a picture is due to be looked at, and acknowledged by the decoder. When a process
dies, all that was not acknowledged is replayed to the next one, from the key frame before it, so no trigger is lost.
Batches are done in order, so the first open one tells whose picture it was: on its second crash such a camera gets a
process of its own, on its next it is given up with a sentence that says so.
"""

import asyncio
import itertools
import json
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from broker.model.resources import MotionDetection
from broker.process import logger
from servers.dvrserver.motion.kept import Batch, Kept
from servers.dvrserver.motion.link import Kind, Message, message, pack_batch, unpack_state
from servers.dvrserver.motion.shard import COMMAND, Process
from servers.wire.media import AccessUnit, H264Format

log = logger(__name__)

CAMERAS_PER_PROCESS = 16
"""A second process begins with the seventeenth camera."""
PERIOD_US = 200_000
"""Between two pictures that are looked at."""
EARLY_US = 10_000
"""A picture that comes this much before it is due is taken: cameras are not exact."""
RESTART_S = (0.05, 0.5, 1.0, 2.0, 5.0, 30.0)
"""Waits before a process that ended is started again; it begins at the front once one became ready."""
HANG_S = 10.0
"""A batch that takes longer hangs the decoder, which is then ended."""
CRASH_MEMORY_S = 600.0
ISOLATE_AT, GIVE_UP_AT = 2, 3
PICTURE_S = 15.0

OnMotion = Callable[[str, bool, int, tuple[int, ...]], None]
OnProblem = Callable[[str, str], None]


class DecoderError(Exception):
    """A picture could not be made."""


@dataclass(eq=False, slots=True)
class _Camera:
    id: str
    number: int
    detection: MotionDetection
    shard: "_Shard"
    kept: Kept = field(default_factory=Kept)
    waiting: list[tuple[int, bool, bytes]] = field(default_factory=list)
    due_us: int = 0
    skipping: bool = True
    active: bool = False
    moved_us: int = 0
    cells: tuple[int, ...] = ()
    crashes: list[float] = field(default_factory=list)
    given_up: bool = False


class _Shard:
    """A place for a process: what survives when the process does not."""

    def __init__(self, *, isolated: bool = False) -> None:
        self.isolated = isolated
        self.process: Process | None = None
        self.starting: asyncio.Task[None] | None = None
        self.cameras: dict[int, _Camera] = {}
        self.open: deque[tuple[int, int]] = deque()
        """Camera number and sequence of each open batch, oldest first."""
        self.overdue = (0, 0)
        """The oldest open batch when last looked at."""
        self.overdue_since = 0.0
        self.failures = 0
        self.requests: dict[int, tuple[asyncio.Future[bytes], bytes]] = {}


def _ignore(camera_id: str, problem: str) -> None:
    del camera_id, problem


class MotionPool:
    """Looks for motion in the cameras' streams. All methods belong to the loop that called `start`.

    `on_motion(camera_id, active, at_us, cells)` tells of each beginning and end. `on_problem(camera_id, sentence)`
    tells of a camera whose video cannot be looked at; `watch` gives it another try.
    """

    def __init__(
        self,
        on_motion: OnMotion,
        *,
        processes: int = 0,
        on_problem: OnProblem = _ignore,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.dropped = 0
        """Access units skipped because a decoder fell behind."""
        self.restarts = 0
        """Decoder processes that ended by themselves."""
        self._on_motion = on_motion
        self._on_problem = on_problem
        self._processes = processes or os.cpu_count() or 1
        self._command = command
        self._cameras: dict[str, _Camera] = {}
        self._shards: list[_Shard] = []
        self._numbers = itertools.count(1)
        self._closing: set[asyncio.Task[object]] = set()
        self._guard: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Make ready; processes begin with the first camera or snapshot."""
        self._guard = asyncio.create_task(self._watch_for_hangs(), name="motion-guard")

    async def close(self) -> None:
        """End all processes. Safe to call twice."""
        self._closed = True
        if self._guard is not None:
            self._guard.cancel()
        for shard in list(self._shards):
            self._end(shard)
        while self._closing:
            await asyncio.wait(self._closing)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run now."""
        return tuple(shard.process.pid for shard in self._shards if shard.process is not None)

    # --- cameras --------------------------------------------------------------------------------------------------

    def watch(self, camera_id: str, detection: MotionDetection) -> None:
        """Look at a camera, or look at it in another way. A camera that was given up gets another try."""
        self.forget(camera_id)
        camera = _Camera(camera_id, next(self._numbers), detection, self._place())
        self._cameras[camera_id] = camera
        self._move(camera, camera.shard)

    def forget(self, camera_id: str) -> None:
        """Do not look at a camera any more; nothing more is told of it."""
        camera = self._cameras.pop(camera_id, None)
        if camera is not None and not camera.given_up:
            self._leave(camera)

    def seen(self, camera_id: str) -> tuple[bool, tuple[int, ...]]:
        """Whether a camera is in motion, and the cells that moved when it was last looked at."""
        camera = self._cameras.get(camera_id)
        return (camera.active, camera.cells) if camera is not None and not camera.given_up else (False, ())

    def feed(self, camera_id: str, units: Sequence[AccessUnit], times_us: Sequence[int] | None = None) -> None:
        """Take pictures with the times that the capture clock gave them; none: their arrival. Never blocks.

        Video only. Of a stream of key frames alone each is looked at.
        """
        camera = self._cameras.get(camera_id)
        if camera is None or camera.given_up:
            return
        for number, unit in enumerate(units):
            time_us = unit.received_us if times_us is None else times_us[number]
            if unit.key:
                if camera.waiting:
                    self._send(camera, look=False)
                camera.skipping = camera.kept.full
            if camera.skipping:
                self.dropped += 1
                continue
            camera.waiting.append((time_us, unit.key, unit.data))
            if time_us >= camera.due_us or camera.due_us - time_us > 2 * PERIOD_US:
                camera.due_us = time_us + PERIOD_US - EARLY_US
                self._send(camera, look=True)

    def _send(self, camera: _Camera, *, look: bool) -> None:
        kept, shard = camera.kept, camera.shard
        if kept.full:
            # Decoding cannot go on after a hole; it begins anew with the next key frame.
            self.dropped += len(camera.waiting)
            camera.waiting.clear()
            camera.skipping = True
            return
        sequence = kept.sequence + 1
        data = message(Kind.BATCH, camera.number, sequence, pack_batch(camera.waiting, look=look))
        kept.add(Batch(sequence, camera.waiting[0][1], data))
        camera.waiting = []
        if shard.process is not None:
            self._hand_over(shard, camera, sequence, data)

    @staticmethod
    def _hand_over(shard: _Shard, camera: _Camera, sequence: int, data: bytes) -> None:
        assert shard.process is not None
        shard.open.append((camera.number, sequence))
        shard.process.send(data)

    # --- pictures -------------------------------------------------------------------------------------------------

    async def picture(self, format_: H264Format, unit: AccessUnit, *, width: int = 0) -> bytes:
        """A key frame as JPEG, `width` pixels wide (0: as it is); tried again once when the process dies of it.

        Raises:
            DecoderError: It cannot be decoded.
        """
        data = unit.data
        if data[4:5] and data[4] & 31 not in (7, 9):
            data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in (format_.sps, format_.pps)) + data
        number = next(self._numbers)
        request = message(Kind.PICTURE, width, number, [data])
        for _ in range(2):
            shard = self._place()
            self._run(shard)
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            shard.requests[number] = (answer, request)
            if shard.process is not None:
                shard.process.send(request)
            try:
                async with asyncio.timeout(PICTURE_S):
                    return await answer
            except ConnectionError:
                continue
            except TimeoutError:
                raise DecoderError("the picture took too long") from None
            finally:
                shard.requests.pop(number, None)
        raise DecoderError("the decoder died of this picture")

    # --- places ---------------------------------------------------------------------------------------------------

    def _place(self) -> _Shard:
        """The shard for one more camera: the first with room, then a new one per core, then the emptiest."""
        shared = [shard for shard in self._shards if not shard.isolated]
        for shard in shared:
            if len(shard.cameras) < CAMERAS_PER_PROCESS:
                return shard
        if len(shared) < self._processes:
            shard = _Shard()
            self._shards.append(shard)
            return shard
        return min(shared, key=lambda shard: len(shard.cameras))

    def _move(self, camera: _Camera, shard: _Shard) -> None:
        camera.shard = shard
        shard.cameras[camera.number] = camera
        if shard.process is not None:
            self._tell(shard, camera)
        else:
            self._run(shard)

    def _leave(self, camera: _Camera) -> None:
        shard = camera.shard
        shard.cameras.pop(camera.number, None)
        if shard.process is not None:
            shard.process.send(message(Kind.FORGET, camera.number))
        if shard.isolated:
            self._end(shard)

    def _run(self, shard: _Shard, wait_s: float = 0.0) -> None:
        if shard.process is None and shard.starting is None and not self._closed:
            shard.starting = asyncio.create_task(self._start(shard, wait_s), name="motion-start")

    async def _start(self, shard: _Shard, wait_s: float) -> None:
        while True:
            await asyncio.sleep(wait_s)
            process = Process(lambda received: self._received(shard, received), lambda ended: self._ended(shard, ended))
            try:
                await process.start(self._command)
                break
            except OSError as error:
                log.error("decoder process cannot be started", reason=str(error))  # noqa: TRY400 - the reason says it all
                wait_s = RESTART_S[min(shard.failures, len(RESTART_S) - 1)]
                shard.failures += 1
        shard.process, shard.starting = process, None
        log.info("decoder process started", pid=process.pid, cameras=len(shard.cameras), isolated=shard.isolated)
        for camera in list(shard.cameras.values()):
            self._tell(shard, camera)
        for _, request in shard.requests.values():
            process.send(request)

    def _tell(self, shard: _Shard, camera: _Camera) -> None:
        """Have a process look at a camera, and replay what it needs."""
        assert shard.process is not None
        detection = camera.detection
        told = {
            "active": camera.active,
            "moved_us": camera.moved_us,
            "settings": {
                "area_percent": detection.area_percent,
                "threshold_sigma": detection.threshold_sigma,
                "hold_s": detection.hold_s,
                "columns": detection.mask.columns,
                "rows": detection.mask.rows,
                "hidden": detection.mask.hidden,
            },
        }
        shard.process.send(message(Kind.WATCH, camera.number, 0, [json.dumps(told).encode()]))
        batches = camera.kept.replay()
        if not batches:
            camera.skipping, camera.waiting = True, []
        for batch in batches:
            self._hand_over(shard, camera, batch.sequence, batch.data)

    # --- what processes say ---------------------------------------------------------------------------------------

    def _received(self, shard: _Shard, received: Message) -> None:
        match received.kind:
            case Kind.READY:
                shard.failures = 0
            case Kind.ACK:
                while shard.open:
                    if shard.open.popleft() == (received.number, received.sequence):
                        break
                camera = shard.cameras.get(received.number)
                if camera is not None and camera.kept.acknowledge(received.sequence):
                    self._verdict(camera, received.payload)
            case Kind.JPEG | Kind.REFUSED:
                answer, _ = shard.requests.pop(received.sequence, (None, b""))
                if answer is not None and not answer.done():
                    if received.kind is Kind.JPEG:
                        answer.set_result(received.payload)
                    else:
                        answer.set_exception(DecoderError(received.payload.decode(errors="replace")))

    def _verdict(self, camera: _Camera, payload: bytes) -> None:
        try:
            state = unpack_state(payload)
        except struct.error as error:
            raise ValueError("an acknowledgement is damaged") from error
        camera.moved_us = max(camera.moved_us, state.moved_us)
        camera.cells = state.cells
        if state.active != camera.active:
            camera.active = state.active
            self._on_motion(camera.id, state.active, state.at_us, state.cells)

    def _ended(self, shard: _Shard, process: Process) -> None:
        """A process is gone: find out whose picture it was, and start the next one."""
        task = asyncio.create_task(process.close(), name="motion-reap")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        if shard.process is not process:
            return
        shard.process = None
        open_, shard.open = shard.open, deque()
        for answer, _ in shard.requests.values():
            if not answer.done():
                answer.set_exception(ConnectionError())
        if self._closed or shard not in self._shards:
            return
        self.restarts += 1
        if not process.ready:
            shard.failures += 1
        culprit = shard.cameras.get(open_[0][0]) if open_ and process.ready else None
        log.warning("decoder process ended", pid=process.pid, culprit=culprit.id if culprit else None)
        if culprit is not None:
            self._blame(culprit)
        if shard in self._shards and (shard.cameras or not shard.isolated):
            self._run(shard, RESTART_S[min(shard.failures, len(RESTART_S) - 1)])

    def _blame(self, camera: _Camera) -> None:
        now = time.monotonic()
        camera.crashes = [*(at for at in camera.crashes if now - at < CRASH_MEMORY_S), now]
        if len(camera.crashes) >= GIVE_UP_AT:
            problem = (
                f"Motion detection is off: the video of {camera.id} made the decoder crash {len(camera.crashes)} times."
            )
            log.error("camera is given up by motion detection", camera_id=camera.id, crashes=len(camera.crashes))
            camera.given_up = True
            camera.kept.drop()
            camera.waiting.clear()
            self._leave(camera)
            if camera.active:
                camera.active = False
                self._on_motion(camera.id, False, camera.moved_us, ())
            self._on_problem(camera.id, problem)
        elif len(camera.crashes) >= ISOLATE_AT and not camera.shard.isolated:
            log.warning("camera gets a decoder process of its own", camera_id=camera.id)
            self._leave(camera)
            shard = _Shard(isolated=True)
            self._shards.append(shard)
            self._move(camera, shard)

    def _end(self, shard: _Shard) -> None:
        self._shards.remove(shard)
        if shard.starting is not None:
            shard.starting.cancel()
            self._closing.add(shard.starting)
            shard.starting.add_done_callback(self._closing.discard)
        process, shard.process = shard.process, None
        for answer, _ in shard.requests.values():
            if not answer.done():
                answer.set_exception(ConnectionError())
        if process is not None:
            task = asyncio.create_task(process.close(), name="motion-end")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _watch_for_hangs(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for shard in self._shards:
                if shard.process is None or not shard.process.ready or not shard.open:
                    shard.overdue = (0, 0)
                elif shard.overdue != shard.open[0]:
                    shard.overdue, shard.overdue_since = shard.open[0], now
                elif now - shard.overdue_since > HANG_S:
                    log.error("decoder process hangs and is ended", pid=shard.process.pid)
                    shard.process.kill()
