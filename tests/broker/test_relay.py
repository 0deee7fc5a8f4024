"""What a store holds arrives: in order per lane, ahead of confirms, again after trouble, and at once."""

import asyncio
import statistics
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import MetaData

from broker.codec import envelope, pack
from broker.database import open_database
from broker.errors import PublishRefusedError
from broker.journal import Journal
from broker.memory import Hub, MemoryBroker
from broker.model import messages as m
from broker.model.base import LANES, Priority
from broker.outbox import OutboxStore, outbox_table, put
from broker.process import Health
from broker.relay import Relay, Row
from broker.topology import queues_of
from tests.broker.speaking import eventually, running, sealed, trigger


class SlowPublisher:
    """Keeps its promises when the test says so."""

    def __init__(self, log):
        self.log = log
        self.open = []

    def publish(self, sent):
        promise = asyncio.get_running_loop().create_future()
        self.open.append((sent, promise))
        self.log.append((str(sent.lane), sent.message.source_id, sent.message.sequence))
        return promise

    def keep(self, count=None):
        for _ in range(len(self.open) if count is None else count):
            self.open.pop(0)[1].set_result(None)

    def break_all(self):
        while self.open:
            self.open.pop(0)[1].set_exception(PublishRefusedError("no"))

    async def close(self):
        pass


class SlowBroker:
    def __init__(self):
        self.log = []
        self.lanes = {}

    def publisher(self, name):
        self.lanes[name.rsplit(".", 1)[-1]] = publisher = SlowPublisher(self.log)
        return publisher


