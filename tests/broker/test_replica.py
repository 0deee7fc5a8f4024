"""A copy of the configuration equals the original, on disk too, whatever was missed on the way."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from broker.codec import envelope
from broker.memory import Hub, MemoryBroker
from broker.model import messages as m
from broker.model import resources as r
from broker.replica import Replica, Snapshot
from tests.broker.samples import ALARM, CAMERA
from tests.broker.speaking import eventually, queue_named, running


def history(seed, length):  # noqa: C901 - one short arm per change
    """A site's changes as SMServer would announce them."""
    dice = random.Random(seed)
    for revision in range(1, length + 1):
        id_ = f"x{dice.randrange(4)}"
        match dice.randrange(12):
            case 0:
                yield m.ServerConfigured(
                    revision=revision, server=r.Server(id=id_, name=f"v{revision}", role="dvrserver")
                )
            case 1:
                yield m.ServerRemoved(revision=revision, server_id=id_)
            case 2 | 3:
                camera = CAMERA.model_copy(update={"id": id_, "name": f"v{revision}"})
                yield m.CameraConfigured(revision=revision, camera=camera, lane=dice.choice(["high", "low"]))
            case 4:
                yield m.CameraRemoved(revision=revision, camera_id=id_)
            case 5:
                alarm = ALARM.model_copy(update={"id": id_, "name": f"v{revision}"})
                yield m.AlarmConfigured(revision=revision, alarm=alarm)
            case 6:
                yield m.AlarmRemoved(revision=revision, alarm_id=id_)
            case 7:
                yield m.ProfileConfigured(revision=revision, profile=r.Profile(id=id_, name=f"v{revision}"))
            case 8:
                user = r.User(id=id_, name=f"v{revision}", profile_id="x1")
                yield m.UserConfigured(revision=revision, user=user, stream_ha1={"node-1": f"sealed{revision}"})
            case 9:
                yield m.UserRemoved(revision=revision, user_id=id_)
            case 10:
                yield m.SecretSealed(revision=revision, secret_ref=id_, node_id="node-1", sealed=f"s{revision}")
            case _:
                yield m.SecretRemoved(revision=revision, secret_ref=id_)


def content(replica):
    return (
        replica.revision,
        dict(replica.servers),
        dict(replica.cameras),
        dict(replica.lanes),
        dict(replica.alarms),
        dict(replica.profiles),
        dict(replica.users),
        {user: dict(sealed) for user, sealed in replica.stream_ha1.items()},
        {ref: (secret.node_id, secret.sealed) for ref, secret in replica.secrets.items()},
    )


@pytest.mark.parametrize("seed", range(20))
def test_an_old_copy_plus_changes_equals_a_fresh_snapshot(seed, tmp_path):
    changes = list(history(seed, 120))
    original, old = Replica(tmp_path / "original.json"), Replica(tmp_path / "old.json")
    for number, change in enumerate(changes):
        original.apply(change, save=False)
        if number == 40:
            old.reset(original.snapshot())
    for change in changes[30:]:  # some it holds already
        assert old.apply(change, save=False)
    fresh = Replica(tmp_path / "fresh.json")
    fresh.reset(Snapshot.model_validate_json(original.snapshot().model_dump_json()))
    assert content(old) == content(fresh) == content(original)
    old.save()
    assert content(Replica.open(tmp_path / "old.json")) == content(original)


def test_a_gap_changes_nothing_and_says_so(tmp_path):
    replica = Replica.open(tmp_path / "replica.json")
    assert replica.apply(m.CameraConfigured(revision=1, camera=CAMERA))
    assert not replica.apply(m.CameraRemoved(revision=3, camera_id="cam-1"))
    assert replica.revision == 1
    assert "cam-1" in replica.cameras


def test_the_copy_on_disk_is_for_its_owner_only_and_a_damaged_one_is_no_obstacle(tmp_path):
    path = tmp_path / "node" / "replica.json"
    replica = Replica.open(path)
    replica.apply(m.CameraConfigured(revision=1, camera=CAMERA))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text()[:-20])
    assert Replica.open(path).revision == 0


def test_parts_that_a_program_does_not_know_are_left_out(tmp_path):
    snapshot = Snapshot(
        revision=9,
        changes=(
            {"kind": "FloorPlanConfigured", "version": 1, "body": {}},
            {"kind": "CameraConfigured", "version": 1, "body": {"revision": 9, "camera": {"id": "?"}}},
            *Snapshot.of(9, [m.CameraConfigured(revision=9, camera=CAMERA)]).changes,
        ),
    )
    replica = Replica.open(tmp_path / "replica.json")
    replica.reset(snapshot)
    assert replica.revision == 9
    assert set(replica.cameras) == {"cam-1"}


def test_access_is_what_user_and_profile_say_together(tmp_path):
    replica = Replica.open(tmp_path / "replica.json")
    assert replica.access("anna") is None
    replica.apply(m.UserConfigured(revision=1, user=r.User(id="anna", name="Anna", profile_id="guards")))
    assert replica.access("anna") is None
    profile = r.Profile(id="guards", name="Guards", rights={r.Right.LIVE}, camera_ids={"cam-1"})
    replica.apply(m.ProfileConfigured(revision=2, profile=profile))
    assert replica.access("anna").camera("cam-1", r.Right.LIVE)
    assert not replica.access("anna").camera("cam-2", r.Right.LIVE)


