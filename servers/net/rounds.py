"""Reading in rounds: sockets that nobody is in a hurry for are read together, ten times a second.

A camera sends some seventy pieces a second; waking up for each costs more than all that is done with it. What is only
recorded can wait in the kernel for a moment, and one wake-up then serves all cameras. A key frame that outgrows the
socket's buffer waits at the sender for the rest of the round, as it does behind any busy network.
"""

import asyncio

ROUND_S = 0.1
"""Longest time that what has arrived stays unread."""


class Rounds:
    """The resting sockets of one event loop."""

    def __init__(self, round_s: float = ROUND_S) -> None:
        self._round_s = round_s
        self._resting: list[asyncio.Transport] = []
        self._timer: asyncio.TimerHandle | None = None

    def rest(self, transport: asyncio.Transport) -> None:
        """Read no more from it until the next round."""
        transport.pause_reading()
        self._resting.append(transport)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._round_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        resting, self._resting = self._resting, []
        for transport in resting:
            if not transport.is_closing():
                transport.resume_reading()
