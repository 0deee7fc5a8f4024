"""One camera's recorded pictures: read from 5011 as fast as they are wanted, decoded ahead of the player's clock.

The server sends without a pace of its own (`Rate-Control: no`), and nothing is read while enough waits, so memory is
bounded at both ends: encoded in `_Intake`, decoded by `room`. Forwards pictures come as recorded; backwards the server
sends one group of pictures after the other, each in the order of decoding, and they are turned round here.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock

import av.error

from broker.process import logger
from clients.desktop.video.decoder import PictureDecoder, moment_us
from clients.desktop.video.frame import Frame, Size
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener, sentence_of
from clients.sdk.errors import SdkError
from clients.spotter.line import Line
from clients.spotter.shelf import Shelf
from servers.wire.media import AccessUnit
from servers.wire.rtsp.errors import RtspClientError, RtspRefusedError

log = logger(__name__)

AHEAD = 12
"""Pictures decoded before their time."""
AHEAD_BYTES = 24 * 1024 * 1024
"""And at most so many bytes of them, but always a few pictures."""
FEWEST = 4
TURNED_BYTES = 64 * 1024 * 1024
"""Of a group of pictures that is turned round; beyond, every second picture is left out, or more."""
ENOUGH_BYTES, LITTLE_BYTES = 2 * 1024 * 1024, 1024 * 1024
"""Encoded: with so much waiting nothing is read, until so little is left."""
ENOUGH_UNITS = 400
SLICE = 4
KNOWN_TIMES = 512
"""Moments of pictures that are remembered, for steps back."""
AGAIN_S = 1.0
"""At the end of the recording it is looked for more after this, where more may come."""
LATER_S = 8.0
"""And after this where the end lies longer ago, or the stream is broken."""
FRESH_US = 60 * 1_000_000
NO_FOOTAGE = 457
"""The server's word for a range in which nothing is recorded (RFC 2326, 11.3.8)."""


class Reel:
    """Fills a shelf. Methods belong to the GUI thread; `position_us` tells decoding threads where the clock is."""

    def __init__(self, media: Media, opener: Opener, now_us: Callable[[], int]) -> None:
        self.size: Size = (640, 360)
        self.position_us = 0
        self.shelf = Shelf()
        self.sentence = ""
        """What is wrong, for the operator."""
        self.line = Line()
        self._media = media
        self._opener = opener
        self._now_us = now_us
        self._run: _Run | None = None
        self._task: Future[None] | None = None

    def start(self, position_us: int, *, backwards: bool = False, key_frames: bool = False) -> None:
        """Show from this moment on, every picture or key frames alone."""
        self._leave()
        self.position_us = position_us
        self.sentence = ""
        self.shelf = Shelf(backwards=backwards)
        self._run = _Run(self, self._media, position_us, backwards=backwards, key_frames=key_frames)
        self._task = self._media.run(self._run.play(self._opener, self._now_us))

    def stop(self) -> None:
        """Read and decode nothing more."""
        self._leave()
        self._media.run(self.line.close())

    def _leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._run is not None:
            self._run.close()
        self._run = self._task = None

    def collect(self, position_us: int) -> None:
        """Put on the shelf what was decoded since, and have more decoded."""
        self.position_us = position_us
        if self._run is None:
            return
        for frame in self._run.take():
            self.shelf.put(frame)
        self.shelf.ended = self._run.ended
        self.sentence = self._run.sentence
        self._run.pump(len(self.shelf))

    def previous_before(self, moment: int) -> int | None:
        """The moment of the last picture before this one, as far as it is remembered."""
        return self._run.previous_before(moment) if self._run else None


