"""What an action kind is: a function of an attempt and its settings, found by the kind's name.

Actions know nothing of Celery, queues or retries. They raise `TransientActionError` when trying again may help and
`ActionError` when it would not; anything else they raise is a mistake of ours and counts as the latter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import httpx

from broker.model.actions import ActionSettings
from broker.model.messages import AlarmRaised
from workers.settings import EngineGroup
from workers.tables import Phase


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at an action."""

    action_id: str
    """The idempotency key: the same in all attempts."""
    number: int
    """Which attempt this is, from 1."""
    phase: Phase
    raised: AlarmRaised
    condition_ended_at: datetime | None
    """When the alarm stopped being active; none: it is."""
    repeated: bool
    """Whether an earlier attempt may have succeeded."""
    time_limit_s: float
    """After this time the runner gives the attempt up; what the action waits for must not wait longer."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What actions work with; one set per process, used from several threads."""

    webhooks: httpx.Client
    """For addresses that people typed in: every one passes the egress policy."""
    servers: httpx.Client
    """For our own servers: signs in with the engine's service token."""
    control_url: Callable[[str], str | None]
    """Camera id to the control address of the node that captures it."""
    mail: EngineGroup
    """Where the mail server is."""


class Kind(NamedTuple):
    """An action kind."""

    name: str
    settings: type[ActionSettings]
    perform: Callable[[Attempt, Any, Tools], str]
    exactly_once: bool
    """Whether a second attempt changes nothing, so that it need not be marked as a repeat."""
    keyed: bool
    """Whether attempts carry a key by which the receiver can tell that they are one action."""


_Settings = TypeVar("_Settings", bound=ActionSettings)
_Perform = Callable[[Attempt, _Settings, Tools], str]

KINDS: dict[str, Kind] = {}
"""The registered kinds by name. Import `workers.actions` to have them all."""


def action(
    settings: type[_Settings], *, exactly_once: bool = False, keyed: bool = False
) -> Callable[[_Perform[_Settings]], _Perform[_Settings]]:
    """Register the function that performs a kind; it returns what it has to say about its success, or ""."""

    def register(perform: _Perform[_Settings]) -> _Perform[_Settings]:
        name = str(settings.model_fields["kind"].default)
        if name in KINDS:
            raise ValueError(f"the action kind {name} is registered twice")
        KINDS[name] = Kind(name, settings, perform, exactly_once, keyed)
        return perform

    return register
