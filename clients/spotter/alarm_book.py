"""The alarm events that an operator has before them: the newest hundred, as they change. Pure."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from broker.model import messages as m
from broker.model.base import Priority
from broker.model.log import Acknowledged, AlarmEvent
from broker.model.messages import AlarmState

MOST_EVENTS = 100
"""When the list is full, the oldest event that is over goes first."""
SNOOZES = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 120, 360, 720, 1440))
"""For how long an operator can be left alone by an alarm."""


class Filter(StrEnum):
    """Which events are listed."""

    ALL = "All"
    ACTIVE = "Active"
    OPEN = "Not acknowledged"


class AlarmBook:
    """Alarm events by id. `changed` methods say whether anything did."""

    def __init__(self) -> None:
        self._events: dict[str, AlarmEvent] = {}
        self._snoozed: dict[str, datetime] = {}

    def __len__(self) -> int:
        return len(self._events)

    def get(self, event_id: str) -> AlarmEvent | None:
        """One of them."""
        return self._events.get(event_id)

    def load(self, events: Iterable[AlarmEvent]) -> tuple[str, ...]:
        """Take what the server has; returns the ids of active events that were not known before.

        What the server does not list any more is older than what it lists, and stays while there is room.
        """
        new = []
        for event in events:
            if event.id not in self._events and event.state is AlarmState.ACTIVE and event.acknowledged is None:
                new.append(event.id)
            self._events[event.id] = event
        self._trim()
        return tuple(new)

    def apply(self, message: m.Message | None) -> bool:
        """Take a fact of the event stream; whether the book has changed."""
        if isinstance(message, m.AlarmRaised):
            if message.alarm_event_id in self._events:
                return False
            self._events[message.alarm_event_id] = _raised(message)
            self._trim()
            return True
        if not isinstance(message, m.AlarmFact):
            return False
        event = self._events.get(message.alarm_event_id)
        changes = _changes(message)
        if event is None or not changes:
            return False
        if event.state is AlarmState.ENDED:
            changes.pop("state", None)
        self._events[event.id] = event.model_copy(update=changes)
        return True

    def keep_alarms(self, alarm_ids: Iterable[str]) -> bool:
        """Forget the events of alarms that are not seen any more; whether there were some."""
        seen = set(alarm_ids)
        gone = [event.id for event in self._events.values() if event.alarm_id not in seen]
        for event_id in gone:
            del self._events[event_id]
        return bool(gone)

    def listed(self, which: Filter, words: str = "", now: datetime | None = None) -> list[AlarmEvent]:
        """The events to show, newest first; all of `words` occur in the name, the source or the priority."""
        now = now or datetime.now(UTC)
        wanted = words.lower().split()
        return [
            event
            for event in sorted(self._events.values(), key=lambda event: (event.raised_at, event.id), reverse=True)
            if _passes(event, which)
            and all(word in f"{event.alarm_name} {event.source_id} {event.priority}".lower() for word in wanted)
            and not (which is not Filter.ALL and self.snoozed(event.alarm_id, now))
        ]

    def listed_for(self, camera_ids: AbstractSet[str | None]) -> list[AlarmEvent]:
        """The events that concern any of these cameras."""
        return [event for event in self._events.values() if camera_ids & {event.source_id, *event.camera_ids}]

    @property
    def active(self) -> list[AlarmEvent]:
        """Those that are going on, oldest first."""
        going = [event for event in self._events.values() if event.state is AlarmState.ACTIVE]
        return sorted(going, key=lambda event: (event.raised_at, event.id))

    @property
    def unacknowledged(self) -> int:
        """How many nobody has taken notice of."""
        return sum(event.acknowledged is None for event in self._events.values())

    # --- Snooze -------------------------------------------------------------------------------------------------------

    def snooze(self, alarm_id: str, until: datetime | None) -> None:
        """Be left alone by an alarm until then; none: not any more."""
        if until is None:
            self._snoozed.pop(alarm_id, None)
        else:
            self._snoozed[alarm_id] = until

    def snoozed(self, alarm_id: str, now: datetime) -> bool:
        """Whether this operator is left alone by an alarm."""
        return self._snoozed.get(alarm_id, now) > now

    def snoozes(self, now: datetime) -> dict[str, datetime]:
        """The alarms that are snoozed, and until when."""
        return {alarm_id: until for alarm_id, until in self._snoozed.items() if until > now}

    def _trim(self) -> None:
        surplus = len(self._events) - MOST_EVENTS
        if surplus <= 0:
            return
        by_age = sorted(
            self._events.values(), key=lambda event: (event.state is not AlarmState.ENDED, event.raised_at, event.id)
        )
        for event in by_age[:surplus]:
            del self._events[event.id]


def _passes(event: AlarmEvent, which: Filter) -> bool:
    if which is Filter.ACTIVE:
        return event.state is AlarmState.ACTIVE
    if which is Filter.OPEN:
        return event.acknowledged is None
    return True


def _raised(message: m.AlarmRaised) -> AlarmEvent:
    return AlarmEvent(
        id=message.alarm_event_id,
        alarm_id=message.alarm_id,
        alarm_name=message.alarm_name,
        priority=message.priority,
        colour=message.colour,
        state=AlarmState.ACTIVE,
        source_id=message.source_id,
        node_id=message.node_id,
        occurred_at=message.occurred_at,
        raised_at=message.at,
        acknowledged=None,
        post_until=None,
        ended_at=None,
        until_acknowledged=message.until_acknowledged,
        camera_ids=message.camera_ids,
        actions=(),
        trace_id=message.trace_id,
    )


def _changes(message: m.AlarmFact) -> dict[str, object]:
    match message:
        case m.AlarmAcknowledged():
            by = Acknowledged(user_id=message.user_id, user_name=message.user_name, at=message.at)
            return {"acknowledged": by}
        case m.AlarmPostRecordingStarted():
            return {"state": AlarmState.POST_RECORDING, "post_until": message.until}
        case m.AlarmEnded():
            return {"state": AlarmState.ENDED, "ended_at": message.at}
    return {}


RANK = {Priority.HIGH: 2, Priority.AVERAGE: 1, Priority.LOW: 0}
"""For sorting and for the sound."""


def duration_text(event: AlarmEvent, now: datetime) -> str:
    """How long it has been going on, h:mm:ss."""
    end = event.ended_at or now
    seconds = max(int((end - event.occurred_at).total_seconds()), 0)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
