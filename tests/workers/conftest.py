"""Fixtures of the engine's tests: a migrated database, events, and the stand-ins of `stand_ins.py`."""

import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the stand-ins, shared by the modules of this folder

from stand_ins import SMServerStandIn, receiver

from broker.codec import envelope
from broker.database import open_database
from broker.model.messages import TriggerActivated, TriggerEnded
from broker.transport import Envelope
from tests.databases import migrated
from workers.settings import EngineSettings
from workers.tables import SCHEMA, SCRIPTS

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


class Events:
    """Makes trigger events of a node with rising sequence numbers."""

    def __init__(self) -> None:
        self._sequence = count(1)

    def _make(self, cls, source: str, at: datetime | None, boot: int, sequence: int | None) -> Envelope:
        number = next(self._sequence) if sequence is None else sequence
        fact = cls(
            trigger="motion",
            source_id=source,
            node_id="node-1",
            boot=boot,
            sequence=number,
            occurred_at=at or datetime.now(UTC),
        )
        return envelope(
            fact, source="dvrserver/node-1", id=f"node-1.{boot}.{number}", trace_id=f"{boot * 1000 + number:032x}"
        )

    def activated(self, source: str = "cam-1", at=None, boot: int = 1, sequence=None) -> Envelope:
        return self._make(TriggerActivated, source, at, boot, sequence)

    def ended(self, source: str = "cam-1", at=None, boot: int = 1, sequence=None) -> Envelope:
        return self._make(TriggerEnded, source, at, boot, sequence)


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
