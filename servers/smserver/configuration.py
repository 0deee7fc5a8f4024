"""The one place where the site's configuration changes.

A change, its record in the audit trail, its events and its announcements are one transaction: all of it happens
or nothing. Each announcement has its own next revision from a locked row, so changes are made one after another
and readers can tell that they missed one. What is announced follows the commit (`broker.relay`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from broker import outbox
from broker.codec import envelope
from broker.database import now
from broker.model import messages as m
from broker.model.base import Priority
from broker.model.resources import Alarm, Camera, Profile, Server, ServerRole, User
from broker.trust.identity import PublicIdentity
from servers.smserver import audit, events, rules, tables
from servers.smserver.audit import REDACTED, Author, Deed
from servers.smserver.errors import ConflictError, NotFoundError, StaleError
from servers.smserver.site import Key, Resource, Site, Stored, kind_of, load_site
from servers.smserver.store import Store
from servers.smserver.tables import counter, credential, node_key, resource, secret
from servers.smserver.vaulting import Secrets

SOURCE = "smserver"
"""Who says what is announced here."""

REMOVED: Mapping[str, Callable[[int, str], m.ConfigurationChange]] = {
    "server": lambda revision, object_id: m.ServerRemoved(revision=revision, server_id=object_id),
    "camera": lambda revision, object_id: m.CameraRemoved(revision=revision, camera_id=object_id),
    "alarm": lambda revision, object_id: m.AlarmRemoved(revision=revision, alarm_id=object_id),
    "profile": lambda revision, object_id: m.ProfileRemoved(revision=revision, profile_id=object_id),
    "user": lambda revision, object_id: m.UserRemoved(revision=revision, user_id=object_id),
}


class Configuration:
    """Makes changes. `committed` is called after each commit, from the thread that made it."""

    def __init__(self, store: Store, secrets: Secrets, committed: Callable[[], None]) -> None:
        self._store = store
        self._secrets = secrets
        self._committed = committed

    @contextmanager
    def change(self, author: Author) -> Iterator["Change"]:
        """One change of one or more resources. An error inside undoes all of it.

        Raises:
            RefusedError: the result would not be a valid site, or the caller's picture is out of date.
            NotReadyError: the database is away.
        """
        with self._store.write() as connection:
            change = Change(connection, author, self._secrets)
            yield change
            change.finish()
        self._committed()


class Change:
    """What has been asked for so far; nothing is announced before `finish`."""

    def __init__(self, connection: Connection, author: Author, secrets: Secrets) -> None:
        self.connection = connection
        self.author = author
        self._secrets = secrets
        # Locks the row until the end of the transaction: from here on, nobody else changes the site.
        self._revision: int = connection.execute(
            sa.update(counter)
            .where(counter.c.name == "revision")
            .values(value=counter.c.value + 0)
            .returning(counter.c.value)
        ).scalar_one()
        self.at: datetime = now(connection)
        self._before = load_site(connection)
        self._wanted: dict[Key, Resource | None] = {}
        self._passwords: dict[Key, str] = {}
        self._dirty_secrets: set[str] = set()
        self._dirty_users: set[str] = set()
        self._deeds: list[Deed] = []
        self._said: list[m.Message] = []
        self._edited: dict[Key, int] = {}

    @property
    def site(self) -> Site:
        """The site as it will be."""
        return self._before.with_changes(self._wanted)

    def etag(self, cls: type[Resource], object_id: str) -> int:
        """The ETag number of a resource after `finish`; one that was written without a difference keeps its own."""
        key = (kind_of(cls), object_id)
        return self._edited[key] if key in self._edited else self._before.stored[key].edited

    # --- What can be asked for ------------------------------------------------------------------------------

    def create(self, value: Resource) -> None:
        """Add a resource. Raises `ConflictError` when its id is taken."""
        key = (kind_of(value), value.id)
        if key in self._before.stored:
            raise ConflictError(
                f"There already is a {key[0]} {value.id}.", field="id", remedy="Choose another id, or change that one."
            )
        self._wanted[key] = value

    def replace(self, value: Resource, *, expected: int | None) -> None:
        """Put a resource in the place of the one with its id, if that is still the one the caller knows."""
        key = (kind_of(value), value.id)
        self._expect(key, expected)
        self._wanted[key] = value

    def remove(self, cls: type[Resource], object_id: str, *, expected: int | None = None) -> None:
        """Delete a resource. Profiles forget a camera or an alarm that is gone."""
        key = (kind_of(cls), object_id)
        self._expect(key, expected)
        self._wanted[key] = None
        for profile in self.site.every(Profile):
            if cls is Camera and object_id in profile.camera_ids:
                slimmer = profile.model_copy(update={"camera_ids": profile.camera_ids - {object_id}})
                self._wanted["profile", profile.id] = slimmer
            if cls is Alarm and object_id in profile.alarm_ids:
                slimmer = profile.model_copy(update={"alarm_ids": profile.alarm_ids - {object_id}})
                self._wanted["profile", profile.id] = slimmer

    def set_camera_password(self, camera_id: str, password: str) -> None:
        """Give a camera its password, or take it away with an empty one."""
        camera = self.site.find(Camera, camera_id)
        assert camera is not None, "the camera is written first"
        ref = camera.secret_ref
        self._passwords["camera", camera_id] = REDACTED
        if not password:
            self._wanted["camera", camera_id] = camera.model_copy(update={"secret_ref": None})
            return
        if ref is None:
            ref = f"secret-{uuid4().hex[:16]}"
            self._wanted["camera", camera_id] = camera.model_copy(update={"secret_ref": ref})
        encrypted = self._secrets.keep_password(ref, password)
        updated = self.connection.execute(
            sa.update(secret).where(secret.c.ref == ref).values(encrypted=encrypted, node_id="", sealed="")
        )
        if not updated.rowcount:
            self.connection.execute(sa.insert(secret).values(ref=ref, camera_id=camera_id, encrypted=encrypted))
        self._dirty_secrets.add(ref)

    def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Give a user a new login password."""
        self._credential(user_id, password_hash=password_hash)
        self._passwords["user", user_id] = REDACTED

    def set_stream_secret(self, user_id: str, stream_secret: str) -> None:
        """Give a user a new stream secret, and each DVRServer what it needs to check it."""
        encrypted = self._secrets.keep_ha1(user_id, stream_secret)
        sealed = {
            node.node_id: self._secrets.seal_ha1(user_id, encrypted, node)
            for node in self._nodes()
            if node.role == ServerRole.DVRSERVER
        }
        self._credential(user_id, stream_ha1=encrypted, stream_sealed=sealed)
        self._dirty_users.add(user_id)
        self.did(Deed(action="new stream secret", kind="user", object_id=user_id, after={"stream_secret": REDACTED}))

    def admit(self, identity: PublicIdentity) -> None:
        """Store the keys of a node; seal to it what it needs."""
        values = {"identity": identity.model_dump(mode="json"), "enrolled_at": self.at}
        self.connection.execute(sa.insert(node_key).values(node_id=identity.node_id, **values))
        self.did(
            Deed(
                action="enrol",
                kind="server",
                object_id=identity.node_id,
                after={"signing_key": identity.signing_key, "sealing_key": identity.sealing_key},
            )
        )
        if identity.role != ServerRole.DVRSERVER:
            return
        for row in self.connection.execute(sa.select(credential).where(credential.c.stream_ha1.is_not(None))).all():
            sealed = {
                **row.stream_sealed,
                identity.node_id: self._secrets.seal_ha1(row.user_id, row.stream_ha1, identity),
            }
            self._credential(row.user_id, stream_sealed=sealed)
            self._dirty_users.add(row.user_id)

    def did(self, deed: Deed) -> None:
        """Add a record to the audit trail beside those of the changed resources."""
        self._deeds.append(deed)

    def say(self, message: m.Message) -> None:
        """Announce something that is no configuration, such as an ended session, with the same commit."""
        self._said.append(message)

    # --- The end of the transaction -------------------------------------------------------------------------

    def finish(self) -> None:
        """Check the result and write it with its audit records, events and announcements."""
        after = self.site
        rules.check(self._before, after, self._wanted)
        written = {
            key: value
            for key, value in self._wanted.items()
            if key not in self._before.stored or value is None or self._before.stored[key].value != value
        }
        announced: list[m.ConfigurationChange] = []
        lanes = after.lanes()
        for key, value in written.items():
            announced.append(self._write(key, value, lanes))
        announced += self._secret_changes(after)
        announced += self._new_lanes(lanes, written)
        for user_id in sorted(self._dirty_users):
            user = after.find(User, user_id)
            if user and ("user", user_id) not in written:
                announced.append(self._again(("user", user_id), user, lanes))
        self._publish(announced)
        for key, value in written.items():
            audit.record(self.connection, self.author, self._deed(key, value))
        for kind, object_id in sorted(self._passwords.keys() - written.keys()):
            deed = Deed(action="set password", kind=kind, object_id=object_id, after={"password": REDACTED})
            audit.record(self.connection, self.author, deed)
        for deed in self._deeds:
            audit.record(self.connection, self.author, deed)

    def _write(self, key: Key, value: Resource | None, lanes: Mapping[str, Priority]) -> m.ConfigurationChange:
        kind, object_id = key
        revision = self._next()
        row = (resource.c.kind == kind) & (resource.c.id == object_id)
        if value is None:
            self.connection.execute(sa.delete(resource).where(row))
            self._forget(kind, object_id)
            return REMOVED[kind](revision, object_id)
        values = {"revision": revision, "edited": revision, "body": value.model_dump(mode="json")}
        if key in self._before.stored:
            self.connection.execute(sa.update(resource).where(row).values(**values))
        else:
            self.connection.execute(sa.insert(resource).values(kind=kind, id=object_id, **values))
        self._edited[key] = revision
        return configured(self.connection, value, revision, lanes)

    def _again(self, key: Key, value: Resource, lanes: Mapping[str, Priority]) -> m.ConfigurationChange:
        """Announce a resource that has not changed, because something beside it has."""
        revision = self._next()
        self.connection.execute(
            sa.update(resource).where(resource.c.kind == key[0], resource.c.id == key[1]).values(revision=revision)
        )
        return configured(self.connection, value, revision, lanes)

    def _forget(self, kind: str, object_id: str) -> None:
        if kind == "server":
            self.connection.execute(sa.delete(node_key).where(node_key.c.node_id == object_id))
            self.connection.execute(sa.delete(tables.node_state).where(tables.node_state.c.node_id == object_id))
        elif kind == "user":
            self.connection.execute(sa.delete(credential).where(credential.c.user_id == object_id))
            self.connection.execute(sa.delete(tables.layout).where(tables.layout.c.user_id == object_id))

    def _new_lanes(
        self, lanes: Mapping[str, Priority], written: Mapping[Key, Resource | None]
    ) -> list[m.ConfigurationChange]:
        """The cameras whose triggers travel in another lane from now on."""
        before = self._before.lanes()
        moved = [id_ for id_, lane in lanes.items() if before.get(id_, lane) != lane and ("camera", id_) not in written]
        return [
            self._again(("camera", id_), camera, lanes)
            for id_ in sorted(moved)
            if (camera := self.site.find(Camera, id_))
        ]

    def _secret_changes(self, after: Site) -> list[m.ConfigurationChange]:
        """Seal camera passwords to the nodes that need them now, and drop those that nobody needs."""
        found: list[m.ConfigurationChange] = []
        nodes = {node.node_id: node for node in self._nodes()}
        owners = {camera.secret_ref: camera for camera in after.every(Camera) if camera.secret_ref}
        for row in self.connection.execute(sa.select(secret).order_by(secret.c.ref)).all():
            camera = owners.get(row.ref)
            if camera is None:
                self.connection.execute(sa.delete(secret).where(secret.c.ref == row.ref))
                found.append(m.SecretRemoved(revision=self._next(), secret_ref=row.ref))
                continue
            node = nodes.get(camera.node_id)
            if node is None or (row.node_id == node.node_id and row.sealed):
                continue
            revision = self._next()
            sealed = self._secrets.seal_password(row.ref, row.encrypted, node)
            self.connection.execute(
                sa.update(secret)
                .where(secret.c.ref == row.ref)
                .values(node_id=node.node_id, sealed=sealed, revision=revision)
            )
            found.append(m.SecretSealed(revision=revision, secret_ref=row.ref, node_id=node.node_id, sealed=sealed))
        return found

    def _publish(self, announced: Sequence[m.ConfigurationChange]) -> None:
        self.connection.execute(sa.update(counter).where(counter.c.name == "revision").values(value=self._revision))
        outbox.put(
            self.connection,
            tables.outbox,
            [envelope(message, source=SOURCE, time=self.at) for message in (*announced, *self._said)],
        )
        events.tell(
            self.connection,
            [
                events.Told(message.kind(), self.at, body)
                for message in (*announced, *self._said)
                if (body := told_to_clients(message)) is not None
            ],
        )

    def _deed(self, key: Key, value: Resource | None) -> Deed:
        kind, object_id = key
        stored = self._before.stored.get(key)
        after = None if value is None else value.model_dump(mode="json")
        if after is not None and key in self._passwords:
            after["password"] = self._passwords[key]
        return Deed(
            action="delete" if value is None else "change" if stored else "create",
            kind=kind,
            object_id=object_id,
            before=stored.value.model_dump(mode="json") if stored else None,
            after=after,
        )

    # --- Small pieces ---------------------------------------------------------------------------------------

    def _expect(self, key: Key, expected: int | None) -> Stored:
        stored = self._before.stored.get(key)
        if stored is None:
            raise NotFoundError(f"There is no {key[0]} {key[1]}.")
        if expected is not None and stored.edited != expected:
            raise StaleError(
                f"Somebody else has changed the {key[0]} {key[1]} since you read it.",
                remedy="Read it again and apply your change to what you find.",
            )
        return stored

    def _next(self) -> int:
        self._revision += 1
        return self._revision

    def _nodes(self) -> list[PublicIdentity]:
        rows = self.connection.execute(sa.select(node_key.c.identity)).scalars()
        return [PublicIdentity.model_validate(row, extra="ignore") for row in rows]

    def _credential(self, user_id: str, **values: Any) -> None:
        updated = self.connection.execute(sa.update(credential).where(credential.c.user_id == user_id).values(**values))
        if not updated.rowcount:
            self.connection.execute(sa.insert(credential).values(user_id=user_id, **{"stream_sealed": {}, **values}))


def configured(
    connection: Connection, value: Resource, revision: int, lanes: Mapping[str, Priority]
) -> m.ConfigurationChange:
    """The announcement of a resource as it is now."""
    match value:
        case Server():
            return m.ServerConfigured(revision=revision, server=value)
        case Camera():
            return m.CameraConfigured(revision=revision, camera=value, lane=lanes.get(value.id, Priority.LOW))
        case Alarm():
            return m.AlarmConfigured(revision=revision, alarm=value)
        case Profile():
            return m.ProfileConfigured(revision=revision, profile=value)
        case User():
            sealed = connection.execute(
                sa.select(credential.c.stream_sealed).where(credential.c.user_id == value.id)
            ).scalar()
            return m.UserConfigured(revision=revision, user=value, stream_ha1=sealed or {})


def told_to_clients(message: m.Message) -> dict[str, Any] | None:
    """The body of an event, without anything sealed; None for what clients need not hear of."""
    match message:
        case m.SecretSealed() | m.SecretRemoved():
            return None
        case m.UserConfigured():
            return message.model_dump(mode="json", exclude={"stream_ha1"})
        case _:
            return message.model_dump(mode="json")
