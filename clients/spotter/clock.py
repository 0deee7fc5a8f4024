"""The one clock of a tab's recorded pictures. Pure: who uses it says what time it is.

Every cell shows the last picture at or before `position`, so all of them show the same instant; going backwards
changes nothing about that.
"""

from collections.abc import Callable

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""What an operator may choose, in either direction."""


class PlayerClock:
    """Maps this machine's monotonic time to a moment of the past, µs since 1970 UTC.

    Args:
        position_us: where it begins; it does not run yet.
        monotonic: seconds by a clock that never steps.
    """

    def __init__(self, position_us: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._anchor_us = position_us
        self._anchor_s = monotonic()
        self._speed = 1.0
        self._playing = False
        self._held = False

    @property
    def speed(self) -> float:
        """Seconds of the past in a second; negative backwards."""
        return self._speed

    @property
    def playing(self) -> bool:
        """Whether it is meant to run. It may be held all the same."""
        return self._playing

    @property
    def held(self) -> bool:
        """Whether it waits for pictures."""
        return self._held

    @property
    def position_us(self) -> int:
        """The moment now shown."""
        if not self._running:
            return self._anchor_us
        return self._anchor_us + round((self._monotonic() - self._anchor_s) * self._speed * 1_000_000)

    def play(self) -> None:
        """Run from here."""
        self._settle()
        self._playing = True

    def pause(self) -> None:
        """Stand still at this moment."""
        self._settle()
        self._playing = False

    def set_speed(self, speed: float) -> None:
        """Go on from this moment at another speed; negative is backwards.

        Raises:
            ValueError: the speed is zero; `pause` is meant.
        """
        if speed == 0:
            raise ValueError("a speed of 0 is a pause")
        self._settle()
        self._speed = speed

    def seek(self, position_us: int) -> None:
        """Go to a moment; whether it runs stays as it is."""
        self._anchor_us, self._anchor_s = position_us, self._monotonic()

    def hold(self, held: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Wait for pictures, or wait no more: no time passes meanwhile."""
        if held != self._held:
            self._settle()
            self._held = held

    @property
    def _running(self) -> bool:
        return self._playing and not self._held

    def _settle(self) -> None:
        self._anchor_us, self._anchor_s = self.position_us, self._monotonic()
