"""What hangs on a resource: what must be changed before it can be removed, and what happens to others. No Qt here."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from broker.model.actions import RecordCameraSettings
from broker.model.resources import Alarm


class Dependents(NamedTuple):
    """What hangs on a resource."""

    blocking: tuple[str, ...] = ()
    """These must be changed first; a sentence each."""
    affected: tuple[str, ...] = ()
    """This happens when it is removed; a sentence each."""


def dependents_of(kind: str, id_: str, every: Callable[[str], Iterable[Any]]) -> Dependents:
    """What hangs on a resource, as SMServer sees it; `every` gives all resources of a kind."""
    match kind:
        case "server":
            blocking = tuple(
                f"Camera {each.name} is captured by it." for each in every("camera") if each.node_id == id_
            )
            return Dependents(blocking, ("It may join again with new keys.",))
        case "camera":
            return Dependents(
                tuple(f"Alarm {alarm.name} uses it." for alarm in every("alarm") if uses(alarm, id_)),
                (
                    "Its footage stays on the server until it is too old, but nobody finds it by the camera.",
                    *_losing("camera_ids", id_, every),
                ),
            )
        case "alarm":
            return Dependents(
                affected=("What it raised so far stays in the alarm log.", *_losing("alarm_ids", id_, every))
            )
        case "profile":
            return Dependents(tuple(f"User {user.name} has it." for user in every("user") if user.profile_id == id_))
        case _:
            return Dependents(affected=("Sessions of this user end at once.", "The audit trail keeps the name."))


def uses(alarm: Alarm, camera_id: str) -> bool:
    """Whether an alarm looks at a camera or does something with it."""
    return camera_id in alarm.source_ids or any(
        isinstance(action, RecordCameraSettings) and action.camera_id == camera_id for action in alarm.actions
    )


def _losing(field: str, id_: str, every: Callable[[str], Iterable[Any]]) -> tuple[str, ...]:
    return tuple(f"Profile {profile.name} loses it." for profile in every("profile") if id_ in getattr(profile, field))
