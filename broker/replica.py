"""A process's own copy of the configuration: a snapshot from SMServer, then changes from the bus, kept on disk.

With SMServer and broker gone a process works on with its copy, also after a restart.
"""

import asyncio
import contextlib
import json
import os
import random
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import ValidationError

from broker import metrics
from broker.codec import message_of
from broker.errors import MessageError
from broker.model import messages as m
from broker.model.access import Access
from broker.model.base import Priority, Value
from broker.model.resources import Alarm, Camera, Profile, Server, User
from broker.process import logger
from broker.transport import Subscriber

log = logger(__name__)

BATCH = 200
REFRESH_S = 600
"""How often the whole is fetched even when nothing seems to be missing."""


DOUBT_S = 2
"""The shortest time between two looks at the whole that old changes gave a reason for."""


class Snapshot(Value):
    """The whole configuration at a revision, as the changes that make it: what `GET /config/snapshot` answers."""

    revision: int
    changes: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, revision: int, changes: Iterable[m.ConfigurationChange]) -> Self:
        """A snapshot from messages."""
        return cls(
            revision=revision,
            changes=tuple(
                {"kind": change.kind(), "version": change.version, "body": change.model_dump(mode="json")}
                for change in changes
            ),
        )

    def messages(self) -> list[m.ConfigurationChange]:
        """The messages in it; those this program does not know, or cannot read, are left out with a word in the log."""
        found = []
        for change in self.changes:
            try:
                message = message_of(change["kind"], change["version"], json.dumps(change["body"]).encode())
            except (MessageError, KeyError) as error:
                log.warning("part of the configuration is not understood", kind=change.get("kind"), reason=str(error))
                continue
            if isinstance(message, m.ConfigurationChange):
                found.append(message)
        return found


@dataclass(frozen=True, slots=True)
class _State:
    """Everything at one revision; replaced as a whole, so that readers on any thread see one or the other."""

    revision: int = 0
    servers: Mapping[str, Server] = field(default_factory=dict)
    cameras: Mapping[str, Camera] = field(default_factory=dict)
    lanes: Mapping[str, Priority] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    stream_ha1: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, m.SecretSealed] = field(default_factory=dict)


def _with(mapping: Mapping[str, Any], key: str, value: object) -> Mapping[str, Any]:
    return MappingProxyType({**mapping, key: value})


