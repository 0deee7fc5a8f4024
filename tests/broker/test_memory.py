"""What only the embedded broker promises: threads, event loops, a bound on its queues."""

import asyncio
import threading

import pytest

from broker.codec import Encoded, envelope
from broker.connect import connect
from broker.errors import PublishRefusedError
from broker.memory import Hub, MemoryBroker
from broker.model.messages import CameraRemoved
from broker.process import BrokerSettings, Health
from broker.topology import DELIVERY_LIMIT, partition_of
from tests.broker.speaking import queue_named, read, sealed

QUEUE = queue_named("engine", f"engine.triggers.low.{partition_of('cam-1', 2)}")


async def test_messages_pass_between_threads_with_loops_of_their_own():
    hub, got, listening = Hub(), [], threading.Event()

    def other_thread():
        async def consume():
            broker = MemoryBroker(hub)
            subscriber = broker.subscriber(QUEUE)
            listening.set()
            got.extend(await read(subscriber, 500))
            await broker.close()

        asyncio.run(consume())

    thread = threading.Thread(target=other_thread)
    thread.start()
    await asyncio.to_thread(listening.wait)
    broker = MemoryBroker(hub, until_settled=True)
    publisher = broker.publisher("test")
    await asyncio.wait_for(asyncio.gather(*(publisher.publish(sealed(sequence=n)) for n in range(500))), 20)
    await asyncio.to_thread(thread.join)
    assert [delivery.envelope.message.sequence for delivery in got] == list(range(500))
    await broker.close()


async def test_all_parts_of_a_process_meet_on_the_same_queues():
    settings = BrokerSettings()
    one, other = (connect(settings, name=name, health=Health(name)) for name in ("one", "other"))
    reader = other.subscriber(queue_named("dvrserver", "dvrserver.notices", node="meeting-test"))
    await one.start()
    assert one.hub is other.hub
    await one.close()
    await reader.close()


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room():
    hub = Hub(queue_limit=3)
    broker = MemoryBroker(hub)
    publisher = broker.publisher("test")
    for _ in range(3):
        await publisher.publish(sealed())
    with pytest.raises(PublishRefusedError, match="full"):
        await publisher.publish(sealed())
    await read(broker.subscriber(QUEUE), 3)
    await publisher.publish(sealed())
    await broker.close()


async def test_a_message_that_no_reader_survives_ends_with_the_dead_letters():
    hub = Hub()
    broker = MemoryBroker(hub)
    await broker.publisher("test").publish(sealed())
    for _ in range(DELIVERY_LIMIT + 1):
        subscriber = broker.subscriber(QUEUE)
        await read(subscriber, 1, settle=False)
        await subscriber.close()
    assert hub.items(QUEUE.name) == []
    assert [item.encoded.headers["x-vigil-reason"] for item in hub.items("dead.v1")] == ["delivery_limit"]


async def test_closing_one_part_leaves_the_others_alone():
    hub = Hub()
    one, other = MemoryBroker(hub), MemoryBroker(hub)
    publisher = other.publisher("test")
    one.publisher("test")
    await one.close()
    await publisher.publish(sealed())
    assert len(hub.items(QUEUE.name)) == 1
    await other.close()


async def test_more_unreadable_messages_than_a_batch_holds_hide_none_that_is_behind_them():
    hub = Hub()
    for _ in range(250):
        hub.put(QUEUE.name, Encoded("", "", {"kind": "Gone", "version": "1"}, b"{}"))
    broker = MemoryBroker(hub)
    await broker.publisher("test").publish(sealed(sequence=7))
    (delivery,) = await read(broker.subscriber(QUEUE), 1, timeout_s=5)
    assert delivery.envelope.message.sequence == 7


async def test_what_nobody_wants_never_holds_up_its_sender():
    hub = Hub(queue_limit=3)
    publisher = MemoryBroker(hub, until_settled=True).publisher("test")
    for number in range(5):  # no node has ever asked for configuration
        change = CameraRemoved(revision=number + 1, camera_id=f"cam-{number}")
        await asyncio.wait_for(publisher.publish(envelope(change, source="smserver")), 5)
    assert len(hub.items("unroutable.v1")) == 3
