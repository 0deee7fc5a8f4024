"""The archive's answers for the control port: reads of the disk happen on threads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, NamedTuple

from broker.process import logger
from servers.dvrserver.archive import Archive, SegmentFile, Span, Stretch
from servers.dvrserver.capture import Capture
from servers.dvrserver.clip import Plan, plan
from servers.dvrserver.motion import MotionPool
from servers.dvrserver.snapshot import SnapshotError, snapshot
from servers.dvrserver.sources import Stream
from servers.wire.mp4 import Mp4Error, mime_type, parse_init

log = logger(__name__)
CHUNK = 256 * 1024
"""Bytes of one read."""


class Media(NamedTuple):
    """An initialisation segment and fragments, ready to be sent."""

    mime: str
    """With its codecs, for `MediaSource.addSourceBuffer`."""
    start_us: int
    """When the first picture was taken."""
    end_us: int
    """Where the last one ends."""
    epoch_us: int
    """The moment that the fragments call 0: their decode times count from it."""
    size: int
    """In bytes, all of it."""
    pieces: AsyncIterator[bytes]
    """Read to its end, or closed: it holds a file open."""


class Footage:
    """Timeline, pictures and files of this node."""

    def __init__(self, archive: Archive, pool: MotionPool, find: Callable[[str, Stream], Capture | None]) -> None:
        self._archive = archive
        self._pool = pool
        self._find = find

    async def timeline(self, camera_id: str, start_us: int, end_us: int) -> tuple[Span, ...]:
        """The stretches of time with footage."""
        return await asyncio.to_thread(self._archive.timeline, camera_id, start_us, end_us)

    async def snapshot(self, camera_id: str, at_us: int | None) -> bytes | None:
        """A JPEG of now or of a moment; none when there is no picture of it."""
        if at_us is None:
            capture = self._find(camera_id, "main")
            found = capture.key_picture() if capture else None
        else:
            try:
                found = await asyncio.to_thread(self._archive.key_unit_at, camera_id, "main", at_us)
            except (OSError, Mp4Error) as error:
                log.warning("footage cannot be read", camera_id=camera_id, reason=str(error))
                found = None
        if found is None:
            return None
        try:
            return await snapshot(self._pool, *found)
        except SnapshotError as error:
            log.warning("picture cannot be made", camera_id=camera_id, reason=str(error))
            return None

    async def segments(self, camera_id: str, stream: str, start_us: int, end_us: int) -> tuple[SegmentFile, ...]:
        """The files that touch a stretch of time, oldest first."""
        return await asyncio.to_thread(self._archive.segments, camera_id, start_us, end_us, stream)

    async def segment(self, camera_id: str, segment_id: str) -> SegmentFile | None:
        """A file, if it is this camera's."""
        found = await asyncio.to_thread(self._archive.segment, segment_id)
        return found if found is not None and found.camera_id == camera_id else None

    async def media(self, camera_id: str, stream: str, start_us: int, length_us: int) -> Media | None:
        """What a browser plays from a moment on, as it lies on the disk; none when nothing was recorded then."""
        found = await asyncio.to_thread(self._archive.stretch, camera_id, stream, start_us, length_us)
        if found is None:
            return None
        try:
            opened, init = await asyncio.to_thread(_open, found)
        except (OSError, Mp4Error) as error:
            log.warning("footage cannot be read", camera_id=camera_id, reason=str(error))
            return None
        cut = found.cut
        return Media(
            mime=mime_type(parse_init(init).formats),
            start_us=cut.start_us,
            end_us=cut.end_us,
            epoch_us=found.file.start_us,
            size=len(init) + cut.size,
            pieces=_after(init, opened, cut.size),
        )

    async def clip(self, camera_id: str, stream: str, start_us: int, end_us: int) -> Plan | None:
        """One MP4, laid out; none when nothing was recorded then."""
        return await asyncio.to_thread(self._clip, camera_id, stream, start_us, end_us)

    def _clip(self, camera_id: str, stream: str, start_us: int, end_us: int) -> Plan | None:
        if stream != "main" and self._archive.extent(camera_id, stream) is None:
            stream = "main"  # a small stream that is not recorded
        return plan(self._archive, camera_id, stream, start_us, end_us)

    async def extent(self, camera_id: str) -> tuple[int, int] | None:
        """Where a camera's footage begins and ends."""
        return await asyncio.to_thread(self._archive.extent, camera_id, "main")

    @staticmethod
    async def content(file: SegmentFile, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of a file, piece by piece; one that is deleted meanwhile is still read to its end."""
        opened = await asyncio.to_thread(file.path.open, "rb")
        try:
            await asyncio.to_thread(opened.seek, start)
            while length > 0 and (piece := await asyncio.to_thread(opened.read, min(CHUNK, length))):
                length -= len(piece)
                yield piece
        finally:
            opened.close()


def _open(stretch: Stretch) -> tuple[BinaryIO, bytes]:
    """The file, at the first fragment, and its initialisation segment."""
    opened = stretch.file.path.open("rb")
    try:
        init = opened.read(stretch.init_size)
        parse_init(init)
        opened.seek(stretch.cut.offset)
    except BaseException:
        opened.close()
        raise
    return opened, init


async def _after(first: bytes, opened: BinaryIO, length: int) -> AsyncIterator[bytes]:
    try:
        yield first
        while length > 0 and (piece := await asyncio.to_thread(opened.read, min(CHUNK, length))):
            length -= len(piece)
            yield piece
    finally:
        opened.close()
