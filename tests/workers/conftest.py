"""Fixtures of the engine's tests: a migrated database, events, and the stand-ins of `stand_ins.py`."""

import pytest

from broker.database import open_database
from tests.databases import migrated
from tests.workers.stand_ins import Events, SMServerStandIn, receiver
from workers.settings import EngineSettings
from workers.tables import SCHEMA, SCRIPTS


@pytest.fixture
def events():
    return Events()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    """An engine on an empty, migrated database: every test that uses it runs on both."""
    small = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/engine.db" if small else request.getfixturevalue("postgres_url")
    migrated(url, SCHEMA, SCRIPTS)
    engine = open_database(url, SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def http():
    with receiver() as one:
        yield one


@pytest.fixture
def smserver():
    one = SMServerStandIn()
    yield one
    one.close()


@pytest.fixture
def settings(tmp_path, smserver):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "join-secret").write_text("join")
    return EngineSettings(data_dir=tmp_path, smserver_url=smserver.url, egress={"allow": "127.0.0.0/8"})
