"""What can go wrong between two RTSP peers.

RtspError
  RemoteProtocolError     the peer broke the protocol; carries the status that a server answers
    MalformedError          400: not RTSP at all, or damaged
    TooLargeError           413: a head, a body or an interleaved frame beyond its limit
    VersionError            505: RTSP, but not 1.0
  LocalProtocolError      our own side asked for something that the state does not allow
  RtspClientError         a source cannot be played; the sentence says what was wrong and how to mend it
    RtspUnreachableError    no connection, or the source closed it
    RtspRefusedError        the source answered with an error status, kept in `status`
    RtspUnauthorisedError   it asks for a password, or for another one
    RtspUnsupportedError    it offers nothing that is taken here
    RtspProtocolError       what it sends is not RTSP
    RtspSilentError         it stopped sending
"""


class RtspError(Exception):
    """The base of this package's errors."""


class RemoteProtocolError(RtspError):
    """The peer broke the protocol."""

    status = 400

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data
        """The beginning of the bytes that were bad."""


class MalformedError(RemoteProtocolError):
    """What came is not RTSP."""


class TooLargeError(RemoteProtocolError):
    """A limit was passed."""

    status = 413


class VersionError(RemoteProtocolError):
    """RTSP of another version."""

    status = 505


class LocalProtocolError(RtspError):
    """Our own side asked for something illegal."""


class RtspClientError(RtspError):
    """A source cannot be played. Messages never hold a password."""


class RtspUnreachableError(RtspClientError):
    """No connection, or it was closed by the source."""


class RtspRefusedError(RtspClientError):
    """The source answered with an error status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RtspUnauthorisedError(RtspClientError):
    """The source does not accept the credentials."""


class RtspUnsupportedError(RtspClientError):
    """The source offers nothing that is taken here."""


class RtspProtocolError(RtspClientError):
    """What the source sends is not RTSP."""


class RtspSilentError(RtspClientError):
    """The source stopped sending."""
