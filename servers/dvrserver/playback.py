"""Recorded video for one viewer: sought, read ahead on threads, and sent in its time.

The order, the pace and the time stamps are decided in `servers.wire.replay`; here are the disk, the clock and the
viewer who may be slow. A viewer costs two pieces of footage in memory, about a second each.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from broker.process import logger
from servers.dvrserver.archive import Archive, Cursor, Taken
from servers.dvrserver.instants import instant, micros
from servers.net.errors import InvalidRangeError, NotFoundError, UnavailableError
from servers.net.live import PlayOptions, Viewer, shape
from servers.wire.media import Format
from servers.wire.mp4 import Mp4Error
from servers.wire.replay import MAX_SCALE, Due, Piece, Recorded, Replay, Wanted, needs_key_frames
from servers.wire.rtp.replay_sender import ReplaySender
from servers.wire.rtsp.headers import Range, Replaying, RTPInfo

log = logger(__name__)

NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
CLOCK_YEAR = 1970
"""Nothing was recorded before."""
MIN_SCALE = 1 / 16
"""Slow motion ends here."""
MAX_BACKLOG = 1 << 20
"""Bytes that may wait for one viewer; then nothing is sent until it has taken most of them."""
LATE_S = 1.0
"""Who is further behind is not chased: the clock of this viewer is put back."""
FOLLOW_S = 0.1
"""How often the newest footage is looked at, when a viewer has caught up with the recorder."""
ENDED_S = 3.0
"""Where nothing is recorded any more, footage ends so long after the last of it."""
DAMAGED = 20
"""Fragments that cannot be read, one behind another, before the viewer is told."""


class Flow(Viewer, Protocol):
    """A viewer who can be waited for."""

    async def room(self) -> None:
        """Wait until most of what was sent has been taken."""

    def played_out(self) -> None:
        """The range is over; another PLAY may follow."""


class StreamFootage:
    """The footage of one stream, as sessions see it."""

    def __init__(self, archive: Archive, camera_id: str, stream: str, growing: Callable[[], bool]) -> None:
        """`growing`: whether the stream is being recorded now."""
        self.archive = archive
        self.camera_id = camera_id
        self.stream = stream
        self.growing = growing

    def settle(self) -> None:
        """A small stream that is not recorded is replaced by the full one."""
        if self.stream != "main" and self.archive.extent(self.camera_id, self.stream) is None:
            self.stream = "main"

    def extent(self) -> tuple[int, int]:
        """Where footage begins and ends; raises `NotFoundError` when there is none."""
        found = self.archive.extent(self.camera_id, self.stream)
        if found is None:
            raise NotFoundError(f"there is no footage of {self.camera_id}")
        return found

    def cursor(self, time_us: int, *, back: bool) -> Cursor:
        """A place at which playing from a moment begins; raises `InvalidRangeError` when there is no footage."""
        cursor = self.archive.cursor(self.camera_id, self.stream)
        if cursor.seek_back(time_us) if back else cursor.seek(time_us):
            return cursor
        raise self.nothing(f"at or {'before' if back else 'after'} {_said(time_us)}")

    def nothing(self, where: str) -> InvalidRangeError:
        """The error that says what there is; raises `NotFoundError` when there is nothing at all."""
        first, last = self.extent()
        return InvalidRangeError(
            f"there is no footage of {self.camera_id} {where}; there is from {_said(first)} to {_said(last)}"
        )

    def formats(self, time_us: int | None) -> tuple[Format, ...]:
        """The tracks at a moment; of no moment the newest ones, with sound if there ever was. Raises as `cursor`."""
        first, last = self.extent()
        if time_us is not None:
            return self._formats(max(time_us, first), back=False)
        newest = self._formats(last, back=True)
        if all(each.media == "video" for each in newest):
            newest += tuple(each for each in self._formats(first, back=False) if each.media == "audio")
        return newest

    def _formats(self, time_us: int, *, back: bool) -> tuple[Format, ...]:
        cursor = self.cursor(time_us, back=back)
        try:
            return cursor.formats
        except (OSError, Mp4Error) as error:
            raise UnavailableError(f"the footage of that moment cannot be read: {error}") from error
        finally:
            cursor.close()


class Playback:
    """One viewer's session: what `servers.net.rtsp_server` plays from. All calls belong to one event loop."""

    def __init__(
        self,
        footage: StreamFootage,
        formats: Sequence[Format],
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        scale: float = 1.0,
    ) -> None:
        """`start_us`, `end_us` and `scale` are those of the address: what PLAY means when it says nothing else."""
        self._footage = footage
        self._formats = tuple(formats)
        self._start_us = start_us
        self._end_us = end_us
        self._scale = scale
        self._sender = ReplaySender(self._formats, secrets.randbits)
        self._run: _Run | None = None
        self._resumes = False
        self._replaying = Replaying()
        self._task: asyncio.Task[None] | None = None

    async def prepare(self, options: PlayOptions) -> None:
        """Find where PLAY begins and read the first of it.

        Raises:
            InvalidRangeError: there is no footage there; says what there is.
            NotFoundError: there is none at all.
        """
        run = await asyncio.to_thread(self._begun, options)
        if run is None:
            self._resumes = True
            return
        self._stop()
        before, self._run, self._resumes = self._run, run, False
        if before is not None:
            before.close()

    def join(self, viewer: Flow, options: PlayOptions) -> Mapping[str, str]:
        """Begin to send what was prepared."""
        run = self._run
        assert run is not None, "prepare first"
        tracks = options.tracks or frozenset()
        now = asyncio.get_running_loop().time()
        if self._resumes:
            self._sender.resume(cseq=options.cseq)
            run.resume(now)
            places: list[tuple[int, int, int]] = []
        else:
            places = self._sender.begin(tracks, extension=options.extension, cseq=options.cseq)
            run.base = now + (_delay_s(options.range) if options.range else 0.0)
        self._task = asyncio.get_running_loop().create_task(self._pump(run, viewer))
        headers = {"Range": _range(run).serialise(), "Scale": f"{run.wanted.scale:g}"}
        if not run.wanted.paced:
            headers["Rate-Control"] = "no"
        if places:
            headers["RTP-Info"] = ",".join(
                RTPInfo(url=f"{options.base}trackID={index}", seq=sequence, rtptime=timestamp).serialise()
                for index, sequence, timestamp in places
            )
        return headers

    def leave(self, viewer: Viewer) -> None:
        """Send no more for now; the place is kept."""
        del viewer
        self._stop()

    def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """The session is over."""
        run, self._run = self._run, None
        if run is not None:
            run.close()

    def _begun(self, options: PlayOptions) -> "_Run | None":
        """The PLAY with the first of it read; none to go on as before. Blocks."""
        wanted = self._wanted(options)
        if wanted is None:
            return None
        return _Run.begun(self._footage, self._formats, wanted, extension=options.extension)

    # --- What PLAY means ----------------------------------------------------------------------------------------------

    def _wanted(self, options: PlayOptions) -> Wanted | None:
        """What is asked for; none to go on as before. Looks into the index."""
        run, range_ = self._run, options.range
        scale = _scale(options.scale, self._scale if run is None or range_ is not None else run.wanted.scale)
        start, end = (range_.start, range_.end) if range_ is not None else (None, None)
        if run is not None and start is None:
            if scale == run.wanted.scale and end is None and self._as_before(options):
                return None
            start_us, end_us = run.position_us, run.wanted.end_us if (scale < 0) == run.wanted.backwards else None
        else:
            begin_us, end_us = self._moment(start), self._end_us
            start_us = self._footage.extent()[0 if scale > 0 else 1] if begin_us is None else begin_us
        if end is not None:
            end_us = self._moment(end)
        if end_us is not None and (end_us - start_us) * scale <= 0:
            raise InvalidRangeError("the range ends before it begins; backwards the earlier moment stands last")
        replaying = self._replaying = options.replaying
        return Wanted(
            start_us=start_us,
            end_us=end_us,
            scale=scale,
            paced=replaying.paced,
            key_frames=replaying.key_frames,
            interval_us=replaying.interval_us,
        )

    def _as_before(self, options: PlayOptions) -> bool:
        """Whether nothing is said of how to send, or the same as before."""
        said = "rate-control" in options.headers or "frames" in options.headers
        return not said or options.replaying == self._replaying

    def _moment(self, given: datetime | float | None) -> int | None:
        """A moment of the wall clock; seconds count from the address's time or from where footage begins."""
        if isinstance(given, datetime) and (given.year >= CLOCK_YEAR or self._start_us is None):
            return micros(given)
        if isinstance(given, datetime):
            # GStreamer in its ONVIF mode writes a position behind the address's time as a time from 1900 on.
            given = (given - NTP_EPOCH).total_seconds()
        if given is None:
            return self._start_us
        begins = self._footage.extent()[0] if self._start_us is None else self._start_us
        return begins + int(given * 1_000_000)

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def _pump(self, run: "_Run", viewer: Flow) -> None:
        try:
            while await run.fill():
                await self._send(run, viewer)
            viewer.send(self._sender.goodbye())
            viewer.played_out()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("playback failed", camera_id=self._footage.camera_id)
            viewer.ended(f"the footage cannot be played: {error}")

    async def _send(self, run: "_Run", viewer: Flow) -> None:
        """Send what has been read."""
        clock = asyncio.get_running_loop().time
        while run.queue:
            if viewer.backlog() > MAX_BACKLOG:
                await viewer.room()
            wait_s = run.wait_s(run.queue[0], clock())
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            # Nothing is awaited from here on: what leaves the queue is sent.
            viewer.send(self._sender.frames(run.queue.popleft()))


