"""One simulated camera: its streams, and what can be done to it."""

import time
from collections.abc import Sequence

from clients.simulator.playback import ClipChannel, StampChannel

AnyChannel = ClipChannel | StampChannel


class SimulatedCamera:
    """Counts from 1. Moments are by the monotonic clock, in seconds."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.channels: dict[str, AnyChannel] = {}
        """By profile: main and sub."""
        self._motion_until = 0.0
        self._away_until = 0.0

    def in_motion(self) -> bool:
        """Whether somebody walks through the picture."""
        return time.monotonic() < self._motion_until

    @property
    def away(self) -> bool:
        """Whether the camera refuses everybody."""
        return time.monotonic() < self._away_until

    def move(self, seconds: float) -> None:
        """Have people walk through the picture, from the next key frame on."""
        self._motion_until = time.monotonic() + seconds

    def leave(self, seconds: float) -> None:
        """Refuse everybody for some time; who watches is the server's to end."""
        self._away_until = time.monotonic() + seconds

    def hush(self, *, silent: bool) -> None:
        """Keep the connections but send nothing, like a camera that hangs."""
        for channel in self.channels.values():
            channel.silent = silent

    def report(self) -> dict[str, object]:
        """What `GET /cameras` says."""
        now = time.monotonic()
        return {
            "id": str(self.number),
            "paths": {profile: f"/camera/{self.number}/{profile}" for profile in self.channels},
            "motion_s": round(max(0.0, self._motion_until - now), 1),
            "away_s": round(max(0.0, self._away_until - now), 1),
            "silent": any(channel.silent for channel in self.channels.values()),
            "viewers": sum(channel.stream.viewers for channel in self.channels.values()),
            "sizes": {profile: _size(channel) for profile, channel in self.channels.items()},
        }


def _size(channel: AnyChannel) -> Sequence[int]:
    format_ = channel.stream.formats[0]
    return (format_.width, format_.height) if format_.codec == "h264" else ()