@pytest.fixture
def journal(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1", reserve_bytes=0)
    yield journal
    journal.close()


def append(journal, source_id, lane):
    return journal.append(lambda boot, sequence: trigger(source_id, sequence=sequence), lane=lane)


async def test_rows_arrive_in_order_and_leave_the_store_only_when_confirmed(journal):
    broker = SlowBroker()
    for _ in range(5):
        append(journal, "cam-1", Priority.LOW)
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        await eventually(lambda: len(broker.log) == 5)
        assert [sequence for _lane, _source, sequence in broker.log] == [1, 2, 3, 4, 5]
        assert journal.backlog == 5
        broker.lanes["low"].keep(2)
        await eventually(lambda: journal.backlog == 3)
        broker.lanes["low"].keep()
        await eventually(lambda: journal.backlog == 0)


async def test_no_more_than_the_window_is_sent_ahead_of_confirms(journal, monkeypatch):
    monkeypatch.setattr("broker.relay.WINDOW", 10)
    broker = SlowBroker()
    for _ in range(35):
        append(journal, "cam-1", Priority.LOW)
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        await eventually(lambda: len(broker.log) == 10)
        await asyncio.sleep(0.05)
        assert len(broker.log) == 10
        while journal.backlog:
            broker.lanes["low"].keep()
            await asyncio.sleep(0.01)
            assert len(broker.lanes["low"].open) <= 10
    assert [sequence for _lane, _source, sequence in broker.log] == list(range(1, 36))


async def test_one_lane_in_trouble_delays_no_other(journal):
    broker = SlowBroker()
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        append(journal, "cam-1", Priority.LOW)  # never confirmed
        for _ in range(3):
            append(journal, "cam-2", Priority.HIGH)
            await eventually(lambda: "high" in broker.lanes and broker.lanes["high"].open)
            broker.lanes["high"].keep()
        await eventually(lambda: journal.backlog == 1)


async def test_after_a_change_of_lane_the_old_lane_is_confirmed_before_the_new_one_is_used(journal):
    broker = SlowBroker()
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        append(journal, "cam-1", Priority.LOW)
        append(journal, "cam-1", Priority.HIGH)
        append(journal, "cam-2", Priority.HIGH)
        await eventually(lambda: len(broker.log) == 2)
        await asyncio.sleep(0.05)
        assert sorted(broker.log) == [("high", "cam-2", 3), ("low", "cam-1", 1)]  # other sources go ahead
        broker.lanes["low"].keep()
        await eventually(lambda: ("high", "cam-1", 2) in broker.log)
        broker.lanes["high"].keep()
        await eventually(lambda: journal.backlog == 0)


async def test_order_per_source_survives_any_number_of_lane_changes(journal):
    broker = SlowBroker()

    async def keep_promises():
        while True:
            for lane in LANES:
                broker.lanes[lane].keep()
            await asyncio.sleep(0)

    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        for number in range(200):
            append(journal, f"cam-{number % 3}", LANES[(number // 5) % 3])
        async with running(keep_promises()):
            await eventually(lambda: journal.backlog == 0)
    for source in ("cam-0", "cam-1", "cam-2"):
        sequences = [sequence for _lane, of, sequence in broker.log if of == source]
        assert sequences == sorted(sequences)
    assert len(broker.log) == 200


async def test_broken_promises_are_tried_again_from_the_oldest_until_they_are_kept(journal):
    broker = SlowBroker()
    for _ in range(3):
        append(journal, "cam-1", Priority.LOW)
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        for times in (1, 2, 3):
            await eventually(lambda times=times: len(broker.log) == 3 * times)
            broker.lanes["low"].break_all()
        await eventually(lambda: len(broker.lanes["low"].open) == 3)
        broker.lanes["low"].keep()
        await eventually(lambda: journal.backlog == 0)
    assert [sequence for _lane, _source, sequence in broker.log] == [1, 2, 3] * 4


async def test_an_event_is_published_within_milliseconds_of_its_append(journal):
    hub = Hub()
    broker = MemoryBroker(hub)
    queues = [queue for queue in queues_of("engine", node="n", partitions=2) if ".high." in queue.name]
    latencies = []

    async def consume(queue):
        async for batch in broker.subscriber(queue).batches(10):
            for delivery in batch:
                latencies.append((datetime.now(UTC) - delivery.envelope.time).total_seconds())
                delivery.done()

    async with (
        running(Relay(journal, broker, name="journal", health=Health("t")).run()),
        running(consume(queues[0])),
        running(consume(queues[1])),
    ):
        for number in range(50):
            await journal.append_soon(
                lambda boot, sequence, number=number: trigger(f"cam-{number}", sequence=sequence), lane=Priority.HIGH
            )
            await asyncio.sleep(0.005)
        await eventually(lambda: len(latencies) == 50)
    # Polling would show as half of its interval, 500 ms; a shared disk's sync can take tens of milliseconds.
    assert statistics.median(latencies) < 0.1
    await broker.close()


async def test_confirms_of_one_turn_of_the_loop_are_one_commit(journal):
    commits = []
    forget, journal.confirm = journal.confirm, lambda positions: (commits.append(len(positions)), forget(positions))
    broker = SlowBroker()
    for _ in range(100):
        append(journal, "cam-1", Priority.LOW)
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        await eventually(lambda: len(broker.log) == 100)
        broker.lanes["low"].keep()
        await eventually(lambda: journal.backlog == 0)
    assert commits == [100]


class TroubledStore:
    """A store whose database goes away and comes back."""

    lanes = (Priority.LOW,)
    poll_s = 0.05
    trouble = ""

    def __init__(self, rows):
        self.rows = rows
        self.away = True
        self.asked = Counter()

    def on_change(self, callback):
        pass

    def _ask(self, what):
        self.asked[what] += 1
        if self.away:
            raise OSError("the database is away")

    def pending(self, lane, after, limit):
        self._ask("pending")
        return [row for row in self.rows if row.position > after][:limit]

    def confirm(self, positions):
        self._ask("confirm")
        self.rows = [row for row in self.rows if row.position not in positions]

    def set_aside(self, positions):
        self._ask("set_aside")


def row(position):
    headers, body = pack(
        envelope(m.SessionRevoked(session_id=f"s{position}", user_id="u", at=datetime.now(UTC)), source="smserver")
    )
    return Row(position, headers, body)


async def test_a_lost_database_is_seen_in_health_and_delays_but_loses_nothing():
    store, health, hub = TroubledStore([row(1), row(2)]), Health("t"), Hub()
    async with running(Relay(store, MemoryBroker(hub), name="outbox", health=health).run()):
        await eventually(lambda: not health.ok)
        assert "away" in health.report()["parts"]["outbox"]["detail"]
        store.away = False
        await eventually(lambda: len(hub.items("smserver.notices.v1")) == 2)
        await eventually(lambda: not store.rows)
        await eventually(lambda: health.ok)


async def test_a_confirm_that_cannot_be_stored_is_stored_later_and_nothing_is_sent_twice():
    store, hub = TroubledStore([row(1)]), Hub()
    store.away = False
    keep, store.pending = store.pending, lambda *args: [] if store.asked["confirm"] else keep(*args)
    forget, fails = store.confirm, iter([True, True, False])

    def confirm(positions):
        if next(fails):
            store.asked["confirm"] += 1
            raise OSError("disk full")
        forget(positions)

    store.confirm = confirm
    async with running(Relay(store, MemoryBroker(hub), name="outbox", health=Health("t")).run()):
        await eventually(lambda: not store.rows)
    assert len(hub.items("smserver.notices.v1")) == 1


async def test_a_row_that_cannot_be_read_holds_up_no_other():
    store, hub = TroubledStore([Row(1, {"kind": "Gone", "version": "1"}, b"{}"), row(2)]), Hub()
    store.away = False
    async with running(Relay(store, MemoryBroker(hub), name="outbox", health=Health("t")).run()):
        await eventually(lambda: len(hub.items("smserver.notices.v1")) == 1)
        await eventually(lambda: len(store.rows) == 1)


@pytest.mark.parametrize(
    "damage", ["kind = 'Gone', headers = replace(headers, 'TriggerActivated', 'Gone')", "headers = '{'"]
)
async def test_an_unreadable_row_does_not_hold_its_source_up_in_another_lane(journal, damage):
    broker = SlowBroker()
    append(journal, "cam-1", Priority.LOW)
    append(journal, "cam-1", Priority.HIGH)
    journal._writer.execute(f"UPDATE journal SET {damage} WHERE position = 1")
    async with running(Relay(journal, broker, name="journal", health=Health("t")).run()):
        await eventually(lambda: ("high", "cam-1", 2) in broker.log, timeout_s=5)
        broker.lanes["high"].keep()
        await eventually(lambda: journal.backlog == 0)
    kept = journal._writer.execute("SELECT position FROM journal").fetchall()
    assert kept == [(1,)]  # for people


async def test_a_transaction_that_commits_late_is_announced_although_others_never_stop(monkeypatch):
    monkeypatch.setattr("broker.relay.RESCAN_S", 0.1)
    seen = lambda number: Row(number, *pack(sealed("cam-1", sequence=number)))  # noqa: E731 - one use
    store, broker = TroubledStore([seen(2)]), SlowBroker()
    store.away, store.poll_s = False, 30.0  # a storm leaves no time for a look from the beginning
    relay = Relay(store, broker, name="outbox", health=Health("t"))
    async with running(relay.run()):
        await eventually(lambda: broker.log)
        store.rows.insert(0, seen(1))  # its position is older, its commit is later
        for number in range(3, 60):
            store.rows.append(seen(number))
            relay.wake()
            await asyncio.sleep(0.01)
        assert 1 in [sequence for _lane, _source, sequence in broker.log]


# --- outbox -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "postgresql":
        engine = open_database(request.getfixturevalue("postgres_url"), "public")
    else:
        engine = open_database(f"sqlite:///{tmp_path}/test.db", "test")
    metadata = MetaData()
    table = outbox_table(metadata)
    metadata.create_all(engine)
    yield engine, table
    engine.dispose()


def notice(number):
    return envelope(m.SessionRevoked(session_id=f"s{number}", user_id="u", at=datetime.now(UTC)), source="smserver")


async def test_what_a_transaction_announces_is_published_and_what_it_takes_back_is_not(database):
    engine, table = database
    store, hub = OutboxStore(engine, table), Hub()
    relay = Relay(store, MemoryBroker(hub), name="outbox", health=Health("t"))
    async with running(relay.run()):
        said = [notice(number) for number in range(30)]
        with engine.begin() as connection:
            put(connection, table, said[:20])
        with engine.begin() as connection:
            put(connection, table, [notice(99)])
            connection.rollback()
        with engine.begin() as connection:
            put(connection, table, said[20:])
        relay.wake()
        await eventually(lambda: len(hub.items("smserver.notices.v1")) == 30)
    got = [item.encoded.headers["cloudEvents:id"] for item in hub.items("smserver.notices.v1")]
    assert got == [each.id for each in said]
    store.close()


def test_of_two_processes_on_one_postgresql_one_relays_and_the_other_takes_over(postgres_url):
    engine = open_database(postgres_url, "public")
    metadata = MetaData()
    table = outbox_table(metadata)
    metadata.create_all(engine)
    with engine.begin() as connection:
        put(connection, table, [notice(1)])
    first, second = OutboxStore(engine, table), OutboxStore(engine, table)
    assert len(first.pending(Priority.LOW, 0, 10)) == 1
    assert second.pending(Priority.LOW, 0, 10) == []
    first.close()
    deadline = time.monotonic() + 5
    while not second.pending(Priority.LOW, 0, 10):
        assert time.monotonic() < deadline
    second.close()
    engine.dispose()