class _Run:
    """One PLAY: where it reads, and what it has read."""

    def __init__(self, footage: StreamFootage, formats: Sequence[Format], wanted: Wanted, cursor: Cursor) -> None:
        self.wanted = wanted
        self.queue: deque[Due] = deque()
        self.base = 0.0
        """When the PLAY takes effect, by the loop's clock."""
        self.first_us = wanted.start_us
        """Time of the first unit that is sent."""
        self.position_us = wanted.start_us
        self._footage = footage
        self._cursor = cursor
        self._shapes = [shape(each) for each in formats]
        video = next((index for index, each in enumerate(formats) if each.media == "video"), 0)
        self._replay = Replay(wanted, video)
        self._reading: asyncio.Future[list[Due] | None] | None = None
        self._rebase = False
        self._maps: dict[tuple[Format, ...], list[int | None]] = {}

    @classmethod
    def begun(cls, footage: StreamFootage, formats: Sequence[Format], wanted: Wanted, *, extension: bool) -> "_Run":
        """Go to the beginning and read the first piece. Blocks."""
        cursor = footage.cursor(wanted.start_us, back=wanted.backwards)
        try:
            if wanted.paced and not wanted.key_frames:
                wanted = replace(wanted, key_frames=_too_many(cursor, wanted, extension=extension))
            run = cls(footage, formats, wanted, cursor)
            run.queue += run._read(0)
            nothing = footage.nothing("in that range") if run._replay.finished and not run.queue else None
        except (OSError, Mp4Error) as error:
            cursor.close()
            raise UnavailableError(f"the footage of that moment cannot be read: {error}") from error
        except BaseException:
            cursor.close()
            raise
        if nothing is not None:
            cursor.close()
            raise nothing
        if run.queue:
            run.first_us = run.position_us = run.queue[0].unit.time_us
        return run

    def close(self) -> None:
        """Close the file, once nobody reads it any more."""
        if self._reading is not None and not self._reading.done():
            self._reading.add_done_callback(lambda _done: self._cursor.close())
        else:
            self._cursor.close()

    def resume(self, now: float) -> None:
        """Go on from here as if no time had passed."""
        self._rebase = True
        if self.queue:
            self.wait_s(self.queue[0], now)

    def wait_s(self, due: Due, now: float) -> float:
        """How long to wait before this is sent."""
        self.position_us = due.unit.time_us
        if not self.wanted.paced:
            return 0.0
        at = self.base + due.due_us / 1_000_000
        if self._rebase or (due.due_us > 0 and now - at > LATE_S):
            self._rebase = False
            self.base = now - max(due.due_us, 0) / 1_000_000
            return 0.0
        # What lies before the start is sent at once, but not before the PLAY takes effect.
        return max(at, self.base) - now

    async def fill(self) -> bool:
        """Have something in the queue, and the next piece on its way; false when there is no more."""
        while not self.queue:
            units = await self._next()
            if units is None:
                return False
            self.queue += units
        self._read_ahead()
        return True

    def _read_ahead(self) -> None:
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._advance))

    async def _next(self) -> list[Due] | None:
        """The next piece; waits for the recorder where it is being written. None at the end."""
        waited_since = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            early = self._reading is not None and self._reading.done()
            self._read_ahead()
            assert self._reading is not None
            # Shielded: after a pause it is asked for again, and a thread cannot be stopped anyway.
            units = await asyncio.shield(self._reading)
            self._reading = None
            if units is not None:
                return units
            if early:
                continue  # That was some time ago; the recorder may have written since.
            if self._replay.finished or self.wanted.backwards or self._past_end():
                return None
            waited_since = waited_since or clock()
            if not self._footage.growing() and clock() - waited_since > ENDED_S:
                return None
            self._rebase = True
            await asyncio.sleep(FOLLOW_S)

    def _past_end(self) -> bool:
        """Whether what the recorder will write lies beyond the range."""
        end_us = self.wanted.end_us
        # A second and a half: a fragment that is not written yet, and the clock of the camera.
        return end_us is not None and time.time_ns() // 1000 > end_us + 1_500_000 + 1_000_000

    # --- On a thread --------------------------------------------------------------------------------------------------

    def _advance(self) -> list[Due] | None:
        """Go to the next piece and read it; none where there is no more at present."""
        if self._replay.finished:
            return None
        cursor, gap_us = self._cursor, 0
        for _ in range(DAMAGED):
            step = self._step()
            if step is None:
                return None
            gap_us += step
            try:
                return self._read(gap_us)
            except (OSError, Mp4Error) as error:
                log.warning("footage skipped", camera_id=self._footage.camera_id, reason=str(error))
                gap_us += cursor.entry.duration_us
        raise Mp4Error(f"{DAMAGED} fragments one after another cannot be read")

    def _step(self) -> int | None:
        cursor = self._cursor
        if self.wanted.backwards:
            gap_us = cursor.back()
            while gap_us is not None and self.wanted.key_frames and self._replay.passes(cursor.entry.time_us):
                more = cursor.back()
                gap_us = None if more is None else gap_us + more
            return gap_us
        gap_us = cursor.forward(keys=self.wanted.key_frames)
        while gap_us is not None and self.wanted.key_frames and self._replay.passes(cursor.entry.time_us):
            more = cursor.forward(keys=True)
            gap_us = None if more is None else gap_us + more
        return gap_us

    def _read(self, gap_us: int) -> list[Due]:
        cursor = self._cursor
        if self.wanted.key_frames:
            taken = cursor.read_key()
        elif self.wanted.backwards:
            taken = cursor.read_gop()
        else:
            taken = cursor.read()
        return self._replay.feed(Piece(self._as_described(taken), gap_us))

    def _as_described(self, taken: Taken) -> list[Recorded]:
        """Under the tracks that the viewer knows; sound of another kind than described is left out."""
        if taken.formats not in self._maps:
            if len(self._maps) > 16:  # noqa: PLR2004 - a few formats alternate, at most
                self._maps.clear()
            self._maps[taken.formats] = [
                self._shapes.index(shape(each)) if shape(each) in self._shapes else None for each in taken.formats
            ]
        tracks = self._maps[taken.formats]
        return [
            Recorded(track, shot.time_us, shot.duration_us, shot.key, shot.data)
            for shot in taken.shots
            if (track := tracks[shot.track]) is not None
        ]


