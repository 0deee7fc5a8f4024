"""Everything that is said on the broker. One frozen class per message; facts are in the past tense.

`kind` and `version` travel in the headers. Adding an optional field keeps the version; anything else is a
new version, routed beside the old one for a release (ADR 3). Who says what, and where it goes, is
`broker/topology.py`.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from broker.model.actions import Outcome
from broker.model.base import Instant, Priority, Value, Word
from broker.model.health import HealthEvent
from broker.model.resources import Alarm, Camera, Profile, Server, ServerRole, User


class Message(Value):
    """The base of all messages."""

    version: ClassVar[int] = 1

    @classmethod
    def kind(cls) -> str:
        """The name under which the message travels: its class's."""
        return cls.__name__


# --- Triggers: what detectors saw -------------------------------------------------------------------------------


class TriggerKind(StrEnum):
    """What a detector can see."""

    MOTION = "motion"


class TriggerFact(Message):
    """What both ends of a trigger say. `(node_id, boot, sequence)` names the event for ever."""

    trigger: TriggerKind
    source_id: Word = Field(description="The camera or input that was seen to change.")
    node_id: Word
    boot: int = Field(ge=0, description="Counts the starts of the node's journal.")
    sequence: int = Field(ge=0, description="Counts the node's events since that start; decides their order.")
    occurred_at: Instant = Field(description="By the recorder's clock.")
    camera_time: Instant | None = Field(None, description="By the camera's own clock, where it tells.")
    cells: tuple[int, ...] = Field((), description="Motion: numbers of the cells that moved.")


class TriggerActivated(TriggerFact):
    """A trigger condition has begun."""


class TriggerEnded(TriggerFact):
    """A trigger condition has ended."""


# --- Alarms: what the engine decided ----------------------------------------------------------------------------


class AlarmState(StrEnum):
    """Where an alarm event is in its life."""

    ACTIVE = "active"
    POST_RECORDING = "post_recording"
    ENDED = "ended"


class AlarmFact(Message):
    """What all facts about one alarm event say."""

    alarm_event_id: Word
    alarm_id: Word
    at: Instant = Field(description="When the engine decided it, by its database's clock.")


class AlarmRaised(AlarmFact):
    """An alarm has started."""

    alarm_name: str
    priority: Priority
    colour: str
    trigger: TriggerKind
    source_id: Word
    node_id: Word
    occurred_at: Instant = Field(description="When the trigger was seen, by the recorder's clock.")
    camera_ids: tuple[Word, ...] = Field((), description="Cameras to show: the trigger's and the actions'.")
    until_acknowledged: bool = False
    trace_id: str = ""


class AlarmAcknowledged(AlarmFact):
    """Somebody has taken notice of an alarm event."""

    user_id: Word
    user_name: str


class AlarmPostRecordingStarted(AlarmFact):
    """The trigger is over; footage is kept until `until`."""

    until: Instant


class AlarmEnded(AlarmFact):
    """An alarm event is over, its post-recording included."""


class ActionPerformed(AlarmFact):
    """An action has reached its end, good or bad."""

    action_id: Word
    action_kind: str
    outcome: Outcome
    attempts: int
    reason: str = Field("", description="Why it failed, expired or was skipped, or what it had to say.")
    repeated: bool = Field(default=False, description="Whether it may have been performed twice.")


class AcknowledgeRequested(Message):
    """SMServer has checked that this user may acknowledge; the engine answers with `AlarmAcknowledged`."""

    alarm_event_id: Word
    user_id: Word
    user_name: str
    at: Instant


# --- Configuration: the whole resource, each with its own revision ----------------------------------------------


class ConfigurationChange(Message):
    """A change of the site. Revisions count up by one; a reader that misses one fetches the whole."""

    revision: int = Field(ge=1)


class ServerConfigured(ConfigurationChange):
    """A server has joined or changed."""

    server: Server


class ServerRemoved(ConfigurationChange):
    """A server has left the site."""

    server_id: Word


class CameraConfigured(ConfigurationChange):
    """A camera is new or has changed, or the lane of its triggers has."""

    camera: Camera
    lane: Priority = Field(Priority.LOW, description="The highest priority of the enabled alarms that name it.")


class CameraRemoved(ConfigurationChange):
    """A camera is no part of the site any more."""

    camera_id: Word


class AlarmConfigured(ConfigurationChange):
    """An alarm is new or has changed."""

    alarm: Alarm


class AlarmRemoved(ConfigurationChange):
    """An alarm has been deleted."""

    alarm_id: Word


class ProfileConfigured(ConfigurationChange):
    """A profile is new or has changed."""

    profile: Profile


class ProfileRemoved(ConfigurationChange):
    """A profile has been deleted."""

    profile_id: Word


class UserConfigured(ConfigurationChange):
    """A user is new or has changed. `stream_ha1` holds the stream secret's HA1 values, sealed to each node."""

    user: User
    stream_ha1: dict[Word, str] = Field(
        {}, description="Per node id: JSON {SHA-256, MD5} of RFC 7616 HA1 values, sealed to that node."
    )


class UserRemoved(ConfigurationChange):
    """A user has been deleted."""

    user_id: Word


class SecretSealed(ConfigurationChange):
    """A camera's password, sealed to the node that needs it."""

    secret_ref: Word
    node_id: Word
    sealed: str


class SecretRemoved(ConfigurationChange):
    """A camera's password is needed no more."""

    secret_ref: Word


# --- State, health, updates, sessions ---------------------------------------------------------------------------


class CameraCondition(StrEnum):
    """What a node can say about a camera in one word."""

    CONNECTING = "connecting"
    RUNNING = "running"
    NO_SIGNAL = "no_signal"
    REFUSED = "refused"
    DISABLED = "disabled"


class CameraState(Value):
    """What a node knows about one of its cameras."""

    camera_id: Word
    condition: CameraCondition
    problem: str = Field("", description="What is wrong and how to mend it, in a sentence.")
    recording: bool = False


class NodeStateReported(Message):
    """What a process says of itself at start, on change and every ten seconds."""

    node_id: Word
    role: ServerRole
    boot: int
    revision: int = Field(description="The configuration it runs.")
    at: Instant
    operations_url: str = ""
    cameras: tuple[CameraState, ...] = ()


class HealthEventReported(Message):
    """A condition of the system itself has begun or ended."""

    node_id: Word
    event: HealthEvent
    subject: str = Field("", description="The camera, volume or peer concerned.")
    detail: str = ""
    at: Instant


class UpdateAvailable(Message):
    """A new version of an application lies in the update repository."""

    application: Word
    version_name: str
    at: Instant


class SessionRevoked(Message):
    """A session is over, before its tokens are. Readers end what it has open."""

    session_id: Word
    user_id: Word
    at: Instant


CONFIGURATION: tuple[type[ConfigurationChange], ...] = (
    ServerConfigured,
    ServerRemoved,
    CameraConfigured,
    CameraRemoved,
    AlarmConfigured,
    AlarmRemoved,
    ProfileConfigured,
    ProfileRemoved,
    UserConfigured,
    UserRemoved,
    SecretSealed,
    SecretRemoved,
)
"""Every change of configuration, in the order in which a snapshot lists them."""
