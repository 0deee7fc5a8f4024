"""What an administrator configures: servers, cameras, alarms, profiles and users."""

from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from broker.model.actions import AnyActionSettings
from broker.model.base import Priority, Text, Title, Value, Word

Url = Annotated[str, StringConstraints(max_length=2000)]


def _without_credentials(url: str) -> str:
    authority = url.split("://", 1)[-1].split("/", 1)[0]
    if "@" in authority:
        raise ValueError("leave user name and password out of the address; give them as username and password")
    return url


RtspUrl = Annotated[
    str,
    StringConstraints(pattern=r"^rtsps?://[^\s/]+", max_length=2000),
    AfterValidator(_without_credentials),
]
"""An RTSP address without user name and password, e.g. rtsp://192.0.2.10:554/stream1."""


class ServerRole(StrEnum):
    """What kind of process has joined the site."""

    DVRSERVER = "dvrserver"
    ENGINE = "engine"
    GATEWAY = "gateway"


class Server(Value):
    """A process that has joined the site. Its address is what clients dial, not what it binds."""

    id: Word = Field(description="The name by which the process is known; a part of its keys.")
    name: Title = Field(description="What people call it.")
    role: ServerRole = Field(description="What it does.")
    control_url: Url = Field("", description="Where its control port is reached, e.g. http://127.0.0.1:5009.")
    stream_url: Url = Field("", description="Where its streams are reached, e.g. rtsp://127.0.0.1:5011.")
    enabled: bool = Field(default=True, description="Whether it may take part; tokens of a disabled one are refused.")


class RecordingMode(StrEnum):
    """When footage of a camera outlives the rolling buffer."""

    CONTINUOUS = "continuous"
    ON_ALARM = "on_alarm"


class Mask(Value):
    """Cells of the picture in which motion does not count."""

    columns: int = Field(16, ge=1, le=64, description="Cells from left to right.")
    rows: int = Field(12, ge=1, le=64, description="Cells from top to bottom.")
    hidden: tuple[int, ...] = Field(
        (), description="Numbers of the hidden cells, row by row from the top left, from 0."
    )

    @model_validator(mode="after")
    def _cells_exist(self) -> "Mask":
        cells = self.columns * self.rows
        if any(not 0 <= cell < cells for cell in self.hidden):
            raise ValueError(f"hidden: cells are numbered from 0 to {cells - 1}")
        return self


class MotionDetection(Value):
    """How motion is looked for in a camera's picture."""

    enabled: bool = Field(default=True, description="Whether the picture is watched at all.")
    area_percent: float = Field(6.0, ge=0.1, le=100, description="A cell is in motion above this share of its pixels.")
    threshold_sigma: float = Field(4.5, ge=1, le=20, description="How far above the noise a change must be.")
    hold_s: float = Field(2.0, ge=0.2, le=60, description="Seconds of rest after which motion has ended.")
    mask: Mask = Field(Mask(), description="Where motion does not count.")


class Camera(Value):
    """A camera and how its node treats it."""

    id: Word = Field(description="The camera's id; a part of stream addresses and archive folders.")
    name: Title = Field(description="What people call it.")
    node_id: Word = Field(description="The DVRServer that captures it.")
    enabled: bool = Field(default=True, description="Whether it is captured.")
    main_url: RtspUrl = Field(description="The full stream, recorded and watched.")
    sub_url: RtspUrl | None = Field(
        None, description="The small stream, for motion and grids; none: key frames of main."
    )
    username: Annotated[str, StringConstraints(max_length=120)] = Field("", description="Who signs in at the camera.")
    secret_ref: Word | None = Field(
        None, description="Names the camera's password, which travels sealed. Set by SMServer, never the password."
    )
    audio: bool = Field(default=True, description="Whether sound is recorded where the camera has it.")
    recording: RecordingMode = Field(RecordingMode.CONTINUOUS, description="What outlives the rolling buffer.")
    buffer_s: int = Field(600, ge=60, le=86_400, description="Length of the rolling buffer, in seconds.")
    retention_h: int = Field(720, ge=1, le=87_600, description="Hours after which footage is deleted.")
    alarm_retention_h: int = Field(2160, ge=1, le=87_600, description="Hours after which alarm footage is deleted.")
    motion: MotionDetection = Field(MotionDetection(), description="How motion is looked for.")


