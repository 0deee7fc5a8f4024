"""What the asyncio shells raise.

PortTakenError      a port to listen on is in use; the sentence names the setting that moves it
StreamRefusedError  a stream server's application does not grant a request; carries the RTSP status to answer
  UnauthorisedError   401, with the challenges to send
  ForbiddenError      403
  NotFoundError       404
  UnavailableError    503, for a camera that gives no picture now
  InvalidRangeError   457, for a time of which there is no footage; says what there is

What a client of a camera raises is the tree under RtspClientError in servers/wire/rtsp/errors.py.
"""

from collections.abc import Sequence


class PortTakenError(OSError):
    """A port cannot be bound because something else listens there."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(
            f"{host}:{port} is taken by another program; end it, or choose another port with {setting}"
            if setting
            else f"{host}:{port} is taken by another program"
        )
        self.host = host
        self.port = port
        self.setting = setting


class StreamRefusedError(Exception):
    """A request for a stream is not granted."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnauthorisedError(StreamRefusedError):
    """Who asks is not known; `challenges` are the values of the WWW-Authenticate headers."""

    status = 401

    def __init__(self, reason: str, challenges: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.challenges = tuple(challenges)


class ForbiddenError(StreamRefusedError):
    """Who asks is known and may not."""

    status = 403


class NotFoundError(StreamRefusedError):
    """There is no such stream."""

    status = 404


class InvalidRangeError(StreamRefusedError):
    """There is nothing recorded in the range asked for."""

    status = 457


class UnavailableError(StreamRefusedError):
    """The stream exists but has no picture now."""

    status = 503
