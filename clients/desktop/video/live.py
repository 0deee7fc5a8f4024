"""A camera's live stream, connected again whenever it breaks."""

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from broker.process import logger
from clients.desktop.video.opening import Opener, StreamName, sentence_of
from clients.sdk.errors import NotAllowedError, NotFoundError, NotSignedInError, SdkError
from servers.net.rtsp_client import RtspClientError, play
from servers.wire.media import AccessUnit, Format

log = logger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
"""Before the second try, and at most between two tries."""
HOPELESS_WAIT_S = 15.0
"""Between tries of what only an administrator can change."""
TIMEOUT_S = 8.0
"""Silence that is borne: a camera that stands still is told from one that sends few pictures."""


class State(StrEnum):
    """How a stream is."""

    EMPTY = "empty"
    CONNECTING = "connecting"
    PLAYING = "playing"
    BROKEN = "broken"


class Taker(Protocol):
    """Who decodes: a `Strand`."""

    def offer(self, units: list[AccessUnit]) -> None:
        """Take access units of the picture's track."""

    def restart(self) -> None:
        """A new connection begins."""


class LiveFeed:
    """Plays one stream for ever into a taker. Everything happens on the receiving thread, the reports included."""

    def __init__(self, opener: Opener, stream: StreamName, taker: Taker, report: Callable[[State, str], None]) -> None:
        self._opener = opener
        self._stream = stream
        self._taker = taker
        self._report = report
        self._video = 0
        self._pictured = False

    async def run(self) -> None:
        """Play until cancelled."""
        wait = FIRST_WAIT_S
        self._report(State.CONNECTING, "")
        while True:
            self._pictured = False
            try:
                address = await self._opener(self._stream)
                self._taker.restart()
                await play(address.url, self, audio=False, tls=address.tls, timeout_s=TIMEOUT_S)
            except (SdkError, RtspClientError) as error:
                log.info("live stream ended", stream=self._stream, reason=str(error))
                wait = FIRST_WAIT_S if self._pictured else wait
                hopeless = isinstance(error, NotAllowedError | NotFoundError | NotSignedInError)
                self._report(State.BROKEN, sentence_of(error))
            except Exception as error:
                log.exception("live stream failed", stream=self._stream)
                self._report(State.BROKEN, sentence_of(error))
                hopeless = True
            await asyncio.sleep(HOPELESS_WAIT_S if hopeless else wait * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections
            wait = min(wait * 2, LONGEST_WAIT_S)

    # --- What the RTSP client calls -----------------------------------------------------------------------------------

    def described(self, formats: tuple[Format, ...]) -> None:
        """Which track is the picture's."""
        self._video = next((index for index, format_ in enumerate(formats) if format_.media == "video"), 0)

    def received(self, units: list[AccessUnit]) -> None:
        """Hand on what is a picture."""
        pictures = [unit for unit in units if unit.track == self._video]
        if not pictures:
            return
        if not self._pictured:
            self._pictured = True
            self._report(State.PLAYING, "")
        self._taker.offer(pictures)
