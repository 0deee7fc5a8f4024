"""The camera streams that browsers watch now: each is pulled from its node once, however many watch it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from prometheus_client import Counter, Gauge

from broker.process import logger
from servers.gateway.channel import Channel, Viewer
from servers.gateway.errors import FORBIDDEN, NOT_FOUND, TRY_AGAIN, UNAUTHORISED, SocketRefusedError
from servers.gateway.packager import Media
from servers.gateway.seats import FullError, Seats
from servers.net.rtsp_client import Sink
from servers.wire.rtsp.errors import RtspClientError

log = logger(__name__)

LINGER_S = 3.0
"""A stream that nobody watches is kept this long: a page that is rearranged comes back at once."""

VIEWERS = Gauge("vigil_gateway_viewers", "Live pictures shown in browsers now.")
STREAMS = Gauge("vigil_gateway_streams", "Camera streams pulled from nodes now.")
SKIPPED = Counter("vigil_gateway_skipped_pictures", "Pictures left out because a browser was too slow.")


class StreamKey(NamedTuple):
    """Which stream."""

    node_id: str
    camera_id: str
    stream: str
    media: Media = "video"


class Pull(Protocol):
    """How a stream is pulled: `servers.net.rtsp_client.play` with what it needs."""

    def __call__(self, url: str, sink: Sink, *, audio: bool) -> Awaitable[None]:
        """Play until it ends, with an `RtspClientError`."""
        ...


@dataclass(eq=False)
class _Open:
    channel: Channel
    task: asyncio.Task[None] | None = None
    goodbye: asyncio.TimerHandle | None = None


class Streams:
    """All open streams. Belongs to one event loop."""

    def __init__(self, pull: Pull, seats: Seats, *, linger_s: float = LINGER_S) -> None:
        self._pull = pull
        self._seats = seats
        self._linger_s = linger_s
        self._open: dict[StreamKey, _Open] = {}
        self._viewers: set[Viewer] = set()

    @property
    def keys(self) -> tuple[StreamKey, ...]:
        """The streams that are pulled now."""
        return tuple(self._open)

    def join(self, key: StreamKey, viewer: Viewer, url: str) -> None:
        """Show a stream. The first viewer's `url`, ticket included, opens it; the others' tickets were checked here.

        A node that ends the first viewer's session cuts the stream: the others are told to try again, and the first
        of them opens it with a ticket of its own.

        Raises:
            SocketRefusedError: the gateway shows as many pictures as it may.
        """
        if key.media == "video":  # sound has no seat of its own: it belongs to a picture
            try:
                self._seats.take()
            except FullError as error:
                raise SocketRefusedError(TRY_AGAIN, str(error)) from error
        opened = self._open.get(key)
        if opened is None:
            opened = self._open[key] = _Open(Channel(key.media))
            opened.task = asyncio.create_task(self._run(key, opened, url), name=f"pull-{key.camera_id}-{key.stream}")
        if opened.goodbye:
            opened.goodbye.cancel()
            opened.goodbye = None
        self._viewers.add(viewer)
        opened.channel.join(viewer)
        self._count()

    def leave(self, key: StreamKey, viewer: Viewer) -> None:
        """The viewer is gone. The last one takes the stream along, a little later."""
        SKIPPED.inc(viewer.skipped)
        if viewer in self._viewers and key.media == "video":
            self._seats.give_back()
        self._viewers.discard(viewer)
        opened = self._open.get(key)
        if opened:
            opened.channel.leave(viewer)
            if not opened.channel.viewers and not opened.goodbye:
                loop = asyncio.get_running_loop()
                opened.goodbye = loop.call_later(self._linger_s, self._let_go, key, opened)
        self._count()

    def end_session(self, session_id: str) -> None:
        """End what a session watches: it has been revoked."""
        for viewer in tuple(self._viewers):
            if viewer.session_id == session_id:
                viewer.end(UNAUTHORISED, "Your session is over.")

    def recheck(self, may_watch: Callable[[str, str], bool], exists: Callable[[str], bool]) -> None:
        """The configuration has changed: end what a user may not watch any more. Arguments are user and camera id."""
        for viewer in tuple(self._viewers):
            if not exists(viewer.camera_id):
                viewer.end(NOT_FOUND, "The camera has been removed.")
            elif not may_watch(viewer.user_id, viewer.camera_id):
                viewer.end(FORBIDDEN, "Your profile does not show this camera any more.")

    async def close(self) -> None:
        """End all streams and viewers."""
        for key, opened in tuple(self._open.items()):
            opened.channel.end(TRY_AGAIN, "The gateway stops.")
            self._let_go(key, opened)
            if opened.task:
                with contextlib.suppress(asyncio.CancelledError):
                    await opened.task

    async def _run(self, key: StreamKey, opened: _Open, url: str) -> None:
        problem = "The stream has ended."
        log.info("stream opened", camera_id=key.camera_id, stream=key.stream, node_id=key.node_id)
        try:
            await self._pull(url, opened.channel, audio=key.media == "audio")
        except RtspClientError as error:
            problem = str(error).replace(url, f"{key.node_id}'s stream")  # the address holds a ticket
        except Exception:
            log.exception("stream failed", camera_id=key.camera_id, stream=key.stream)
            problem = "The gateway could not show the stream; its log says more."
        finally:
            if self._open.get(key) is opened:
                del self._open[key]
            self._count()
        log.info("stream ended", camera_id=key.camera_id, stream=key.stream, problem=problem)
        opened.channel.end(TRY_AGAIN, problem)

    def _let_go(self, key: StreamKey, opened: _Open) -> None:
        if opened.goodbye:
            opened.goodbye.cancel()
        if self._open.get(key) is opened:
            del self._open[key]
        if opened.task:
            opened.task.cancel()
        self._count()

    def _count(self) -> None:
        VIEWERS.set(len(self._viewers))
        STREAMS.set(len(self._open))
