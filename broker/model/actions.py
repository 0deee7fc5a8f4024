"""Settings of actions, one class per kind.

Settings live here so that SMServer can validate an alarm when it is saved; what a kind *does* lives in
`workers/actions/<kind>.py`. To add a kind see CONTRIBUTING.md, "Add an action kind".
"""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from broker.model.base import Text, Title, Value, Word

TEMPLATE_FIELDS = (
    "alarm_event_id",
    "alarm_id",
    "alarm_name",
    "priority",
    "source_id",
    "node_id",
    "trigger",
    "occurred_at",
    "action_id",
    "attempt",
)
"""What `{field}` may name in a template. Anything else stays as it is written: templates never evaluate code."""


class WhenInDoubt(StrEnum):
    """What to do with an action that may or may not have been performed before its worker died."""

    REPEAT = "repeat"
    SKIP = "skip"


class ActionSettings(Value):
    """What all kinds share."""

    deadline_s: int = Field(600, ge=1, le=86_400, description="Seconds after the alarm in which retries go on.")
    time_limit_s: int = Field(30, ge=1, le=600, description="Seconds one attempt may take.")
    when_in_doubt: WhenInDoubt = Field(
        WhenInDoubt.REPEAT, description="Repeat or skip an attempt whose result was never stored."
    )


class RecordCameraSettings(ActionSettings):
    """Protect the footage of a camera around the alarm, recorded before it was even raised."""

    kind: Literal["record_camera"] = "record_camera"
    camera_id: Word = Field(description="The camera whose footage is kept.")
    pre_s: int = Field(10, ge=0, le=3600, description="Seconds kept from before the trigger.")
    post_s: int = Field(10, ge=0, le=3600, description="Seconds kept after the alarm has ended.")


def _without_credentials(url: str) -> str:
    if "@" in re.split(r"[/?#]", url.split("://", 1)[-1], maxsplit=1)[0]:
        raise ValueError("leave user name and password out of the address; whoever reads the alarm would read them")
    return url


class HttpRequestSettings(ActionSettings):
    """Call a web address of somebody else's. The address must pass the egress policy."""

    kind: Literal["http_request"] = "http_request"
    method: Literal["GET", "POST", "PUT", "DELETE"] = Field("POST", description="The HTTP method.")
    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/]+", max_length=2000),
        AfterValidator(_without_credentials),
    ] = Field(description="Where to, without user name or password.")
    body: Text = Field(
        "",
        description="A template of the body; empty sends the alarm as JSON. {alarm_name} and its like are filled in.",
    )
    content_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+(;.*)?$")] = Field(
        "application/json", description="Of the body."
    )


Address = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$", max_length=254)]
"""A mail address, checked for shape only: the mail server is the judge."""


class EmailSettings(ActionSettings):
    """Send a letter through the mail server of the engine's settings."""

    kind: Literal["email"] = "email"
    to: tuple[Address, ...] = Field(min_length=1, max_length=50, description="Who gets it.")
    subject: Title = Field("{alarm_name}", description="A template of the subject line.")
    text: Text = Field(
        "{alarm_name} ({priority}) at {occurred_at}\nSource: {source_id}\n", description="A template of the letter."
    )


AnyActionSettings = Annotated[
    RecordCameraSettings | HttpRequestSettings | EmailSettings,
    Field(discriminator="kind"),
]
"""The settings of one action, told apart by `kind`."""

ACTION_SETTINGS: tuple[type[ActionSettings], ...] = (RecordCameraSettings, HttpRequestSettings, EmailSettings)
"""Every kind, for forms, reference pages and the test that pairs settings with behaviour."""


class Outcome(StrEnum):
    """How an action ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    SKIPPED = "skipped"