def _too_many(cursor: Cursor, wanted: Wanted, *, extension: bool) -> bool:
    """Whether key frames must be sent alone."""
    if wanted.backwards and not extension:
        return True  # Players that know nothing of replay would show each GOP forwards.
    if abs(wanted.scale) <= 1:
        return False
    taken = cursor.read()
    pictures = sum(1 for shot in taken.shots if taken.formats[shot.track].media == "video")
    return needs_key_frames(pictures, cursor.entry.duration_us, wanted.scale)


def _scale(given: float | None, usual: float) -> float:
    """What is played: what is asked for, within limits (RFC 2326, 12.34, lets the server choose the nearest)."""
    scale = usual if given is None else given
    if scale == 0:
        raise InvalidRangeError("Scale: 0 is no speed; use PAUSE")
    size = min(max(abs(scale), MIN_SCALE), MAX_SCALE)
    return size if scale > 0 else -size


def _range(run: _Run) -> Range:
    end_us = run.wanted.end_us
    return Range(start=instant(run.position_us), end=None if end_us is None else instant(end_us))


def _delay_s(range_: Range) -> float:
    """How long until the PLAY takes effect."""
    return 0.0 if range_.at is None else min(max(range_.at.timestamp() - time.time(), 0.0), 60.0)


def _said(time_us: int) -> str:
    return f"{instant(time_us):%Y-%m-%dT%H:%M:%SZ}"
