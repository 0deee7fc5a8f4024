"""One camera stream, pulled once and given to all browsers that watch it. No network: the edge is `live.py`."""

import asyncio
import json
from collections import deque
from typing import Any

from servers.gateway.errors import NOT_FOUND, TRY_AGAIN
from servers.gateway.packager import Beginning, Chunk, Media, Packager
from servers.wire.media import AccessUnit, Format

MAX_BACKLOG = 4 << 20
"""Bytes a viewer may lag behind; beyond it, what waits is dropped up to the next key frame."""
MAX_GROUP = 16 << 20
"""Bytes of the current group of pictures kept for those who join; a longer one is not kept."""


class Viewer:
    """One browser's queue. The socket's task takes from it; the channel never waits."""

    def __init__(self, session_id: str = "", user_id: str = "", camera_id: str = "", stream: str = "main") -> None:
        self.stream = stream
        """Which of the camera's streams it is, which need not be the one that was asked for."""
        self.session_id = session_id
        self.user_id = user_id
        self.camera_id = camera_id
        self.skipped = 0
        """Pictures that were dropped because the browser was slow."""
        self.problem = ""
        """Why it was ended, for people."""
        self.code = 0
        """The close code of its end; 0 while it goes on."""
        self._queue: deque[bytes | str] = deque()
        self._backlog = 0
        self._needs_key = True
        self._wake = asyncio.Event()

    def begin(self, beginning: Beginning) -> None:
        """The stream begins, or changes its format: what waits is of no use any more."""
        self._drop()
        self._put(json.dumps({"mime": beginning.mime, "stream": self.stream}))
        self._put(beginning.init)

    def offer(self, chunk: Chunk) -> None:
        """One more picture; it is left out when the browser is too slow, up to the next key frame."""
        if self._backlog > MAX_BACKLOG:
            self._drop(pictures_only=True)
        if self._needs_key and not chunk.key:
            self.skipped += 1
            return
        self._needs_key = False
        self._put(chunk.data)

    def end(self, code: int, problem: str) -> None:
        """No more will come; what waits is not sent."""
        if not self.code:
            self.code, self.problem = code, problem
            self._queue.clear()
            self._wake.set()

    async def next(self) -> bytes | str | None:
        """What to send next; none at the end."""
        while not self._queue:
            if self.code:
                return None
            self._wake.clear()
            await self._wake.wait()
        item = self._queue.popleft()
        self._backlog -= len(item)
        return item

    def _put(self, item: bytes | str) -> None:
        self._queue.append(item)
        self._backlog += len(item)
        self._wake.set()

    def _drop(self, *, pictures_only: bool = False) -> None:
        # A format that has not been sent yet must not be lost: it is a text and the segment behind it.
        kept: list[bytes | str] = []
        if pictures_only:
            texts = [index for index, item in enumerate(self._queue) if isinstance(item, str)]
            kept = list(self._queue)[texts[-1] : texts[-1] + 2] if texts else []
        self.skipped += len(self._queue) - len(kept)
        self._queue = deque(kept)
        self._backlog = sum(map(len, kept))
        self._needs_key = True


class Channel:
    """A sink of the RTSP client that fans out to viewers."""

    def __init__(self, media: Media = "video") -> None:
        self.viewers: set[Viewer] = set()
        self._media = media
        self._packager = Packager(media)
        self._group: list[Chunk] = []
        self._group_bytes = 0
        self._keeps_group = False

    def join(self, viewer: Viewer) -> None:
        """Give the current group of pictures at once, then all that follows."""
        self.viewers.add(viewer)
        if self._packager.beginning:
            viewer.begin(self._packager.beginning)
            for chunk in self._group:
                viewer.offer(chunk)

    def leave(self, viewer: Viewer) -> None:
        """Give no more; harmless for one who is not there."""
        self.viewers.discard(viewer)

    def end(self, code: int, problem: str) -> None:
        """End all viewers."""
        for viewer in tuple(self.viewers):
            viewer.end(code, problem)

    def described(self, formats: tuple[Format, ...]) -> None:
        """The RTSP client knows the tracks."""
        self._forget_group()
        if not self._packager.described(formats):
            if self._media == "audio":
                self.end(NOT_FOUND, "This camera sends no sound.")
            else:
                self.end(TRY_AGAIN, "The camera sends no picture that a browser can show; it must be H.264.")
        elif self._packager.beginning:
            self._announce(self._packager.beginning)

    def received(self, units: list[AccessUnit]) -> None:
        """The RTSP client has pictures."""
        for unit in units:
            beginning, chunk = self._packager.packed(unit)
            if beginning:
                self._forget_group()
                self._announce(beginning)
            if chunk:
                self._keep(chunk)
                for viewer in self.viewers:
                    viewer.offer(chunk)

    def _announce(self, beginning: Beginning) -> None:
        for viewer in self.viewers:
            viewer.begin(beginning)

    def _keep(self, chunk: Chunk) -> None:
        if self._media == "audio":
            return  # it can be joined anywhere
        if chunk.key:
            self._forget_group()
            self._keeps_group = True
        self._group_bytes += len(chunk.data)
        if self._group_bytes > MAX_GROUP:
            self._forget_group()
        if self._keeps_group:
            self._group.append(chunk)

    def _forget_group(self) -> None:
        self._group = []
        self._group_bytes = 0
        self._keeps_group = False


def problem_frame(problem: str) -> str:
    """What a browser is told before its socket is closed."""
    said: dict[str, Any] = {"problem": problem}
    return json.dumps(said)
