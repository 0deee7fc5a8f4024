"""All resources of the site at one moment, and what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.model.access import Access
from broker.model.base import Priority, most_urgent
from broker.model.resources import Alarm, Camera, Profile, Right, Server, ServerRole, User
from servers.smserver.tables import resource

Resource: TypeAlias = Server | Camera | Alarm | Profile | User
"""What an administrator configures."""

AnyResource = TypeVar("AnyResource", Server, Camera, Alarm, Profile, User)

KINDS: Mapping[str, type[Resource]] = {
    "server": Server,
    "camera": Camera,
    "alarm": Alarm,
    "profile": Profile,
    "user": User,
}
"""The kinds of resources, in the order in which a replica wants to hear of them."""


def kind_of(value: Resource | type[Resource]) -> str:
    """The name of a resource's kind."""
    return (value if isinstance(value, type) else type(value)).__name__.lower()


class Stored(NamedTuple):
    """A resource with its numbers."""

    value: Resource
    revision: int
    """Of its last announcement."""
    edited: int
    """Of its last edit: the ETag."""


Key: TypeAlias = tuple[str, str]
"""Kind and id of a resource."""


@dataclass(frozen=True)
class Site:
    """A picture of all resources, by kind and id."""

    stored: Mapping[Key, Stored] = field(default_factory=dict)

    def find(self, cls: type[AnyResource], object_id: str) -> AnyResource | None:
        """The resource with this id, if there is one."""
        found = self.stored.get((kind_of(cls), object_id))
        return found.value if found and isinstance(found.value, cls) else None

    def every(self, cls: type[AnyResource]) -> list[AnyResource]:
        """All resources of a kind, in the order of their ids."""
        return [found.value for _, found in sorted(self.stored.items()) if isinstance(found.value, cls)]

    def lane(self, camera_id: str) -> Priority:
        """The lane of a camera's triggers: the highest priority of the enabled alarms that name it."""
        return most_urgent(
            [alarm.priority for alarm in self.every(Alarm) if alarm.enabled and camera_id in alarm.source_ids]
        )

    def lanes(self) -> dict[str, Priority]:
        """The lanes of all cameras."""
        named: dict[str, list[Priority]] = {camera.id: [] for camera in self.every(Camera)}
        for alarm in self.every(Alarm):
            if alarm.enabled:
                for source_id in alarm.source_ids & named.keys():
                    named[source_id].append(alarm.priority)
        return {camera_id: most_urgent(priorities) for camera_id, priorities in named.items()}

    def access(self, user_id: str) -> Access | None:
        """What a user may do; None for somebody unknown or disabled."""
        user = self.find(User, user_id)
        profile = self.find(Profile, user.profile_id) if user and user.enabled else None
        return Access(user, profile) if user and profile else None

    def administrators(self) -> list[User]:
        """Who can sign in and configure."""
        profiles = {profile.id for profile in self.every(Profile) if Right.ADMINISTER in profile.rights}
        return [user for user in self.every(User) if user.enabled and user.profile_id in profiles]

    def with_changes(self, changes: Mapping[Key, Resource | None]) -> "Site":
        """The site as it would be; None removes. The numbers of what changes are not yet known, hence 0."""
        stored = dict(self.stored)
        for key, value in changes.items():
            if value is None:
                stored.pop(key, None)
            else:
                before = stored.get(key)
                stored[key] = before._replace(value=value) if before else Stored(value, 0, 0)
        return replace(self, stored=stored)


def load_site(connection: Connection) -> Site:
    """Read all resources."""
    rows = connection.execute(sa.select(resource))
    return Site({(row.kind, row.id): Stored(parse(row.kind, row.body), row.revision, row.edited) for row in rows})


def load_one(connection: Connection, cls: type[AnyResource], object_id: str) -> tuple[AnyResource, int] | None:
    """Read one resource and its ETag number."""
    row = connection.execute(
        sa.select(resource.c.body, resource.c.edited).where(resource.c.kind == kind_of(cls), resource.c.id == object_id)
    ).one_or_none()
    return (cls.model_validate(row.body, extra="ignore"), row.edited) if row else None


def load_access(connection: Connection, user_id: str) -> Access | None:
    """What a user may do; None for somebody unknown or disabled."""
    user = load_one(connection, User, user_id)
    profile = load_one(connection, Profile, user[0].profile_id) if user and user[0].enabled else None
    return Access(user[0], profile[0]) if user and profile else None


def parse(kind: str, body: Mapping[str, Any]) -> Resource:
    """A resource as its row tells it; fields of a newer version are left out."""
    return KINDS[kind].model_validate(body, extra="ignore")


def watched_as(camera: Camera, servers: Mapping[str, Server]) -> Camera:
    """A camera as people see who only watch it: with the addresses of its DVRServer, not the camera's own."""
    server = servers.get(camera.node_id)
    base = f"{server.stream_url if server and server.stream_url else f'rtsp://{camera.node_id}'}/camera/{camera.id}"
    return camera.model_copy(
        update={
            "main_url": f"{base}/main",
            "sub_url": f"{base}/sub" if camera.sub_url else None,
            "username": "",
            "secret_ref": None,
        }
    )


def answered_as(alarm: Alarm) -> Alarm:
    """An alarm as operators see it: what is done about it, and notes for administrators, are left out."""
    return alarm.model_copy(update={"administrator_description": "", "actions": ()})


def dvrservers(site: Site) -> list[Server]:
    """The servers that can capture cameras."""
    return [server for server in site.every(Server) if server.role == ServerRole.DVRSERVER]