class MotionTrigger(Value):
    """Motion in the picture of a camera."""

    kind: Literal["motion"] = "motion"
    camera_id: Word = Field(description="The camera that is watched.")


AnyTrigger = MotionTrigger
"""What starts an alarm; a union told apart by `kind` once there is a second one."""


@lru_cache(maxsize=1024)
def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        sentence = f"{zone!r} is not a time zone of the IANA database; an example is Europe/Helsinki"
        raise ValueError(sentence) from error
    return zone


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DayPlan = Annotated[str, StringConstraints(pattern=r"^[01]{24}$")]
"""24 digits, one an hour from midnight: 1 the alarm is on, 0 it is off."""

ALWAYS: DayPlan = "1" * 24


class Calendar(Value):
    """The hours in which an alarm is on, a day plan per weekday and per exception day."""

    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field("UTC", description="Whose hours these are.")
    week: tuple[DayPlan, DayPlan, DayPlan, DayPlan, DayPlan, DayPlan, DayPlan] = Field(
        (ALWAYS,) * 7, description="Monday to Sunday, 24 digits each: 1 on, 0 off."
    )
    exceptions: dict[Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")], DayPlan] = Field(
        {}, description="Day plans of single dates, such as holidays."
    )


class Alarm(Value):
    """What starts an alarm, when it may, and what is done about it."""

    id: Word = Field(description="The alarm's id.")
    name: Title = Field(description="What operators see.")
    description: Text = Field("", description="What operators are told to do.")
    administrator_description: Text = Field("", description="For administrators only.")
    priority: Priority = Field(Priority.AVERAGE, description="Decides the lane, and so who goes first in a storm.")
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")] = Field(
        "#d92d20", description="In lists and maps."
    )
    enabled: bool = Field(default=True, description="Whether it can start at all.")
    trigger: AnyTrigger = Field(description="What starts it.")
    calendar: Calendar = Field(Calendar(), description="When it may start.")
    until_acknowledged: bool = Field(
        default=False, description="Whether it stays active until somebody acknowledges it."
    )
    actions: tuple[AnyActionSettings, ...] = Field((), max_length=50, description="What is done when it starts.")

    @property
    def source_ids(self) -> frozenset[str]:
        """The sources whose triggers can start it."""
        return frozenset({self.trigger.camera_id})


class Right(StrEnum):
    """What a profile lets its users do."""

    LIVE = "live"
    PLAYBACK = "playback"
    EXPORT = "export"
    ACKNOWLEDGE = "acknowledge"
    ADMINISTER = "administer"


class Profile(Value):
    """What a user sees and may do. What is not named here does not exist for its users."""

    id: Word = Field(description="The profile's id.")
    name: Title = Field(description="What administrators call it.")
    rights: frozenset[Right] = Field(frozenset(), description="What its users may do with what they see.")
    camera_ids: frozenset[Word] = Field(frozenset(), description="Cameras they see.")
    alarm_ids: frozenset[Word] = Field(frozenset(), description="Alarms they see.")
    everything: bool = Field(default=False, description="Whether all cameras and alarms are seen, later ones included.")

    def sees_camera(self, camera_id: str) -> bool:
        """Whether the camera exists for users of this profile."""
        return self.everything or camera_id in self.camera_ids

    def sees_alarm(self, alarm_id: str) -> bool:
        """Whether the alarm exists for users of this profile."""
        return self.everything or alarm_id in self.alarm_ids


class User(Value):
    """Somebody who signs in. The password is no part of this value."""

    id: Word = Field(description="The sign-in name.")
    name: Title = Field(description="What others see.")
    profile_id: Word = Field(description="What they may see and do.")
    email: Annotated[str, StringConstraints(max_length=254)] = Field("", description="For letters of the system.")
    enabled: bool = Field(default=True, description="Whether they can sign in.")
