import asyncio
import socket
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from broker.connect import connect
from broker.database import migrate, open_database
from broker.memory import Hub, MemoryBroker
from broker.model import messages as m
from broker.process import BrokerSettings, DatabaseSettings, Health
from servers.net.http import PortTakenError
from servers.smserver.events import EventHub
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from servers.smserver.tables import METADATA, alarm_event
from tests.databases import migrated


def settings_with(tmp_path, url="", **group):
    return SMServerSettings(
        data_dir=tmp_path, database=DatabaseSettings(url=url), smserver=SMServerGroup(**{"port": 0, **group})
    )


async def test_before_the_schema_is_there_it_waits_says_so_and_carries_on(tmp_path, site):
    settings = settings_with(tmp_path / "late")
    health = Health("smserver")
    broker = MemoryBroker(Hub(2), health=health)
    await broker.start()
    server = SMServer(settings, broker, health)
    heard = []
    server.on_first_password = heard.append
    await server.start()
    try:
        assert server.first_password is None
        assert "vigil migrate" in health.report()["parts"]["database"]["detail"]
        person = site.stranger()
        answer = await person.http.post(f"{server.url}/api/v1/sign-in", json={"user": "admin", "password": "x"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        await asyncio.to_thread(migrate, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
        await site.eventually(lambda: server.first_password)
        assert heard == [server.first_password]
        assert health.report()["parts"]["database"]["ok"]
    finally:
        await server.close()
        await broker.close()


async def test_a_port_that_is_taken_is_named_with_the_setting_that_moves_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        health = Health("smserver")
        broker = MemoryBroker(Hub(2), health=health)
        server = SMServer(settings_with(tmp_path, port=taken.getsockname()[1]), broker, health)
        with pytest.raises(PortTakenError, match="VIGIL_SMSERVER__PORT"):
            await server.start()
        await server.close()


async def test_closing_twice_is_safe_and_frees_the_port(site):
    port = int(site.server.url.rsplit(":", 1)[1])
    await site.server.close()
    await site.server.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_announcements_wait_for_the_broker_and_then_arrive_in_order(site, admin, node):
    """What was committed while nobody relayed is announced after a restart."""
    heard = await site.listen("dvrserver", "dvrserver.config", node="late").ready()
    for number in range(20):
        await admin.post("/cameras", site.camera(f"cam-{number}"))
    await site.eventually(lambda: len(heard.heard) >= 20)
    cameras = [change for change in heard.heard if isinstance(change, m.CameraConfigured)]
    assert [change.revision for change in heard.heard] == sorted(change.revision for change in heard.heard)
    assert [change.camera.id for change in cameras] == [f"cam-{number}" for number in range(20)]
    await heard.close()


async def test_with_the_database_gone_it_answers_503_and_carries_on_when_it_is_back(postgres, tmp_path, make_site):
    postgres.start()
    url = postgres.make_database("smserver_away")
    async with make_site(url) as site:
        admin = await site.admin()
        await asyncio.to_thread(postgres.kill)
        try:
            answer = await admin.ask("GET", "/me")
            assert answer.status_code == 503
            assert "postgresql" not in answer.text
            await site.eventually(lambda: not site.health.report()["parts"]["database"]["ok"], seconds=20)
        finally:
            await asyncio.to_thread(postgres.start)
        await site.eventually(lambda: site.health.report()["parts"]["database"]["ok"], seconds=30)
        await admin.get("/me")
        heard = await site.listen("dvrserver", "dvrserver.config").ready()
        await admin.post("/profiles", {"id": "p", "name": "P"})
        await site.eventually(lambda: any(change.kind() == "ProfileConfigured" for change in heard.heard), seconds=20)
        await heard.close()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_that_the_program_expects(database, request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if database == "sqlite" else request.getfixturevalue("postgres_url")
    migrate(url, SCHEMA, MIGRATIONS)
    migrate(url, SCHEMA, MIGRATIONS)  # a second time changes nothing
    engine = open_database(url, SCHEMA)
    with engine.connect() as connection:
        options = {"compare_type": True, "version_table": f"alembic_version_{SCHEMA}"}
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, METADATA)
        counters = connection.execute(sa.text("SELECT name FROM counter ORDER BY name")).scalars().all()
    engine.dispose()
    assert found == []
    assert counters == ["audit", "event", "revision"]


async def test_on_rabbitmq_changes_go_out_and_alarms_come_in(rabbitmq_url, tmp_path, site):
    settings = SMServerSettings(
        data_dir=tmp_path / "cluster",
        broker=BrokerSettings(url=rabbitmq_url),
        smserver=SMServerGroup(port=0),
    )
    health = Health("smserver")
    await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
    broker = connect(settings.broker, name="smserver", health=health)
    await broker.start()
    server = SMServer(settings, broker, health)
    await server.start()
    site.server, site.broker, embedded = server, broker, (site.server, site.broker)
    try:
        heard = await site.listen("dvrserver", "dvrserver.config").ready()
        admin = await site.person("admin", server.first_password)
        await admin.post("/profiles", {"id": "p", "name": "P"})
        await site.eventually(lambda: any(change.kind() == "ProfileConfigured" for change in heard.heard), seconds=20)
        ended = m.AlarmEnded(alarm_event_id="e1", alarm_id="door", at=datetime.now(UTC))
        await site.say(ended)
        await site.eventually(lambda: _stored(server), seconds=20)
        await heard.close()
    finally:
        await server.close()
        await broker.close()
        site.server, site.broker = embedded


def _stored(server):
    with server._store.read() as connection:
        return connection.execute(sa.select(alarm_event.c.id)).scalars().all() == ["e1"]


async def test_a_task_that_fails_by_a_mistake_of_ours_begins_again_and_says_so(tmp_path, site, monkeypatch):
    monkeypatch.setattr("servers.smserver.server.RETRY_S", 0.05)
    monkeypatch.setattr("servers.smserver.server.WELL_S", 2.0)
    calls, read = [], EventHub._read

    def flaky(self, last):
        calls.append(self)  # the fixture's site has a hub of its own
        if calls.count(self) < 3:
            raise RuntimeError("a mistake")
        return read(self, last)

    monkeypatch.setattr(EventHub, "_read", flaky)
    settings = settings_with(tmp_path / "own")
    await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
    health = Health("smserver")
    broker = MemoryBroker(Hub(2), health=health)
    await broker.start()
    server = SMServer(settings, broker, health)
    await server.start()
    try:
        await site.eventually(lambda: not health.report()["parts"].get("smserver-hub", {"ok": True})["ok"])
        await site.eventually(lambda: health.report()["parts"]["smserver-hub"]["ok"])
    finally:
        await server.close()
        await broker.close()
