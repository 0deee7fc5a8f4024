"""Filling the blanks of people's texts. `{field}` is replaced by a value and nothing is ever evaluated."""

import re

from broker.model.actions import TEMPLATE_FIELDS
from broker.model.messages import AlarmRaised

BLANK = re.compile(r"\{(" + "|".join(TEMPLATE_FIELDS) + r")\}")


def values(raised: AlarmRaised, *, action_id: str, attempt: int) -> dict[str, str]:
    """What each of TEMPLATE_FIELDS stands for."""
    return {
        "alarm_event_id": raised.alarm_event_id,
        "alarm_id": raised.alarm_id,
        "alarm_name": raised.alarm_name,
        "priority": raised.priority.value,
        "source_id": raised.source_id,
        "node_id": raised.node_id,
        "trigger": raised.trigger.value,
        "occurred_at": raised.occurred_at.isoformat(),
        "action_id": action_id,
        "attempt": str(attempt),
    }


def fill(template: str, fields: dict[str, str]) -> str:
    """The template with its blanks filled in one pass: a value that looks like a blank stays as it is.

    Anything that is not exactly `{name}` of a known field, `{0}` or `{x.__class__}` for instance, is left alone.
    """
    return BLANK.sub(lambda found: fields[found[1]], template)
