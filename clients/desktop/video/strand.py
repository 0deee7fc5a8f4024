"""The way of one stream from the network to the eye: its access units in order, on whatever thread is free.

When decoding falls behind, the undecoded rest of a group of pictures is left out as soon as the next key frame is
there; pictures that would be replaced before anybody saw them are decoded but not converted. Memory is bounded.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from threading import Lock

import av.error

from broker.process import logger
from clients.desktop.video.decoder import PictureDecoder
from clients.desktop.video.frame import Frame, Size
from servers.wire.media import AccessUnit

log = logger(__name__)

SLICE = 4
"""Access units decoded before another stream has its turn."""
BEHIND = 8
"""So many access units waiting before a key frame are not decoded any more."""
UNSEEN = 3
"""With so many waiting, a picture would be replaced before it is painted."""
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Beyond, all that waits is left out up to the next key frame."""
BROKEN_AFTER = 50
"""Access units in a row that give no picture before the operator is told."""


class Strand:
    """Decodes one stream on a pool of threads. `offer`, `restart` and `close` may be called from any thread.

    Args:
        pool: whose threads decode.
        deliver: takes each picture, on such a thread.
        trouble: takes a sentence when nothing can be decoded.
    """

    def __init__(
        self, pool: Executor, deliver: Callable[[Frame], None], trouble: Callable[[str], None] = lambda _: None
    ) -> None:
        self.size: Size = (640, 360)
        """At most so large shall pictures be; may be changed at any time."""
        self.left_out = 0
        """Access units that were not decoded."""
        self._pool = pool
        self._deliver = deliver
        self._trouble = trouble
        self._lock = Lock()
        self._waiting: deque[AccessUnit] = deque()
        self._bytes = 0
        self._needs_key = True
        self._running = False
        self._closed = False
        self._decoder: PictureDecoder | None = None
        self._failures = 0

    def offer(self, units: Iterable[AccessUnit]) -> None:
        """Take access units of the picture's track, in order."""
        with self._lock:
            for unit in units:
                if unit.key and (self._needs_key or len(self._waiting) >= BEHIND):
                    self._leave_out()
                    self._needs_key = False
                if self._needs_key:
                    self.left_out += 1
                    continue
                self._waiting.append(unit)
                self._bytes += len(unit.data)
                if self._bytes > MAX_WAITING_BYTES:
                    self._leave_out()
                    self._needs_key = True
            start = not self._running and bool(self._waiting) and not self._closed
            self._running = self._running or start
        if start:
            self._pool.submit(self._work)

    def restart(self) -> None:
        """A new connection begins: what waits belongs to the old one."""
        with self._lock:
            self._leave_out()
            self._needs_key = True

    def close(self) -> None:
        """Deliver nothing more, except a picture that is on its way already."""
        with self._lock:
            self._closed = True
            self._leave_out()

    def _leave_out(self) -> None:
        self.left_out += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0

    def _work(self) -> None:
        for _ in range(SLICE):
            with self._lock:
                if self._closed or not self._waiting:
                    self._running = False
                    return
                unit = self._waiting.popleft()
                self._bytes -= len(unit.data)
                seen = len(self._waiting) < UNSEEN
            self._decode(unit, self.size if seen else None)
        try:
            self._pool.submit(self._work)
        except RuntimeError:  # the application ends
            with self._lock:
                self._running = False

    def _decode(self, unit: AccessUnit, size: Size | None) -> None:
        self._decoder = self._decoder or PictureDecoder()
        try:
            frames = self._decoder.decode(unit, size)
        except (av.error.FFmpegError, ValueError) as error:
            self._failures += 1
            if self._failures == BROKEN_AFTER:
                log.warning("pictures cannot be decoded", reason=str(error))
                self._trouble("The pictures of this camera cannot be decoded.")
            return
        if size is not None and frames:
            self._failures = 0
        for frame in frames:
            self._deliver(frame)
