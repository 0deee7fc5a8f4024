"""What servers answer beside the resources of `broker.model`.

Times are aware. Unknown fields of newer servers are ignored when these are read.
"""

from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import Field

from broker.model.base import Instant, Priority, Value
from broker.model.messages import AlarmState
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


class Acknowledged(Value):
    """Who took notice of an alarm event, and when."""

    user_id: str
    user_name: str
    at: Instant


class ActionRun(Value):
    """How one action of an alarm event went."""

    id: str
    kind: str
    outcome: str
    attempts: int = 0
    reason: str = ""
    repeated: bool = Field(default=False, description="Whether it may have been performed twice.")
    at: Instant | None = None


class AlarmEvent(Value):
    """One time that an alarm went off."""

    id: str
    alarm_id: str
    alarm_name: str
    priority: Priority
    colour: str
    state: AlarmState
    source_id: str
    node_id: str
    occurred_at: Instant
    raised_at: Instant
    acknowledged: Acknowledged | None = None
    post_until: Instant | None = Field(None, description="Until when footage is kept after the trigger is over.")
    ended_at: Instant | None = None
    until_acknowledged: bool = False
    camera_ids: tuple[str, ...] = ()
    actions: tuple[ActionRun, ...] = ()
    trace_id: str = ""


class AuditRecord(Value):
    """One line of the audit trail."""

    id: int
    at: Instant
    user_id: str
    address: str = ""
    program: str = ""
    action: str
    kind: str = ""
    object_id: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class HealthRecord(Value):
    """A condition of the system itself, as it was reported."""

    node_id: str
    event: str
    subject: str = ""
    detail: str = ""
    at: Instant


class Span(Value):
    """A stretch of recorded time."""

    start: Instant
    end: Instant
    stream: str = ""
    protected: bool = False


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
