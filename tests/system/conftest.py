"""The engine as processes of its own, with stand-ins for SMServer and the nodes."""

import pytest

from broker.database import migrate
from tests.system.engine_processes import Bus, Processes
from tests.workers.stand_ins import Events, SMServerStandIn
from workers.settings import EngineSettings
from workers.tables import SCHEMA, SCRIPTS


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def smserver():
    one = SMServerStandIn()
    yield one
    one.close()


@pytest.fixture
def cluster(tmp_path, smserver, rabbitmq_url, postgres_url):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "join-secret").write_text("join")
    migrate(postgres_url, SCHEMA, SCRIPTS)
    return EngineSettings(
        data_dir=tmp_path,
        smserver_url=smserver.url,
        broker={"url": rabbitmq_url},
        database={"url": postgres_url},
        engine={"lease_s": 2, "wake_s": 1, "sweep_s": 0.5},
    )


@pytest.fixture
def processes(cluster):
    one = Processes(cluster)
    yield one
    one.close()


@pytest.fixture
def bus(cluster):
    one = Bus(cluster)
    yield one
    one.close()
