"""Reading in rounds: sockets that nobody is in a hurry for are read together, ten times a second.

A camera sends some seventy pieces a second; waking up for each costs more than all that is done with it. What is only
recorded can wait in the kernel for a moment, and one wake-up then serves all cameras. The kernel does the waiting: a
socket with a low-water mark is not readable before so much has come (SO_RCVLOWAT, socket(7)), so a burst, such as a
key frame, is still read at once and never fills the window.
"""

import asyncio
import contextlib
import socket
from typing import Protocol

ROUND_S = 0.1
"""Longest time that what has arrived stays unread."""
LOW_WATER = 96 * 1024
"""Bytes that are read at once, also between rounds."""


class Socket(Protocol):
    """What a transport gives as its socket, as far as it is needed here."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option of the socket."""


class Rounds:
    """The resting sockets of one event loop."""

    def __init__(self, round_s: float = ROUND_S) -> None:
        self._round_s = round_s
        self._resting: list[Socket] = []
        self._timer: asyncio.TimerHandle | None = None

    def rest(self, transport: asyncio.BaseTransport) -> None:
        """Read no more from it until the next round, or until much has come."""
        sock: Socket | None = transport.get_extra_info("socket")
        if sock is None:
            return
        with contextlib.suppress(OSError):  # closed, or no such option here: then it is read as data arrives
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LOW_WATER)
            self._resting.append(sock)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._round_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        resting, self._resting = self._resting, []
        for sock in resting:
            with contextlib.suppress(OSError):  # closed meanwhile
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
