"""The base of all values, and the small types they share."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

WORD_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""An id is one word of a routing key, one label of a host name and one folder of an archive: no dots, no spaces."""

Word = Annotated[str, StringConstraints(pattern=WORD_PATTERN)]
"""An id: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or a digit."""

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
"""A name that people read: 1 to 120 characters."""

Text = Annotated[str, StringConstraints(max_length=4000)]
"""A description: at most 4,000 characters."""

Instant = AwareDatetime
"""A point in time with its zone; naive ones are refused."""


class Value(BaseModel):
    """A frozen value. An undeclared field is an error here; `broker.codec` alone is tolerant when it listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Priority(StrEnum):
    """How urgent an alarm is; also the lane in which its triggers and actions travel."""

    HIGH = "high"
    AVERAGE = "average"
    LOW = "low"


LANES: tuple[Priority, ...] = (Priority.HIGH, Priority.AVERAGE, Priority.LOW)
"""The lanes, most urgent first."""


def most_urgent(priorities: "list[Priority]") -> Priority:
    """The lane of a source: the highest priority of the alarms that name it, low when none does."""
    return next((lane for lane in LANES if lane in priorities), Priority.LOW)