def test_who_listens_hears_each_change_and_one_bad_listener_harms_no_other(tmp_path):
    replica, heard = Replica.open(tmp_path / "replica.json"), []

    def broken(_change):
        raise RuntimeError("listener")

    replica.on_change(broken)
    replica.on_change(heard.append)
    change = m.CameraConfigured(revision=1, camera=CAMERA)
    replica.apply(change)
    replica.apply(change)
    replica.reset(Snapshot.of(5, []))
    replica.reset(Snapshot.of(5, []))
    assert heard == [change, None]


class Site:
    """SMServer as far as a replica sees it."""

    def __init__(self, tmp_path):
        self.truth = Replica(tmp_path / "truth.json")
        self.hub = Hub()
        self.broker = MemoryBroker(self.hub)
        self.publisher = self.broker.publisher("smserver")
        self.away = False
        self.fetched = 0

    async def fetch(self):
        self.fetched += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("no answer")
        return self.truth.snapshot()

    def change(self, *, announce=True):
        revision = self.truth.revision + 1
        camera = CAMERA.model_copy(update={"id": f"cam-{revision % 7}", "name": f"v{revision}"})
        change = m.CameraConfigured(revision=revision, camera=camera)
        self.truth.apply(change, save=False)
        if announce:
            self.publisher.publish(envelope(change, source="smserver", time=datetime.now(UTC)))


async def test_a_follower_starts_late_misses_some_and_ends_up_equal(tmp_path):
    site = Site(tmp_path)
    for _ in range(10):
        site.change(announce=False)
    replica = Replica.open(tmp_path / "replica.json")
    subscriber = site.broker.subscriber(queue_named("dvrserver", "dvrserver.config"))
    async with running(replica.follow(subscriber, site.fetch)):
        await eventually(lambda: replica.revision == 10)
        for number in range(60):
            site.change(announce=number % 9 != 4)  # some announcements never arrive
            await asyncio.sleep(0)
        site.change()
        await eventually(lambda: replica.revision == site.truth.revision)
        await eventually(lambda: content(Replica.open(tmp_path / "replica.json")) == content(replica))
    assert content(replica) == content(site.truth)


async def test_a_follower_works_from_its_disk_while_smserver_is_away_and_catches_up_later(tmp_path):
    site = Site(tmp_path)
    site.change(announce=False)
    first = Replica.open(tmp_path / "replica.json")
    first.reset(site.truth.snapshot())
    site.away = True
    replica = Replica.open(tmp_path / "replica.json")
    subscriber = site.broker.subscriber(queue_named("dvrserver", "dvrserver.config"))
    async with running(replica.follow(subscriber, site.fetch)):
        assert replica.revision == 1
        site.change()
        await eventually(lambda: replica.revision == 2)  # changes need no SMServer
        site.change(announce=False)
        site.change()
        await eventually(lambda: site.fetched > 2)
        assert replica.revision == 2
        site.away = False
        await eventually(lambda: replica.revision == 4)


async def test_a_restored_smserver_is_followed_back(tmp_path):
    site = Site(tmp_path)
    for _ in range(3):
        site.change(announce=False)
    replica = Replica.open(tmp_path / "replica.json")
    replica.reset(Snapshot.of(50, []))
    subscriber = site.broker.subscriber(queue_named("dvrserver", "dvrserver.config"))
    async with running(replica.follow(subscriber, site.fetch)):
        await eventually(lambda: content(replica) == content(site.truth))


@pytest.mark.parametrize("notices", [True, pytest.param(False, id="negative control: old changes are just old")])
async def test_after_smserver_was_restored_from_a_backup_its_followers_believe_it(tmp_path, monkeypatch, notices):
    monkeypatch.setattr("broker.replica.DOUBT_S", 0.05)
    if not notices:
        monkeypatch.setattr(Replica, "differs", lambda _self, _change: False)
    site = Site(tmp_path)
    for _ in range(10):
        site.change(announce=False)
    backup = site.truth.snapshot()
    for _ in range(10):
        site.change(announce=False)
    replica = Replica.open(tmp_path / "replica.json")
    subscriber = site.broker.subscriber(queue_named("dvrserver", "dvrserver.config"))
    async with running(replica.follow(subscriber, site.fetch)):
        await eventually(lambda: replica.revision == 20 and site.fetched == 2)
        site.truth.reset(backup)
        camera = CAMERA.model_copy(update={"id": "new", "name": "after the backup"})
        change = m.CameraConfigured(revision=11, camera=camera)
        site.truth.apply(change)
        site.publisher.publish(envelope(change, source="smserver"))
        if notices:
            await eventually(lambda: content(replica) == content(site.truth))
        else:
            await asyncio.sleep(0.3)
            assert "new" not in replica.cameras
