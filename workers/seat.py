"""A number for each engine worker of one machine, so that each has a queue and a copy of the configuration."""

import fcntl
import os
from pathlib import Path
from typing import Self

SEATS = 64


class Seat:
    """Held by a file lock for as long as the process lives; a killed process gives it up at once."""

    def __init__(self, directory: Path, number: int, descriptor: int) -> None:
        self.directory = directory
        self.number = number
        self._descriptor = descriptor

    @classmethod
    def take(cls, directory: Path) -> Self:
        """The first free seat."""
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(1, SEATS + 1):
            descriptor = os.open(directory / f"seat-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return cls(directory, number, descriptor)
        raise RuntimeError(f"{SEATS} engine workers run on {directory} already")

    def name(self, node_id: str) -> str:
        """The node id for the first, with a number behind it for the others."""
        return node_id if self.number == 1 else f"{node_id}-{self.number}"

    def leave(self) -> None:
        """Give the seat up."""
        os.close(self._descriptor)
