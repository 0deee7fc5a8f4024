"""The store itself, on SQLite and on PostgreSQL."""

import json
import random
import threading

import pytest
import sqlalchemy as sa

from broker.codec import decode, message_of
from broker.model import messages as m
from broker.model.base import Priority
from broker.model.resources import Alarm, Camera, MotionTrigger, Profile, Server, ServerRole, User
from broker.replica import Replica, Snapshot
from broker.trust.identity import Identity
from broker.trust.vault import Vault
from servers.smserver import audit, tables
from servers.smserver.audit import Author
from servers.smserver.configuration import Configuration
from servers.smserver.errors import ConflictError, RefusedError, StaleError
from servers.smserver.snapshot import changes_of, revision_of
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from servers.smserver.vaulting import Secrets
from tests.databases import migrated

ME = Author("admin", "127.0.0.1", "tests/1")


class Shop:
    """A configuration on a database of its own."""

    def __init__(self, url, folder):
        migrated(url, SCHEMA, MIGRATIONS)
        self.store = Store(url)
        self.commits = 0
        self.configuration = Configuration(self.store, Secrets(Vault(folder / "master-key")), self._count)

    def _count(self):
        self.commits += 1

    def create(self, *values):
        with self.configuration.change(ME) as change:
            for value in values:
                change.create(value)

    def announced(self):
        with self.store.read() as connection:
            rows = connection.execute(sa.select(tables.outbox).order_by(tables.outbox.c.position)).all()
        return [decode(json.loads(row.headers), row.body).message for row in rows]

    def count(self, table):
        with self.store.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    def snapshot(self):
        with self.store.read() as connection:
            return Snapshot.of(revision_of(connection), changes_of(connection))


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request, tmp_path):
    url = f"sqlite:///{tmp_path}/smserver.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    shop = Shop(url, tmp_path)
    yield shop
    shop.store.close()


def server(id_="node-1"):
    return Server(id=id_, name=id_, role=ServerRole.DVRSERVER, stream_url="rtsp://127.0.0.1:5011")


def camera(id_="cam-1", node="node-1", **more):
    return Camera(id=id_, name=id_, node_id=node, main_url="rtsp://192.0.2.7/main", **more)


def alarm(id_="door", camera_id="cam-1", **more):
    return Alarm(id=id_, name=id_, trigger=MotionTrigger(camera_id=camera_id), **more)


def test_each_announcement_has_the_next_revision(shop):
    shop.create(server(), camera())
    shop.create(alarm())
    said = shop.announced()
    assert [message.revision for message in said] == list(range(1, len(said) + 1))
    assert [message.kind() for message in said] == [
        "ServerConfigured",
        "CameraConfigured",
        "AlarmConfigured",
        "CameraConfigured",
    ]


def test_a_change_its_record_and_its_announcement_are_one_transaction(shop):
    shop.create(server())
    before = (shop.count(tables.outbox), shop.count(tables.audit), shop.count(tables.event), shop.snapshot())

    def cut_off():
        with shop.configuration.change(ME) as change:
            change.create(camera())
            change.finish()  # everything is written, nothing is committed
            raise RuntimeError("power cut before the commit")

    with pytest.raises(RuntimeError, match="power"):
        cut_off()
    assert (shop.count(tables.outbox), shop.count(tables.audit), shop.count(tables.event), shop.snapshot()) == before
    assert shop.commits == 1
    shop.create(camera())  # the same change, committed, leaves all three
    assert shop.count(tables.outbox) == before[0] + 1
    assert shop.count(tables.audit) == before[1] + 1
    assert shop.count(tables.event) == before[2] + 1
    assert shop.commits == 2


def test_a_refused_change_uses_up_no_revision(shop):
    shop.create(server())
    with pytest.raises(RefusedError):
        shop.create(camera(node="node-9"))
    shop.create(camera())
    assert [message.revision for message in shop.announced()] == [1, 2]


def test_a_change_that_changes_nothing_announces_nothing(shop):
    shop.create(server(), camera())
    with shop.configuration.change(ME) as change:
        change.replace(camera(), expected=2)
    assert len(shop.announced()) == 2
    assert change.etag(Camera, "cam-1") == 2


def test_when_alarms_change_affected_cameras_are_announced_with_their_new_lane(shop):
    shop.create(server(), camera("cam-1"), camera("cam-2"))

    def lanes_after(action):
        start = len(shop.announced())
        action()
        return {
            message.camera.id: message.lane
            for message in shop.announced()[start:]
            if isinstance(message, m.CameraConfigured)
        }

    def replace(value):
        with shop.configuration.change(ME) as change:
            change.replace(value, expected=None)

    def remove(alarm_id):
        with shop.configuration.change(ME) as change:
            change.remove(Alarm, alarm_id)

    assert lanes_after(lambda: shop.create(alarm("a", priority=Priority.HIGH))) == {"cam-1": Priority.HIGH}
    assert lanes_after(lambda: shop.create(alarm("b", priority=Priority.AVERAGE))) == {}
    assert lanes_after(lambda: replace(alarm("a", priority=Priority.HIGH, enabled=False))) == {
        "cam-1": Priority.AVERAGE
    }
    assert lanes_after(lambda: replace(alarm("a", "cam-2", priority=Priority.HIGH))) == {"cam-2": Priority.HIGH}
    assert lanes_after(lambda: remove("b")) == {"cam-1": Priority.LOW}


