"""What must hold between resources. Pure: it looks at the site before and after a change and objects or not."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from broker.model.actions import RecordCameraSettings
from broker.model.resources import Alarm, Camera, Profile, Server, ServerRole, User
from servers.smserver.errors import ConflictError, RefusedError
from servers.smserver.site import Key, Resource, Site, dvrservers

RESERVED_USERS = frozenset({"system", "anonymous"})
"""Names that the audit trail uses itself."""


def check(before: Site, after: Site, changes: Mapping[Key, Resource | None]) -> None:
    """Raise `RefusedError` or `ConflictError` when the changes cannot stand."""
    for (kind, object_id), value in changes.items():
        match value:
            case None:
                _not_in_use(after, kind, object_id)
            case Server():
                _server(after, value)
            case Camera():
                _camera(after, value)
            case Alarm():
                _alarm(after, value)
            case Profile():
                _profile(after, value)
            case User():
                _user(after, value)
    if before.administrators() and not after.administrators():
        raise ConflictError(
            "This would leave nobody who can administer the site.",
            field="profile_id",
            remedy="Give another enabled user a profile with the right administer first.",
        )


def _server(site: Site, server: Server) -> None:
    _dialled("control_url", server.control_url, ("http", "https"))
    _dialled("stream_url", server.stream_url, ("rtsp", "rtsps"))
    captured = [camera.id for camera in site.every(Camera) if camera.node_id == server.id]
    if captured and server.role != ServerRole.DVRSERVER:
        raise ConflictError(
            f"Server {server.id} captures {_named('camera', captured)}, so it must stay a dvrserver.",
            field="role",
            remedy="Move its cameras to another DVRServer first.",
        )


def _dialled(field: str, url: str, schemes: tuple[str, str]) -> None:
    """Others build on these addresses, and let calls to them through: see `broker.trust.egress`."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0 and not set("@ \\") & set(url)
    except ValueError:
        good = False
    if url and not (good and url.isprintable()):
        raise RefusedError(
            f"{url!r} is no address of this kind.", field=field, remedy=f"An example is {schemes[0]}://192.0.2.7:5000."
        )


def _camera(site: Site, camera: Camera) -> None:
    nodes = [server.id for server in dvrservers(site)]
    if camera.node_id not in nodes:
        raise RefusedError(
            f"There is no DVRServer {camera.node_id}.",
            field="node_id",
            remedy=f"Name one of: {', '.join(nodes)}." if nodes else "Start a DVRServer first: it joins by itself.",
        )


def _alarm(site: Site, alarm: Alarm) -> None:
    _camera_exists(site, alarm.trigger.camera_id, "trigger.camera_id")
    for number, action in enumerate(alarm.actions):
        if isinstance(action, RecordCameraSettings):
            _camera_exists(site, action.camera_id, f"actions.{number}.camera_id")


def _camera_exists(site: Site, camera_id: str, field: str) -> None:
    if site.find(Camera, camera_id) is None:
        raise RefusedError(
            f"There is no camera {camera_id}.", field=field, remedy="Name a camera of the site, or add this one first."
        )


def _profile(site: Site, profile: Profile) -> None:
    for camera_id in sorted(profile.camera_ids):
        _camera_exists(site, camera_id, "camera_ids")
    for alarm_id in sorted(profile.alarm_ids):
        if site.find(Alarm, alarm_id) is None:
            raise RefusedError(
                f"There is no alarm {alarm_id}.",
                field="alarm_ids",
                remedy="Name an alarm of the site, or add this one first.",
            )


def _user(site: Site, user: User) -> None:
    if user.id in RESERVED_USERS:
        raise RefusedError(
            f"The name {user.id} is kept for the system itself.", field="id", remedy="Choose another sign-in name."
        )
    if site.find(Profile, user.profile_id) is None:
        profiles = ", ".join(profile.id for profile in site.every(Profile))
        raise RefusedError(
            f"There is no profile {user.profile_id}.", field="profile_id", remedy=f"Name one of: {profiles}."
        )


def users_of_camera(site: Site, camera_id: str) -> list[str]:
    """The alarms that look at a camera or do something with it."""
    return [
        alarm.id
        for alarm in site.every(Alarm)
        if camera_id in alarm.source_ids
        or any(isinstance(action, RecordCameraSettings) and action.camera_id == camera_id for action in alarm.actions)
    ]


def _not_in_use(site: Site, kind: str, object_id: str) -> None:
    match kind:
        case "server":
            word, using = "camera", [camera.id for camera in site.every(Camera) if camera.node_id == object_id]
            remedy = "Move these cameras to another DVRServer or delete them first."
        case "camera":
            word, using = "alarm", users_of_camera(site, object_id)
            remedy = "Delete these alarms or give them another camera first."
        case "profile":
            word, using = "user", [user.id for user in site.every(User) if user.profile_id == object_id]
            remedy = "Give these users another profile first."
        case _:
            return
    if using:
        raise ConflictError(f"The {kind} {object_id} is in use by {_named(word, using)}.", remedy=remedy)


def _named(word: str, ids: Iterable[str]) -> str:
    found = sorted(ids)
    return f"{word}{'s' if len(found) > 1 else ''} {', '.join(found)}"
