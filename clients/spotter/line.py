"""A reel's connection to 5011: opened once, sought many times. Belongs to the receiving thread."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Protocol

from clients.desktop.video.opening import Opener
from servers.net.rtsp_playback import Begun, Playback, open_playback
from servers.wire.media import AccessUnit, Format


class Reader(Protocol):
    """Who takes the pictures of one PLAY."""

    def received(self, units: list[AccessUnit]) -> None:
        """Access units, in the order of decoding."""


class Line:
    """Plays for one reader after the other; what comes late for an earlier one is dropped."""

    def __init__(self) -> None:
        self._playback: Playback | None = None
        self._reader: Reader | None = None
        self._coming: Reader | None = None
        """Who has asked, until the server begins."""
        self._finished = asyncio.Event()
        self._video = 0
        self._turn = asyncio.Lock()
        self._closed = False

    async def play(self, reader: Reader, opener: Opener, start_us: int, *, backwards: bool, key_frames: bool) -> int:
        """Send the reader what is recorded from a moment on; returns the number of the picture's track.

        Raises:
            RtspClientError: it cannot be played.
            SdkError: SMServer gives no ticket.
        """
        async with self._turn:
            playback = self._playback
            if playback is None or playback.ended.done():
                address = await opener("main")
                playback = await open_playback(address.url, self, audio=False, tls=address.tls)
                if self._closed:
                    await playback.close()
                    raise asyncio.CancelledError
                self._playback = playback
            self._reader = None
            self._finished = asyncio.Event()
            start = datetime.fromtimestamp(start_us // 1_000_000, UTC).replace(microsecond=start_us % 1_000_000)
            self._coming = reader
            await playback.play(start=start, scale=-1.0 if backwards else 1.0, paced=False, key_frames=key_frames)
            return self._video

    async def end(self) -> None:
        """Wait for the end of the recording.

        Raises:
            RtspClientError: the connection broke.
        """
        playback = self._playback
        if playback is None:
            return
        finished = asyncio.ensure_future(self._finished.wait())
        try:
            both: set[asyncio.Future[Any]] = {finished, playback.ended}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished.cancel()
        if not self._finished.is_set():
            await playback.ended

    def hold(self) -> None:
        """Read no more for now."""
        if self._playback is not None:
            self._playback.hold()

    def go_on(self) -> None:
        """Read again."""
        if self._playback is not None:
            self._playback.go_on()

    async def close(self) -> None:
        """Hang up, for good."""
        self._closed = True
        self._reader = None
        playback, self._playback = self._playback, None
        if playback is not None:
            await playback.close()

    # --- What the session calls ---------------------------------------------------------------------------------------

    def described(self, formats: tuple[Format, ...]) -> None:
        """Which track is the picture's."""
        self._video = next((index for index, format_ in enumerate(formats) if format_.media == "video"), 0)

    def begun(self, begun: Begun) -> None:
        """What comes from now on is for the reader that asked last."""
        del begun
        self._reader = self._coming

    def received(self, units: list[AccessUnit]) -> None:
        """Pictures."""
        pictures = [unit for unit in units if unit.track == self._video]
        if self._reader is not None and pictures:
            self._reader.received(pictures)

    def finished(self) -> None:
        """The end of the recording."""
        self._finished.set()
