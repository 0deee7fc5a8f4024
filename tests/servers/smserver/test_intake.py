"""Reading the bus: one message that cannot be stored is put aside, and the reader goes on."""

from datetime import UTC, datetime

import pytest

from broker.codec import envelope
from broker.model import messages as m
from servers.smserver.intake import take_in
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from tests.databases import migrated

AT = datetime(2026, 11, 23, tzinfo=UTC)


class Delivery:
    def __init__(self, number):
        self.envelope = envelope(m.AlarmEnded(alarm_event_id=f"e{number}", alarm_id="a", at=AT), source="engine/e")
        self.fate = ""

    def done(self):
        self.fate = "done"

    def refuse(self, reason):
        self.fate = reason


class Batches:
    def __init__(self, *batches):
        self._batches = batches

    async def batches(self, _limit):
        for batch in self._batches:
            yield batch


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    migrated(url, SCHEMA, MIGRATIONS)
    store = Store(url)
    yield store
    store.close()


@pytest.mark.parametrize("mistake", [KeyError("field"), ValueError("value"), TypeError("type")])
async def test_a_message_that_meets_a_mistake_of_ours_ends_no_reader(store, mistake):
    first, second = [Delivery(number) for number in range(3)], [Delivery(3)]
    stored = []

    def write(_connection, envelopes):
        if first[1].envelope in envelopes:
            raise mistake
        stored.extend(envelopes)

    await take_in(Batches(first, second), store, write, lambda: None)
    assert [delivery.fate for delivery in (*first, *second) if delivery is not first[1]] == ["done"] * 3
    assert type(mistake).__name__ in first[1].fate
    assert stored == [delivery.envelope for delivery in (first[0], first[2], *second)]
