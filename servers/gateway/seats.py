"""How many pictures are shown at the same time, live and recorded, over all browsers."""

from collections.abc import Iterator
from contextlib import contextmanager


class FullError(Exception):
    """There is no seat left. The sentence is for the viewer."""


class Seats:
    """Counts pictures up to a limit. Belongs to one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a seat while the block runs.

        Raises:
            FullError: all are taken.
        """
        self.take()
        try:
            yield
        finally:
            self.give_back()

    def take(self) -> None:
        """Take a seat.

        Raises:
            FullError: all are taken.
        """
        if self.taken >= self.limit:
            shown = "1 picture" if self.limit == 1 else f"{self.limit} pictures"
            raise FullError(f"The gateway shows {shown} already, as many as it may. Close some, here or elsewhere.")
        self.taken += 1

    def give_back(self) -> None:
        """One picture less."""
        self.taken -= 1
