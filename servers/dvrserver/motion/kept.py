"""What a camera's decoder was sent and may need again: everything since the key frame before the first open batch."""

from collections import deque
from dataclasses import dataclass

MAX_OPEN = 25
"""Batches without an acknowledgement, about five seconds, before the camera skips to the next key frame."""
MAX_KEPT = 8 << 20
"""Bytes; a stream with a longer distance between key frames cannot be replayed."""


@dataclass(slots=True, eq=False)
class Batch:
    """Access units that are acknowledged together."""

    sequence: int
    key: bool
    """Whether decoding can begin with it."""
    data: bytes
    """The message, as sent."""


class Kept:
    """One camera's batches. Its memory is bounded whatever happens to the decoder."""

    def __init__(self) -> None:
        self.sequence = 0
        """Of the newest batch."""
        self.done = 0
        """Of the last batch that was acknowledged."""
        self._batches: deque[Batch] = deque()
        self._keys: deque[int] = deque()
        self._bytes = 0

    @property
    def open(self) -> int:
        """Batches without an acknowledgement."""
        return self.sequence - self.done

    @property
    def full(self) -> bool:
        """Whether the decoder has fallen behind."""
        return self.open >= MAX_OPEN

    def add(self, batch: Batch) -> None:
        """Remember a batch."""
        self.sequence = batch.sequence
        if batch.key:
            self._keys.append(batch.sequence)
        if self._keys:
            self._batches.append(batch)
            self._bytes += len(batch.data)
            self._trim()
            if self._bytes > MAX_KEPT:
                self.drop()

    def acknowledge(self, sequence: int) -> bool:
        """Whether this batch is done for the first time."""
        if sequence <= self.done:
            return False
        self.done = sequence
        self._trim()
        return True

    def drop(self) -> None:
        """Forget all batches: what follows can only be replayed from the next key frame on."""
        self._batches.clear()
        self._keys.clear()
        self._bytes = 0

    def replay(self) -> list[Batch]:
        """What a new decoder needs, oldest first. Without it what was open is given up."""
        if not self._batches:
            self.done = self.sequence
        return list(self._batches)

    def _trim(self) -> None:
        while len(self._keys) > 1 and self._keys[1] <= self.done + 1:
            self._keys.popleft()
        while self._batches and self._batches[0].sequence < self._keys[0]:
            self._bytes -= len(self._batches.popleft().data)
