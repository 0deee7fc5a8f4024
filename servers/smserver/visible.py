"""Which events a client hears of, and what it hears: the same rules as for reading, object by object."""

from typing import Any

from broker.model.access import Access
from broker.model.resources import Alarm, Camera, Server
from servers.smserver.conditions import state_as
from servers.smserver.events import Event
from servers.smserver.site import Site, answered_as, watched_as

ACCESS_KINDS = frozenset(
    {"UserConfigured", "UserRemoved", "ProfileConfigured", "ProfileRemoved", "ServerConfigured", "ServerRemoved"}
)
"""After these, what a client may see has perhaps changed."""


def seen_by(event: Event, access: Access, session_id: str, servers: dict[str, Server]) -> Event | None:  # noqa: C901, PLR0911, PLR0912 - one short rule per kind
    """The event as this client may see it; None when it may not."""
    data = event.data
    match event.kind:
        case "SessionRevoked":
            return event if data["session_id"] == session_id else None
        case "AlarmRaised":
            if not access.alarm(data["alarm_id"]):
                return None
            return event._replace(
                data={**data, "camera_ids": [id_ for id_ in data["camera_ids"] if access.camera(id_)]}
            )
        case "AlarmAcknowledged" | "AlarmPostRecordingStarted" | "AlarmEnded" | "ActionPerformed":
            return event if access.alarm(data["alarm_id"]) else None
        case "NodeStateReported":
            state = state_as(data, access)
            return event._replace(data=state) if state else None
        case "UpdateAvailable":
            return event  # which versions there are is no secret: VAU asks for them before anybody has signed in
        case _ if access.administer:
            return event
        case "HealthEventReported":
            return event if data["subject"] and access.camera(data["subject"]) else None
        case "CameraConfigured":
            camera = Camera.model_validate(data["camera"], extra="ignore")
            return _with(event, "camera", watched_as(camera, servers)) if access.camera(camera.id) else None
        case "CameraRemoved":
            return event if access.camera(data["camera_id"]) else None
        case "AlarmConfigured":
            alarm = Alarm.model_validate(data["alarm"], extra="ignore")
            return _with(event, "alarm", answered_as(alarm)) if access.alarm(alarm.id) else None
        case "AlarmRemoved":
            return event if access.alarm(data["alarm_id"]) else None
        case "UserConfigured":
            return event if data["user"]["id"] == access.user.id else None
        case "ProfileConfigured":
            return event if data["profile"]["id"] == access.profile.id else None
        case _:
            return None


def _with(event: Event, name: str, value: Camera | Alarm) -> Event:
    return event._replace(data={**event.data, name: value.model_dump(mode="json")})


def seen_cameras(site: Site, access: Access) -> list[Camera]:
    """The cameras that the caller sees, with the addresses at which they watch them."""
    servers = {server.id: server for server in site.every(Server)}
    return [watched_as(camera, servers) for camera in site.every(Camera) if access.camera(camera.id)]


def seen_alarms(site: Site, access: Access) -> list[Alarm]:
    """The alarms that the caller sees."""
    return [answered_as(alarm) for alarm in site.every(Alarm) if access.alarm(alarm.id)]


def seen_servers(site: Site, access: Access) -> list[Server]:
    """The servers that capture what the caller sees."""
    needed = {camera.node_id for camera in site.every(Camera) if access.camera(camera.id)}
    return [server for server in site.every(Server) if server.id in needed or access.administer]


def body_of(event: Event) -> dict[str, Any]:
    """What travels on the WebSocket."""
    return {"id": event.id, "kind": event.kind, "time": event.at.isoformat(), "data": event.data}
