"""Reading queues: nothing is acknowledged before its commit, and one bad event harms no other."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from broker.memory import Hub, MemoryBroker
from broker.process import Health
from broker.topology import queues_of
from tests.workers.test_intake import announced
from workers.reader import Reader
from workers.store import quarantine
from workers.tables import delivery_try
from workers.tables import quarantine as quarantined


class Delivery:
    def __init__(self, envelope, *, redelivered=False):
        self.envelope = envelope
        self.redelivered = redelivered
        self.settled = False

    def done(self):
        self.settled = True

    def refuse(self, reason):
        raise AssertionError(reason)


class Batches:
    """A subscriber that delivers what it is given."""

    def __init__(self, *batches):
        self._batches = batches

    async def batches(self, _limit):
        for batch in self._batches:
            yield batch


@pytest.fixture
def reader_of(database):
    threads = ThreadPoolExecutor(2)
    health = Health("test")

    def make(work, after_commit=lambda _due: None):
        return Reader(work, after_commit, database, threads, health, "engine-1", limit=100, tries=5)

    yield make
    threads.shutdown()


async def test_a_batch_is_handled_together_and_then_acknowledged(reader_of, events):
    seen = []
    deliveries = [Delivery(events.activated()) for _ in range(3)]

    def work(envelopes):
        assert not any(delivery.settled for delivery in deliveries)
        seen.append(len(envelopes))
        return []

    await reader_of(work).read(Batches(deliveries))
    assert seen == [3]
    assert all(delivery.settled for delivery in deliveries)


async def test_an_event_that_cannot_be_handled_is_quarantined_after_its_tries_and_the_others_are_not_harmed(
    reader_of, events, database
):
    bad, good = events.activated(), [events.activated() for _ in range(3)]
    handled = []

    def work(envelopes):
        if bad in envelopes:
            raise ValueError("it is poison")
        handled.extend(envelopes)
        return []

    deliveries = [Delivery(one) for one in (good[0], bad, good[1], good[2])]
    await reader_of(work).read(Batches(deliveries))
    assert handled == good
    assert all(delivery.settled for delivery in deliveries)
    with database.connect() as connection:
        (row,) = connection.execute(select(quarantined)).all()
        assert connection.execute(select(delivery_try)).all() == []
    assert row.event_id == bad.id
    assert row.tries == 5
    assert "it is poison" in row.reason
    (report,) = announced(database)
    assert report.event == "event_quarantined"
    assert report.subject == bad.id


async def test_an_event_whose_worker_dies_each_time_is_quarantined_before_the_sixth_try(reader_of, events, database):
    event = events.activated()
    tries = 0

    class Killed(BaseException):
        """Stands for kill -9: nothing after it runs."""

    def work(_envelopes):
        nonlocal tries
        tries += 1
        raise Killed

    for _ in range(5):
        with pytest.raises(Killed):
            await reader_of(work).read(Batches([Delivery(event, redelivered=True)]))
    last = Delivery(event, redelivered=True)
    await reader_of(work).read(Batches([last]))
    assert tries == 5
    assert last.settled
    with database.connect() as connection:
        (row,) = connection.execute(select(quarantined)).all()
    assert row.reason == quarantine.UNSEEN
    again = Delivery(event, redelivered=True)
    await reader_of(work).read(Batches([again]))
    assert again.settled
    assert tries == 5


async def test_while_the_database_is_away_the_batch_is_kept_and_nothing_counts_as_a_try(
    reader_of, events, database, monkeypatch
):
    monkeypatch.setattr("workers.reader.AWAY_WAIT_S", 0.01)
    away = 3

    def work(_envelopes):
        nonlocal away
        if away:
            away -= 1
            raise OperationalError("SELECT 1", {}, RuntimeError("connection refused"))
        return []

    delivery = Delivery(events.activated())
    reader = reader_of(work)
    await reader.read(Batches([delivery]))
    assert delivery.settled
    assert away == 0
    with database.connect() as connection:
        assert connection.execute(select(delivery_try)).all() == []


async def test_what_was_not_acknowledged_comes_again_to_the_next_reader(reader_of, events):
    broker = MemoryBroker(Hub(2))
    queue = queues_of("engine", node="n", partitions=2)[0]
    by_binding = {one.binding: one for one in queues_of("engine", node="n", partitions=2)}
    await broker.start()
    event = events.activated()
    await broker.publisher("t").publish(event)
    queue = next(one for one in by_binding.values() if broker.hub.items(one.name))
    started, seen = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def hang(_envelopes):
        loop.call_soon_threadsafe(started.set)
        raise OperationalError("SELECT 1", {}, RuntimeError("away"))

    first = broker.subscriber(queue)
    task = asyncio.create_task(reader_of(hang).read(first))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await first.close()

    def work(envelopes):
        seen.extend(envelopes)
        return []

    second = broker.subscriber(queue)
    task = asyncio.create_task(reader_of(work).read(second))
    for _ in range(500):
        if seen and not broker.hub.items(queue.name):
            break
        await asyncio.sleep(0.01)
    await second.close()
    await asyncio.gather(task, return_exceptions=True)
    await broker.close()
    assert [one.id for one in seen] == [event.id]


async def test_a_database_without_a_free_connection_costs_an_event_none_of_its_tries(
    reader_of, events, database, monkeypatch
):
    monkeypatch.setattr("workers.reader.AWAY_WAIT_S", 0.01)
    busy = iter([PoolTimeoutError("all connections are busy")] * 12)

    def work(_envelopes):
        for error in busy:
            raise error
        return []

    delivery = Delivery(events.activated(), redelivered=True)
    await reader_of(work).read(Batches([delivery]))
    assert delivery.settled
    with database.connect() as connection:
        assert connection.execute(select(quarantined)).all() == []
