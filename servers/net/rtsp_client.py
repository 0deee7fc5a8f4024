"""Playing a camera: RTSP over TCP, one list of access units for each read."""

import ssl
from typing import Protocol

from servers.wire.media import AccessUnit, Format


class Sink(Protocol):
    """Where a camera's access units go."""

    def described(self, formats: tuple[Format, ...]) -> None:
        """Tracks, once before the first access unit; their positions are `AccessUnit.track`."""

    def received(self, units: list[AccessUnit]) -> None:
        """Access units of one read, in order of arrival; never empty, never blocks."""


async def play(
    url: str,
    sink: Sink,
    *,
    username: str = "",
    password: str = "",
    audio: bool = True,
    connect_to: tuple[str, int] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
) -> None:
    """Play until the camera stops; always ends with an `RtspClientError`."""
    raise NotImplementedError