class _Run:
    """One direction from one moment. `received` is called on the receiving thread, `_work` on decoding threads."""

    def __init__(self, reel: Reel, media: Media, position_us: int, *, backwards: bool, key_frames: bool) -> None:
        self.ended = False
        self.sentence = ""
        self._reel = reel
        self._media = media
        self._from_us = position_us
        self._backwards, self._key_frames = backwards, key_frames
        self._lock = Lock()
        self._waiting: deque[AccessUnit] = deque()
        self._bytes = 0
        self._done: deque[Frame] = deque()
        self._shelved = 0
        self._frame_bytes = 0
        self._running = self._closed = False
        self._decoder: PictureDecoder | None = None
        self._group: list[Frame] = []
        self._times: deque[int] = deque(maxlen=KNOWN_TIMES)
        self._last_us: int | None = None
        self._line = reel.line
        self._read_all = False

    # --- Receiving ----------------------------------------------------------------------------------------------------

    async def play(self, opener: Opener, now_us: Callable[[], int]) -> None:
        """Read for ever; at the end of the recording look for more."""
        while True:
            try:
                await self._read(opener)
                self._read_all = True
                self._start()
                await self._drained()
                self.sentence, self.ended = "", True
            except RtspRefusedError as error:
                self.ended = True
                self.sentence = "" if error.status == NO_FOOTAGE else sentence_of(error)
            except (SdkError, RtspClientError) as error:
                log.info("recorded stream ended", reason=str(error))
                self.sentence, self.ended = sentence_of(error), True
            except Exception as error:
                log.exception("recorded stream failed")
                self.sentence, self.ended = sentence_of(error), True
            fresh = self._last_us is not None and now_us() - self._last_us < FRESH_US
            await asyncio.sleep(AGAIN_S if fresh and not self.sentence else LATER_S)
            self._read_all = False

    async def _read(self, opener: Opener) -> None:
        """Read to the end of the recording."""
        start_us = self._from_us if self._last_us is None else self._last_us + (-1 if self._backwards else 1)
        await self._line.play(self, opener, start_us, backwards=self._backwards, key_frames=self._key_frames)
        self.sentence = ""
        await self._line.end()

    def received(self, units: list[AccessUnit]) -> None:
        """Pictures of the recording, in the order of decoding."""
        with self._lock:
            for unit in units:
                moment = moment_us(unit)
                if self._is_known(moment):
                    continue
                self._waiting.append(unit)
                self._bytes += len(unit.data)
                self._times.append(moment)
                self._last_us = moment if not self._backwards or self._last_us is None else min(self._last_us, moment)
            full = self._bytes > ENOUGH_BYTES or len(self._waiting) > ENOUGH_UNITS
        if full:
            self._line.hold()
        self._start()

    def _is_known(self, moment: int) -> bool:
        """Whether a picture came before, in a session that broke: forwards those up to the last one did."""
        return not self._backwards and self._last_us is not None and moment <= self._last_us

    async def _drained(self) -> None:
        while True:
            with self._lock:
                if not self._waiting and not self._running and not self._done:
                    return
            await asyncio.sleep(0.05)

    # --- Between the threads ------------------------------------------------------------------------------------------

    def take(self) -> list[Frame]:
        """Pictures decoded since the last call."""
        with self._lock:
            taken, self._done = list(self._done), deque()
            if taken:
                self.ended, self.sentence = False, ""
        return taken

    def pump(self, shelved: int) -> None:
        """So many pictures are on the shelf: decode more if there is room."""
        with self._lock:
            self._shelved = shelved
        self._start()

    def close(self) -> None:
        """Decode nothing more."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._done.clear()

    def previous_before(self, moment: int) -> int | None:
        """The moment of the last picture before this one."""
        with self._lock:
            return max((time for time in self._times if time < moment), default=None)

    @property
    def _room(self) -> int:
        most = AHEAD if not self._frame_bytes else min(AHEAD, max(AHEAD_BYTES // self._frame_bytes, FEWEST))
        return most - self._shelved - len(self._done)

    def _start(self) -> None:
        with self._lock:
            wanted = not self._running and not self._closed and self._room > 0
            wanted = wanted and (bool(self._waiting) or (self._read_all and bool(self._group)))
            self._running = self._running or wanted
        if wanted:
            try:
                self._media.pool.submit(self._work)
            except RuntimeError:  # the application ends
                self._running = False

    # --- Decoding -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        for _ in range(SLICE):
            with self._lock:
                if self._closed or self._room <= 0 or not self._waiting:
                    break
                self._catch_up()
                unit = self._waiting.popleft()
                self._bytes -= len(unit.data)
                following = self._waiting[0] if self._waiting else None
                little = self._bytes < LITTLE_BYTES and len(self._waiting) < ENOUGH_UNITS // 2
            if little:
                self._media.call(self._line.go_on)
            self._decode(unit, following)
        if self._backwards and self._read_all and not self._waiting:
            self._turn()
        with self._lock:
            self._running = False
        self._start()

    def _catch_up(self) -> None:
        """Leave out undecoded groups of pictures that lie wholly behind the clock."""
        if self._backwards:
            return
        position = self._reel.position_us
        for index in range(len(self._waiting) - 1, 0, -1):
            if self._waiting[index].key and moment_us(self._waiting[index]) <= position:
                for _ in range(index):
                    self._bytes -= len(self._waiting.popleft().data)
                return

    def _decode(self, unit: AccessUnit, following: AccessUnit | None) -> None:
        self._decoder = self._decoder or PictureDecoder()
        if self._backwards and unit.key:
            self._turn()
        frames: list[Frame] = []
        with suppress(av.error.FFmpegError, ValueError):
            frames = self._decoder.decode(unit, self._reel.size if self._seen(unit, following) else None)
        if not frames:
            return
        self._frame_bytes = frames[0].image.sizeInBytes()
        if self._backwards:
            self._group += frames
            self._thin()
            return
        with self._lock:
            if not self._closed:
                self._done += frames

    def _seen(self, unit: AccessUnit, following: AccessUnit | None) -> bool:
        """Whether a picture will be shown: not when the one after it is due already."""
        if self._backwards:
            return moment_us(unit) <= self._from_us
        return following is None or moment_us(following) > self._reel.position_us

    def _thin(self) -> None:
        most = max(TURNED_BYTES // max(self._frame_bytes, 1), AHEAD)
        if len(self._group) > most:
            self._group = self._group[::2]

    def _turn(self) -> None:
        group, self._group = self._group, []
        with self._lock:
            if not self._closed:
                self._done += reversed(group)