def _without(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return MappingProxyType({name: value for name, value in mapping.items() if name != key})


def _changed(state: _State, change: m.ConfigurationChange) -> _State:  # noqa: C901, PLR0912 - one short arm per change
    match change:
        case m.ServerConfigured(server=server):
            state = replace(state, servers=_with(state.servers, server.id, server))
        case m.ServerRemoved(server_id=id_):
            state = replace(state, servers=_without(state.servers, id_))
        case m.CameraConfigured(camera=camera, lane=lane):
            cameras, lanes = _with(state.cameras, camera.id, camera), _with(state.lanes, camera.id, lane)
            state = replace(state, cameras=cameras, lanes=lanes)
        case m.CameraRemoved(camera_id=id_):
            state = replace(state, cameras=_without(state.cameras, id_), lanes=_without(state.lanes, id_))
        case m.AlarmConfigured(alarm=alarm):
            state = replace(state, alarms=_with(state.alarms, alarm.id, alarm))
        case m.AlarmRemoved(alarm_id=id_):
            state = replace(state, alarms=_without(state.alarms, id_))
        case m.ProfileConfigured(profile=profile):
            state = replace(state, profiles=_with(state.profiles, profile.id, profile))
        case m.ProfileRemoved(profile_id=id_):
            state = replace(state, profiles=_without(state.profiles, id_))
        case m.UserConfigured(user=user, stream_ha1=ha1):
            users, stream_ha1 = _with(state.users, user.id, user), _with(state.stream_ha1, user.id, ha1)
            state = replace(state, users=users, stream_ha1=stream_ha1)
        case m.UserRemoved(user_id=id_):
            state = replace(state, users=_without(state.users, id_), stream_ha1=_without(state.stream_ha1, id_))
        case m.SecretSealed(secret_ref=ref):
            state = replace(state, secrets=_with(state.secrets, ref, change))
        case m.SecretRemoved(secret_ref=ref):
            state = replace(state, secrets=_without(state.secrets, ref))
        case _:
            raise AssertionError(change.kind())
    return state


class Replica:
    """The copy. Reading is safe from any thread; changes come from one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _State()
        self._callbacks: list[Callable[[m.ConfigurationChange | None], None]] = []
        self._saving = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The copy on disk, or an empty one at revision 0 when there is none or it is damaged."""
        replica = cls(path)
        try:
            snapshot = Snapshot.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            log.warning("copy of the configuration is damaged and is fetched anew", path=str(path), error=str(error))
        else:
            replica._state = _built(snapshot)
        return replica

    @property
    def revision(self) -> int:
        """The revision of the configuration that is held; 0 before the first."""
        return self._state.revision

    @property
    def servers(self) -> Mapping[str, Server]:
        """Servers by id."""
        return self._state.servers

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """Cameras by id."""
        return self._state.cameras

    @property
    def lanes(self) -> Mapping[str, Priority]:
        """The lane of each camera's triggers, by camera id."""
        return self._state.lanes

    @property
    def alarms(self) -> Mapping[str, Alarm]:
        """Alarms by id."""
        return self._state.alarms

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Profiles by id."""
        return self._state.profiles

    @property
    def users(self) -> Mapping[str, User]:
        """Users by id."""
        return self._state.users

    @property
    def stream_ha1(self) -> Mapping[str, Mapping[str, str]]:
        """Sealed HA1 values by user id, then node id."""
        return self._state.stream_ha1

    @property
    def secrets(self) -> Mapping[str, m.SecretSealed]:
        """Sealed camera passwords by secret_ref."""
        return self._state.secrets

    def access(self, user_id: str) -> Access | None:
        """What a user may do; None when the user or the user's profile is unknown."""
        state = self._state
        user = state.users.get(user_id)
        profile = state.profiles.get(user.profile_id) if user else None
        return Access(user, profile) if user and profile else None

    def on_change(self, callback: Callable[[m.ConfigurationChange | None], None]) -> None:
        """Call back after each change, with None when everything may have changed."""
        self._callbacks.append(callback)

    def apply(self, message: m.ConfigurationChange, *, save: bool = True) -> bool:
        """Take in one change. False means a gap before it: nothing was changed and the whole must be fetched.

        A change that is already held is left out and counts as applied.
        """
        if message.revision <= self.revision:
            return True
        if message.revision != self.revision + 1:
            return False
        self._state = replace(_changed(self._state, message), revision=message.revision)
        if save:
            self.save()
        self._tell(message)
        return True

    def reset(self, snapshot: Snapshot, *, save: bool = True) -> None:
        """Take in the whole, whatever was held before."""
        state = _built(snapshot)
        same = state == self._state
        self._state = state
        if save:
            self.save()
        if not same:
            self._tell(None)

    def snapshot(self) -> Snapshot:
        """What is held, as changes that make it."""
        state = self._state
        revision = max(state.revision, 1)
        changes: list[m.ConfigurationChange] = [
            *(m.ServerConfigured(revision=revision, server=server) for server in state.servers.values()),
            *(
                m.CameraConfigured(revision=revision, camera=camera, lane=state.lanes[camera.id])
                for camera in state.cameras.values()
            ),
            *(m.AlarmConfigured(revision=revision, alarm=alarm) for alarm in state.alarms.values()),
            *(m.ProfileConfigured(revision=revision, profile=profile) for profile in state.profiles.values()),
            *(
                m.UserConfigured(revision=revision, user=user, stream_ha1=dict(state.stream_ha1[user.id]))
                for user in state.users.values()
            ),
            *state.secrets.values(),
        ]
        return Snapshot.of(state.revision, changes)

    def save(self) -> None:
        """Put the copy on disk, whole or not at all. A full disk is logged: the next change tries again."""
        metrics.REPLICA_REVISION.set(self.revision)
        with self._saving:
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.snapshot().model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            log.warning("copy of the configuration cannot be stored", path=str(self._path), error=str(error))

    def _tell(self, change: m.ConfigurationChange | None) -> None:
        for callback in self._callbacks:
            try:
                callback(change)
            except Exception:
                log.exception("change of the configuration was not taken up", revision=self.revision)

    # --- following ----------------------------------------------------------------------------------------------

    def differs(self, message: m.ConfigurationChange) -> bool:
        """Whether a change that is no news says something else than what is held.

        It may just be old. But after SMServer was restored from a backup its revisions begin again at an older one:
        then all its changes look old, and only the whole tells.
        """
        return message.revision <= self.revision and _changed(self._state, message) != self._state

    async def follow(self, subscriber: Subscriber, fetch: Callable[[], Awaitable[Snapshot]]) -> None:
        """Keep up for ever: fetch the whole, apply changes as they come, fetch again after a gap."""
        doubtful = asyncio.Event()
        refresh = asyncio.create_task(self._refresh(subscriber, fetch, doubtful))
        try:
            async for batch in subscriber.batches(BATCH):
                before = self.revision
                for delivery in batch:
                    change = delivery.envelope.message
                    if not isinstance(change, m.ConfigurationChange):
                        continue
                    if self.differs(change):
                        doubtful.set()
                    if not self.apply(change, save=False):
                        log.info("configuration has a gap", held=self.revision, came=change.revision)
                        await self._fetch(fetch)
                        if not self.apply(change, save=False):  # SMServer's own revision is older: it was restored
                            log.warning("change is ahead of SMServer and is left out", came=change.revision)
                if self.revision != before:
                    await asyncio.to_thread(self.save)
                for delivery in batch:
                    delivery.done()
        finally:
            refresh.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await refresh

    async def _refresh(
        self, subscriber: Subscriber, fetch: Callable[[], Awaitable[Snapshot]], doubtful: asyncio.Event
    ) -> None:
        await self._fetch(fetch)
        await subscriber.ready()
        while True:  # at once again: what was said before the queue was there has passed us by
            doubtful.clear()
            await self._fetch(fetch)
            await asyncio.sleep(DOUBT_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await doubtful.wait()

    async def _fetch(self, fetch: Callable[[], Awaitable[Snapshot]]) -> None:
        delay = 0.2
        while True:
            before = self.revision
            try:
                snapshot = await fetch()
            except Exception as error:  # noqa: BLE001 - SMServer is away, restarting or refuses: it is asked for ever
                log.info("configuration cannot be fetched yet", error=str(error))
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, 10.0)
                continue
            if before != self.revision > snapshot.revision:  # changes have overtaken this answer
                continue
            self.reset(snapshot, save=False)
            await asyncio.to_thread(self.save)
            return


def _built(snapshot: Snapshot) -> _State:
    state = _State()
    for change in snapshot.messages():
        state = _changed(state, change)
    return replace(state, revision=snapshot.revision)