def test_of_many_changes_built_on_the_same_state_one_wins(shop):
    shop.create(server(), camera())
    won, lost = [], []

    def edit(number):
        try:
            with shop.configuration.change(ME) as change:
                change.replace(camera(username=f"user-{number}"), expected=2)
            won.append(number)
        except StaleError:
            lost.append(number)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert shop.snapshot().messages()[1].camera.username == f"user-{won[0]}"


def test_changes_made_at_the_same_time_get_revisions_without_gap_or_double(shop):
    shop.create(server())
    threads = [threading.Thread(target=shop.create, args=(camera(f"cam-{n}"),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [message.revision for message in shop.announced()] == list(range(1, 14))
    with shop.store.read() as connection:
        ids = connection.execute(sa.select(tables.event.c.id).order_by(tables.event.c.id)).scalars().all()
    assert ids == list(range(1, 14))


def test_a_replica_fed_with_changes_equals_a_fresh_snapshot(shop, tmp_path):  # noqa: C901 - one arm per kind of change
    """Random changes; after each a replica that only hears them holds what a new one would fetch."""
    chance = random.Random(7)
    nodes = [Identity.load_or_create(tmp_path / f"{n}.json", n, ServerRole.DVRSERVER) for n in ("node-1", "node-2")]
    shop.create(server("node-1"), server("node-2"), Profile(id="p", name="P"), User(id="u", name="U", profile_id="p"))
    with shop.configuration.change(ME) as change:
        for node in nodes:
            change.admit(node.public())
    hearing = Replica(tmp_path / "hearing.json")
    heard = 0
    cameras: set[str] = set()
    alarms: dict[str, str] = {}
    for step in range(60):
        name = f"cam-{chance.randrange(6)}"
        try:
            with shop.configuration.change(ME) as change:
                match chance.randrange(7):
                    case 0 | 1 if name not in cameras:
                        change.create(camera(name, chance.choice(["node-1", "node-2"])))
                        change.set_camera_password(name, f"password {step}")
                        cameras.add(name)
                    case 0 | 1:
                        change.replace(
                            change.site.find(Camera, name).model_copy(
                                update={"node_id": chance.choice(["node-1", "node-2"]), "username": f"user-{step}"}
                            ),
                            expected=None,
                        )
                    case 2 if cameras:
                        alarm_id, source = f"alarm-{step}", chance.choice(sorted(cameras))
                        change.create(alarm(alarm_id, source, priority=chance.choice(list(Priority))))
                        alarms[alarm_id] = source
                    case 3 if alarms:
                        alarm_id = chance.choice(sorted(alarms))
                        change.remove(Alarm, alarm_id)
                        del alarms[alarm_id]
                    case 4 if name in cameras:
                        change.remove(Camera, name)
                        cameras -= {name} - set(alarms.values())  # one in use is refused at the end
                    case 5:
                        change.set_stream_secret("u", f"secret {step}")
                    case 6:
                        seen = frozenset(chance.sample(sorted(cameras), chance.randrange(len(cameras) + 1)))
                        change.replace(Profile(id="p", name="P", camera_ids=seen), expected=None)
        except ConflictError:
            continue
        said = shop.announced()
        for message in said[heard:]:
            assert hearing.apply(message, save=False), "no gap"
        heard = len(said)
        fresh = Replica(tmp_path / "fresh.json")
        fresh.reset(shop.snapshot(), save=False)
        assert hearing._state == fresh._state, f"after step {step}"
    assert heard > 60


def test_a_snapshot_is_read_back_by_the_codec(shop):
    shop.create(server(), camera(), alarm())
    snapshot = Snapshot.model_validate_json(shop.snapshot().model_dump_json())
    for change in snapshot.changes:
        assert message_of(change["kind"], change["version"], json.dumps(change["body"]).encode())
    assert len(snapshot.messages()) == len(snapshot.changes) == 3


def test_the_audit_trail_says_who_what_and_from_what_to_what_without_secrets(shop):
    shop.create(server(), camera())
    with shop.configuration.change(ME) as change:
        change.replace(camera(username="viewer"), expected=None)
        change.set_camera_password("cam-1", "hunter2 hunter2")
    with shop.store.read() as connection:
        rows = connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id)).all()
    last = rows[-1]
    assert (last.user_id, last.address, last.program) == ("admin", "127.0.0.1", "tests/1")
    assert (last.action, last.kind, last.object_id) == ("change", "camera", "cam-1")
    assert (last.before["username"], last.after["username"]) == ("", "viewer")
    assert last.after["password"] == audit.REDACTED
    assert "hunter2" not in str(rows)


def test_the_audit_trail_notices_when_it_was_tampered_with(shop):
    shop.create(server(), camera(), alarm())
    with shop.store.read() as connection:
        assert audit.broken_at(connection) is None
    with shop.store.write() as connection:
        connection.execute(sa.update(tables.audit).where(tables.audit.c.id == 2).values(user_id="nobody"))
    with shop.store.read() as connection:
        assert audit.broken_at(connection) == 2


def test_the_end_of_the_audit_trail_cannot_be_cut_off_unnoticed(shop):
    shop.create(server(), camera())
    with shop.store.write() as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.id == 2))
    with shop.store.read() as connection:
        assert audit.broken_at(connection) == 2
