"""What both kinds of broker promise: the same tests on memory and on a real RabbitMQ."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from broker.codec import Encoded, encode, envelope
from broker.model import messages as m
from broker.model.base import LANES, Priority
from broker.topology import partition_of, queues_of
from tests.broker.speaking import eventually, queue_named, read, sealed


async def test_a_message_arrives_as_it_was_said(transport):
    broker = await transport.broker()
    queue = queue_named("engine", f"engine.triggers.high.{partition_of('cam-1', 2)}")
    said = sealed("cam-1", lane=Priority.HIGH, trace_id="ab" * 16)
    await broker.publisher("test").publish(said)
    (delivery,) = await read(broker.subscriber(queue), 1)
    assert delivery.envelope == said
    assert not delivery.redelivered


async def test_messages_of_one_source_keep_their_order(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    promises = [publisher.publish(sealed("cam-7", sequence=number)) for number in range(1200)]
    await asyncio.gather(*promises)
    queue = queue_named("engine", f"engine.triggers.low.{partition_of('cam-7', 2)}")
    got = await read(broker.subscriber(queue), 1200)
    assert [delivery.envelope.message.sequence for delivery in got] == list(range(1200))


async def test_each_lane_and_partition_has_its_own_queue(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    sources = {partition_of(f"cam-{number}", 2): f"cam-{number}" for number in range(10)}
    for lane in LANES:
        for source in sources.values():
            await publisher.publish(sealed(source, lane=lane))
    for queue in queues_of("engine", node="n1", partitions=2):
        if "triggers" in queue.name:
            (delivery,) = await read(broker.subscriber(queue), 1)
            _, _, lane, partition, _ = queue.name.split(".")
            assert delivery.envelope.lane == lane
            assert delivery.envelope.message.source_id == sources[int(partition)]


def camera_removed(revision):
    return envelope(m.CameraRemoved(revision=revision, camera_id="cam-1"), source="smserver")


async def test_each_node_gets_every_change_of_configuration(transport):
    broker = await transport.broker()
    readers = [
        broker.subscriber(queue_named("dvrserver", "dvrserver.config", node="node-1")),
        broker.subscriber(queue_named("dvrserver", "dvrserver.config", node="node-2")),
        broker.subscriber(queue_named("gateway", "gateway.config", node="gateway-1")),
    ]
    for reader in readers:
        await reader.ready()
    publisher = broker.publisher("test")
    for revision in (1, 2, 3):
        await publisher.publish(camera_removed(revision))
    for reader in readers:
        got = await read(reader, 3)
        assert [delivery.envelope.message.revision for delivery in got] == [1, 2, 3]


async def test_one_of_many_readers_gets_a_message_and_the_next_takes_over(transport):
    first_broker, second_broker = await transport.broker(), await transport.broker()
    queue = queue_named("smserver", "smserver.state")
    publisher = first_broker.publisher("test")
    first = first_broker.subscriber(queue)
    await publisher.publish(health_event("one"))
    assert len(await read(first, 1)) == 1
    second = second_broker.subscriber(queue)
    waiting = asyncio.create_task(read(second, 1))
    await publisher.publish(health_event("two"))
    (delivery,) = await read(first, 1)
    assert delivery.envelope.message.subject == "two"
    assert not waiting.done()
    await first.close()
    await publisher.publish(health_event("three"))
    (delivery,) = await waiting
    assert delivery.envelope.message.subject == "three"


def health_event(subject):
    message = m.HealthEventReported(
        node_id="node-1", event="process_started", subject=subject, detail="", at=datetime.now(UTC)
    )
    return envelope(message, source="dvrserver/node-1")


async def test_what_was_not_settled_comes_again_in_order_and_says_so(transport):
    broker = await transport.broker()
    queue = queue_named("smserver", "smserver.state")
    publisher = broker.publisher("test")
    for subject in "abcd":
        await publisher.publish(health_event(subject))
    first = broker.subscriber(queue)
    got = await read(first, 4, settle=False)
    got[1].done()
    await asyncio.sleep(0)
    await first.close()
    again = await read(broker.subscriber(queue), 3)
    assert [delivery.envelope.message.subject for delivery in again] == ["a", "c", "d"]
    assert all(delivery.redelivered for delivery in again)


async def test_what_was_settled_never_comes_again(transport):
    broker = await transport.broker()
    queue = queue_named("smserver", "smserver.state")
    publisher = broker.publisher("test")
    for number in range(50):
        await publisher.publish(health_event(str(number)))
    first = broker.subscriber(queue)
    got = await read(first, 50, settle=False)
    for delivery in reversed(got[10:]):  # not in order: acknowledgements are grouped all the same
        delivery.done()
    await asyncio.sleep(0.05)
    for delivery in got[:5]:
        delivery.done()
    await asyncio.sleep(0.05)
    await first.close()
    again = await read(broker.subscriber(queue), 5)
    assert [delivery.envelope.message.subject for delivery in again] == ["5", "6", "7", "8", "9"]


async def test_a_batch_is_never_larger_than_asked_for(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    await asyncio.gather(*(publisher.publish(health_event(str(number))) for number in range(20)))
    subscriber = broker.subscriber(queue_named("smserver", "smserver.state"))
    sizes = []
    async with asyncio.timeout(10):
        async for batch in subscriber.batches(7):
            sizes.append(len(batch))
            for delivery in batch:
                delivery.done()
            if sum(sizes) == 20:
                break
    assert max(sizes) <= 7


async def test_no_more_than_the_prefetch_is_held_unsettled(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    await asyncio.gather(*(publisher.publish(health_event(str(number))) for number in range(20)))
    subscriber = broker.subscriber(queue_named("smserver", "smserver.state"), prefetch=5)
    held = await read(subscriber, 5, settle=False)
    with pytest.raises(TimeoutError):
        await read(subscriber, 1, timeout_s=0.3)
    for delivery in held:
        delivery.done()
    assert len(await read(subscriber, 15)) == 15


async def test_unreadable_messages_go_to_the_dead_letters_and_the_rest_of_the_batch_is_unharmed(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    good = health_event("good")
    encoded = encode(good, partitions=2)
    await publisher.publish(good)
    await transport.publish_raw(broker, encoded._replace(body=b"\xff not JSON"))
    await transport.publish_raw(broker, encoded._replace(headers={**encoded.headers, "kind": "NeverHeardOf"}))
    await transport.publish_raw(broker, encoded._replace(headers={}))
    await publisher.publish(health_event("after"))
    got = await read(broker.subscriber(queue_named("smserver", "smserver.state")), 2)
    assert [delivery.envelope.message.subject for delivery in got] == ["good", "after"]
    letters = await all_letters(transport, 3)
    assert sorted(letter.reason.split(":")[0] for letter in letters) == [
        "HealthEventReported is damaged",
        "no message 'NeverHeardOf' of version '1' is known here",
        "the header kind is missing",
    ]
    assert {letter.queue for letter in letters} == {"smserver.state.v1"}
    assert b"\xff not JSON" in [letter.body for letter in letters]


async def all_letters(transport, count):
    dead = await transport.dead_letters()
    deadline = time.monotonic() + 15
    while len(letters := await asyncio.to_thread(dead.letters)) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return letters


async def test_a_refused_message_goes_to_the_dead_letters_with_its_reason(transport):
    broker = await transport.broker()
    await broker.publisher("test").publish(health_event("odd"))
    subscriber = broker.subscriber(queue_named("smserver", "smserver.state"))
    (delivery,) = await read(subscriber, 1, settle=False)
    delivery.refuse("nobody can handle this")
    (letter,) = await all_letters(transport, 1)
    assert letter.reason == "nobody can handle this"
    assert letter.id == delivery.envelope.id
    await asyncio.sleep(0.05)
    await subscriber.close()
    with pytest.raises(TimeoutError):
        await read(broker.subscriber(queue_named("smserver", "smserver.state")), 1, timeout_s=0.3)


async def test_a_replayed_letter_is_in_its_queue_again_and_a_dropped_one_is_gone(transport):
    broker = await transport.broker()
    for subject in ("again", "never", "kept"):
        await broker.publisher("test").publish(health_event(subject))
    queue = queue_named("smserver", "smserver.state")
    subscriber = broker.subscriber(queue)
    got = {delivery.envelope.message.subject: delivery for delivery in await read(subscriber, 3, settle=False)}
    for delivery in got.values():
        delivery.refuse("first try")
    await all_letters(transport, 3)
    dead = await transport.dead_letters()
    done, failed = await asyncio.to_thread(dead.replay, {got["again"].envelope.id})
    assert ([letter.id for letter in done], failed) == ([got["again"].envelope.id], [])
    (delivery,) = await read(subscriber, 1)
    assert delivery.envelope == got["again"].envelope
    await asyncio.to_thread(dead.drop, {got["never"].envelope.id})
    (letter,) = await all_letters(transport, 1)
    assert letter.id == got["kept"].envelope.id


async def test_a_letter_whose_replay_fails_stays(transport):
    broker = await transport.broker()
    headers = {"kind": "Odd", "x-vigil-queue": "no.such.queue", "x-vigil-reason": "odd"}
    await transport.publish_raw(broker, Encoded("vigil.dead", "", headers, b"{}"))
    dead = await transport.dead_letters()
    (letter,) = await all_letters(transport, 1)
    done, failed = await asyncio.to_thread(dead.replay, None)
    assert (done, [each.id for each, _reason in failed]) == ([], [letter.id])
    assert [each.id for each in await all_letters(transport, 1)] == [letter.id]


async def test_what_nobody_wants_is_kept_among_the_unroutable(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    await publisher.publish(camera_removed(1))  # no node has ever read configuration here
    (delivery,) = await read(broker.subscriber(queue_named("people", "unroutable")), 1)
    assert delivery.envelope.message == m.CameraRemoved(revision=1, camera_id="cam-1")


async def test_batches_end_when_the_subscriber_is_closed(transport):
    broker = await transport.broker()
    subscriber = broker.subscriber(queue_named("smserver", "smserver.state"))

    async def consume():
        async for _batch in subscriber.batches(10):
            pass

    reader = asyncio.create_task(consume())
    await subscriber.ready()
    await subscriber.close()
    await asyncio.wait_for(reader, 5)


async def test_a_closed_publisher_breaks_its_promises(transport):
    broker = await transport.broker()
    publisher = broker.publisher("test")
    await publisher.publish(health_event("one"))
    await publisher.close()
    with pytest.raises(Exception, match="closed"):
        await publisher.publish(health_event("two"))


async def test_health_says_that_the_broker_is_there(transport):
    broker = await transport.broker()
    await broker.publisher("test").publish(health_event("one"))
    await eventually(lambda: transport.health.ok)
    assert transport.health.report()["parts"]["broker"]["ok"]
