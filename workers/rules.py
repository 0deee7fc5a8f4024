"""Which alarms a trigger event starts and ends. Pure: no clock, no database, no Celery; callers pass `now`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from broker.model.actions import ActionSettings, RecordCameraSettings
from broker.model.base import Word
from broker.model.messages import TriggerActivated, TriggerEnded, TriggerFact
from broker.model.resources import Alarm, Calendar

KINDS_AT_END = ("record_camera",)
"""The kinds of actions that are performed a second time when the alarm stops being active."""


@dataclass(frozen=True, slots=True)
class ActiveAlarm:
    """An alarm event that is active: what its row says, not what the alarm's configuration says by now."""

    alarm_event_id: str
    alarm_id: str
    until_acknowledged: bool
    post_s: int
    acts_at_end: bool


@dataclass(frozen=True, slots=True)
class Raise:
    """A new alarm event."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class Note:
    """The cause of an active alarm event was seen once more: noted, not doubled."""

    active: ActiveAlarm


@dataclass(frozen=True, slots=True)
class Stop:
    """An alarm event is active no more. Footage is kept until `until`; none: it has ended altogether."""

    active: ActiveAlarm
    at: datetime
    until: datetime | None


Decision = Raise | Note | Stop


def plan(
    event: TriggerFact, alarms: Iterable[Alarm], active: Mapping[str, ActiveAlarm], now: datetime
) -> list[Decision]:
    """What becomes of one trigger event.

    Args:
        event: what was seen.
        alarms: the configured ones that name the event's source.
        active: this source's active alarm events by alarm id.
        now: by the database's clock.
    """
    match event:
        case TriggerActivated():
            return [
                Note(active[alarm.id]) if alarm.id in active else Raise(alarm)
                for alarm in alarms
                if alarm.id in active or may_start(alarm, event)
            ]
        case TriggerEnded():
            return [stop(one, event.occurred_at, now) for one in active.values() if not one.until_acknowledged]
        case _:
            return []


def may_start(alarm: Alarm, event: TriggerFact) -> bool:
    """Whether this event starts this alarm: the trigger fits and the calendar had it on when it was seen.

    The recorder's time counts, so that an event which waited in a journal is judged by the hour it happened in.
    """
    return (
        alarm.enabled
        and event.trigger == alarm.trigger.kind
        and event.source_id in alarm.source_ids
        and is_on(alarm.calendar, event.occurred_at)
    )


def is_on(calendar: Calendar, at: datetime) -> bool:
    """Whether a calendar is on at a moment. The hour is the one on the wall clock of the calendar's zone.

    When clocks go back, the hour that happens twice follows its digit twice; the hour that is left out in spring
    never comes.
    """
    local = at.astimezone(ZoneInfo(calendar.time_zone))
    day = calendar.exceptions.get(local.date().isoformat(), calendar.week[local.weekday()])
    return day[local.hour] == "1"


def stop(active: ActiveAlarm, at: datetime, now: datetime) -> Stop:
    """How an alarm event stops being active at a moment, which may be long ago when the news was late."""
    until = at + timedelta(seconds=active.post_s)
    return Stop(active, at.astimezone(UTC), until if until > now else None)


def post_s_of(actions: Sequence[ActionSettings]) -> int:
    """How long an alarm is in post-recording: as long as the longest of its actions wants."""
    return max((one.post_s for one in actions if isinstance(one, RecordCameraSettings)), default=0)


def acts_at_end(actions: Sequence[ActionSettings]) -> bool:
    """Whether any of them is performed a second time when the alarm stops being active."""
    return any(isinstance(one, RecordCameraSettings) for one in actions)


def cameras_of(alarm: Alarm) -> tuple[Word, ...]:
    """The cameras to show for an alarm: the trigger's first, then those of its actions."""
    named = [alarm.trigger.camera_id]
    named += [one.camera_id for one in alarm.actions if isinstance(one, RecordCameraSettings)]
    return tuple(dict.fromkeys(named))


class AlarmIndex:
    """The configured alarms by source, so that an event finds its alarms at once however many there are."""

    def __init__(self, alarms: Iterable[Alarm] = ()) -> None:
        self._by_source: dict[str, list[Alarm]] = {}
        for alarm in sorted(alarms, key=lambda alarm: alarm.id):
            for source_id in alarm.source_ids:
                self._by_source.setdefault(source_id, []).append(alarm)

    def of(self, source_id: str) -> Sequence[Alarm]:
        """The alarms that name a source."""
        return self._by_source.get(source_id, ())
