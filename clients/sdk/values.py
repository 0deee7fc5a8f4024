"""What servers answer beside the resources of `broker.model`.

Times are aware. Unknown fields of newer servers are ignored when these are read.
"""

from typing import Generic, NamedTuple, TypeVar

from pydantic import Base64Bytes, Field

from broker.model.base import Instant, Value
from broker.model.resources import Alarm, Camera, Profile, Server, User

R = TypeVar("R")


class Versioned(NamedTuple, Generic[R]):
    """A resource with the revision that a change must name (If-Match)."""

    resource: R
    revision: str


class SignedIn(Value):
    """A session has begun. Tokens are short-lived; the client renews them by itself."""

    access_token: str = Field(repr=False)
    expires_in: float = Field(description="Seconds for which the access token is good.")
    refresh_token: str = Field(repr=False)
    session_id: str = ""
    user: User | None = None
    profile: Profile | None = None


class Me(Value):
    """What the signed-in user is and sees."""

    user: User
    profile: Profile
    cameras: tuple[Camera, ...] = ()
    servers: tuple[Server, ...] = ()
    alarms: tuple[Alarm, ...] = ()


class StreamTicket(Value):
    """The right to start one stream, for a minute."""

    ticket: str = Field(repr=False)
    url: str = Field(repr=False, description="Where ordinary players find it, ticket included.")
    expires_in: float


class StreamSecret(Value):
    """User name and password of ordinary RTSP players. Shown once."""

    user: str
    secret: str = Field(repr=False)


class Span(Value):
    """A stretch of recorded time."""

    start: Instant
    end: Instant
    stream: str = ""
    protected: bool = False


class VideoFound(Value):
    """The pictures that came from a probed address."""

    codec: str
    width: int
    height: int
    fps: float | None = None


class AudioFound(Value):
    """The sound that a probed address offers."""

    codec: str
    sample_rate: int
    channels: int


class ProbeFound(Value):
    """What an address is, or what is wrong with it."""

    problem: str = Field("", description="What is wrong and how to mend it, in a sentence; empty when pictures come.")
    video: VideoFound | None = None
    audio: AudioFound | None = None
    kbps: float | None = None
    snapshot: Base64Bytes = Field(b"", repr=False, description="A JPEG of the first key frame.")


class MotionSeen(Value):
    """What the motion detector saw when it last looked."""

    active: bool
    columns: int
    rows: int
    cells: tuple[int, ...] = ()


class Segment(Value):
    """A file of the archive that touches the time asked for."""

    id: str
    start: Instant
    end: Instant
    bytes: int = 0
    url: str = ""


class Items(Value, Generic[R]):
    """The body of every list."""

    items: tuple[R, ...] = ()


class Timeline(Value):
    """The body of a timeline."""

    spans: tuple[Span, ...] = ()
