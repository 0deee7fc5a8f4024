"""How long to wait before a camera is tried again."""

import random


class Backoff:
    """Doubles from `first_s` to `longest_s`, spread by chance so that a switch that reboots is not met by a storm."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._longest_s)
        return wait_s * random.uniform(0.7, 1.3)  # noqa: S311 - spreads retries, no secret

    def reset(self) -> None:
        """It went well for a while: begin anew."""
        self._next_s = self._first_s
