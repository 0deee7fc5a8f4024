"""The archive's answers for the control port: reads of the disk happen on threads."""

import asyncio
from collections.abc import AsyncIterator, Callable

from broker.process import logger
from servers.dvrserver.archive import Archive, SegmentFile, Span
from servers.dvrserver.capture import Capture
from servers.dvrserver.motion import MotionPool
from servers.dvrserver.snapshot import SnapshotError, snapshot
from servers.dvrserver.sources import Stream
from servers.wire.mp4 import Mp4Error

log = logger(__name__)
CHUNK = 256 * 1024
"""Bytes of one read."""


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
