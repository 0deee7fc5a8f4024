"""Everything at once, on both databases: nothing deadlocks, nothing is lost, numbers stay in order."""

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from broker.codec import envelope
from broker.model import messages as m
from broker.model.resources import Profile, Right, User
from broker.trust.passwords import hash_password
from broker.trust.tokens import SigningKeys, TokenIssuer
from broker.trust.vault import Vault
from servers.smserver import alarm_log, audit, events
from servers.smserver.audit import Author
from servers.smserver.configuration import Configuration
from servers.smserver.errors import NotReadyError, RefusedError
from servers.smserver.sessions import Sessions
from servers.smserver.settings import SMServerGroup
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from servers.smserver.tables import event
from servers.smserver.vaulting import Secrets
from tests.databases import migrated

ROUNDS = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    migrated(url, SCHEMA, MIGRATIONS)
    store = Store(url)
    yield store
    store.close()


@pytest.mark.long
def test_changes_sessions_and_alarms_at_the_same_time_never_stand_in_each_others_way(store, tmp_path):  # noqa: C901 - four actors
    configuration = Configuration(store, Secrets(Vault(tmp_path / "master-key")), lambda: None)
    issuer = TokenIssuer(SigningKeys(tmp_path / "keys"))
    sessions = Sessions(store, issuer, SMServerGroup(throttle_tries=100, throttle_address_tries=10_000), lambda: None)
    me = Author("admin", "127.0.0.1", "tests/1")
    password = "correct horse"
    with configuration.change(me) as change:
        change.create(Profile(id="p", name="P", rights=frozenset(Right)))
        for user_id in ("admin", "olga"):
            change.create(User(id=user_id, name=user_id, profile_id="p"))
            change.set_password_hash(user_id, hash_password(password))
    numbers: list[int] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def change_users():
        for number in range(ROUNDS):
            with configuration.change(me) as change:
                change.replace(User(id="olga", name=f"Olga {number}", profile_id="p"), expected=None)
                sessions.end_all(change.connection, "olga", me)

    def come_and_go():
        for _ in range(ROUNDS):
            first, second = (sessions.sign_in("olga", password, me) for _ in range(2))
            sessions.end(first.session_id, me)
            sessions.end(second.session_id, me)

    def alarms():
        for number in range(ROUNDS):
            facts = [
                m.AlarmEnded(alarm_event_id=f"e{number}-{index}", alarm_id="a", at=datetime.now(UTC))
                for index in range(40)
            ]
            with store.write() as connection:
                alarm_log.take_in(connection, [envelope(fact, source="engine/engine-1") for fact in facts])

    def read():
        last = 0
        while not done.is_set() or len(numbers) < total():
            with store.read() as connection:
                found = events.after(connection, last)
            numbers.extend(one.id for one in found)
            last = found[-1].id if found else last

    def total():
        with store.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(event)).scalar_one()

    def guarded(work):
        def run():
            try:
                work()
            except BaseException as error:
                failures.append(error)
                raise

        return threading.Thread(target=run)

    writers = [guarded(work) for work in (change_users, come_and_go, come_and_go, alarms)]
    reader = guarded(read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert failures == []
    assert numbers == list(range(1, total() + 1)), "a reader that follows the numbers misses nothing"
    with store.read() as connection:
        assert audit.broken_at(connection) is None


def test_a_schema_that_is_not_there_yet_is_a_sentence_that_says_what_to_run(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(NotReadyError, match="vigil migrate"):
        store.check()
    store.close()


def test_a_database_that_is_away_is_named_without_its_password():
    store = Store("postgresql+psycopg://vigil:hunter2@127.0.0.1:9/vigil")
    with pytest.raises(NotReadyError) as away:
        store.check()
    assert "waiting for the database" in str(away.value)
    assert "hunter2" not in str(away.value)
    store.close()


def test_a_name_that_the_database_cannot_hold_is_refused_like_any_other(store, tmp_path):
    issuer = TokenIssuer(SigningKeys(tmp_path / "keys"))
    sessions = Sessions(store, issuer, SMServerGroup(), lambda: None)
    with pytest.raises(RefusedError):
        sessions.sign_in("no\0body", "correct horse", Author("anonymous", "127.0.0.1", "tests/1"))
