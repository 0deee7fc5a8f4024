from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from broker.codec import envelope
from broker.model import messages as m
from broker.model.resources import ServerRole
from servers.smserver import conditions
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from servers.smserver.tables import node_state, outbox
from tests.databases import migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    migrated(url, SCHEMA, MIGRATIONS)
    store = Store(url)
    yield store
    store.close()


def state(at):
    return m.NodeStateReported(node_id="node-1", role=ServerRole.DVRSERVER, boot=1, revision=1, at=at)


def hear(store, *messages):
    with store.write() as connection:
        conditions.take_in(connection, [envelope(message, source="dvrserver/node-1") for message in messages])


def notice(store):
    with store.write() as connection:
        conditions.notice_silence(connection)


def said(store):
    with store.read() as connection:
        return [row.body.decode() for row in connection.execute(sa.select(outbox).order_by(outbox.c.position))]


def test_a_process_that_falls_silent_is_reported_once_and_once_more_when_it_speaks_again(store):
    hear(store, state(datetime.now(UTC)))
    notice(store)
    assert said(store) == []
    with store.write() as connection:  # time passes
        connection.execute(sa.update(node_state).values(received_at=datetime.now(UTC) - timedelta(seconds=60)))
    notice(store)
    notice(store)
    assert [("node_lost" in body, '"node-1"' in body) for body in said(store)] == [(True, True)]
    hear(store, state(datetime.now(UTC)))
    notice(store)
    assert ["node_restored" in body for body in said(store)] == [False, True]
