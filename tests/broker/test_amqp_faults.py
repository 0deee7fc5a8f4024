"""RabbitMQ killed, refusing, silent and away: nothing confirmed is lost, and everybody carries on."""

import asyncio
import os
import signal

import pika
import pytest

from broker.amqp import AmqpBroker
from broker.errors import PublishRefusedError, PublishUnconfirmedError
from broker.journal import Journal
from broker.model.base import Priority
from broker.process import BrokerSettings, Health
from broker.relay import Relay
from broker.topology import partition_of
from tests.broker.speaking import eventually, queue_named, read, running, sealed, trigger
from vigil.free_ports import free_port


class Careless:
    """The broker without confirms: a message counts as arrived when it was handed over."""

    def __init__(self, broker):
        self._broker = broker

    def publisher(self, name):
        return CarelessPublisher(self._broker.publisher(name))


class CarelessPublisher:
    def __init__(self, publisher):
        self._publisher = publisher

    def publish(self, envelope):
        self._publisher.publish(envelope)
        promise = asyncio.get_running_loop().create_future()
        promise.set_result(None)
        return promise

    async def close(self):
        await self._publisher.close()


async def test_kill_9_of_rabbitmq_loses_nothing_confirmed_and_without_confirms_it_does(
    rabbitmq, rabbitmq_url, amqp, tmp_path
):
    broker = await amqp.broker()
    await broker.publisher("first").publish(sealed())
    await asyncio.to_thread(rabbitmq.sync)  # the queues are older than the fault
    journals = {
        Priority.HIGH: Journal.open(tmp_path / "high.db", "node-1"),
        Priority.LOW: Journal.open(tmp_path / "low.db", "node-2"),
    }
    count, said = 3000, {Priority.HIGH: [], Priority.LOW: []}

    async def fill(lane):
        for number in range(count):
            envelope = await journals[lane].append_soon(
                lambda boot, sequence: trigger("cam-1", sequence=sequence), lane=lane
            )
            said[lane].append(envelope.id)
            if number == count // 3:
                await asyncio.to_thread(rabbitmq.kill)

    careful = Relay(journals[Priority.HIGH], broker, name="journal", health=amqp.health)
    careless = Relay(journals[Priority.LOW], Careless(broker), name="careless", health=amqp.health)
    async with running(careful.run()), running(careless.run()):
        await asyncio.gather(fill(Priority.HIGH), fill(Priority.LOW))
        await eventually(lambda: not amqp.health.ok)
        await asyncio.to_thread(rabbitmq.start)
        await eventually(lambda: all(journal.backlog == 0 for journal in journals.values()), timeout_s=60)
        got = {}
        for lane in journals:
            queue = queue_named("engine", f"engine.triggers.{lane}.{partition_of('cam-1', 2)}")
            got[lane] = await read_until_quiet(broker.subscriber(queue))
    for journal in journals.values():
        journal.close()
    assert set(said[Priority.HIGH]) <= {delivery.envelope.id for delivery in got[Priority.HIGH]}
    assert set(said[Priority.LOW]) - {delivery.envelope.id for delivery in got[Priority.LOW]}
    assert amqp.health.ok


async def read_until_quiet(subscriber):
    got = []
    batches = subscriber.batches(500)
    while True:
        try:
            batch = await asyncio.wait_for(anext(batches), 2.0)
        except TimeoutError:
            return got
        for delivery in batch:
            got.append(delivery)
            delivery.done()


async def test_a_process_starts_without_rabbitmq_says_so_and_carries_on_when_it_is_there(rabbitmq, rabbitmq_url, amqp):
    await asyncio.to_thread(rabbitmq.sync)
    await asyncio.to_thread(rabbitmq.kill)
    broker = await amqp.broker()
    queue = queue_named("engine", f"engine.triggers.low.{partition_of('cam-1', 2)}")
    subscriber = broker.subscriber(queue)
    with pytest.raises(PublishUnconfirmedError):
        await broker.publisher("early").publish(sealed())
    condition = amqp.health.report()["parts"]["broker"]
    assert not condition["ok"]
    assert "127.0.0.1" in condition["detail"]
    assert "vigil:" not in condition["detail"]  # never the password
    await asyncio.to_thread(rabbitmq.start)
    await asyncio.wait_for(subscriber.ready(), 30)
    await eventually(lambda: amqp.health.ok)
    said = sealed()
    await broker.publisher("later").publish(said)
    assert (await read(subscriber, 1))[0].envelope == said


async def test_a_nack_breaks_the_promise_and_what_follows_is_given_back_in_order(amqp, rabbitmq_url):
    broker = await amqp.broker()
    publisher = broker.publisher("test")
    await publisher.publish(sealed())
    queue = queue_named("engine", f"engine.triggers.low.{partition_of('cam-1', 2)}")
    # A queue of the same name that takes one message and refuses the rest, as a full one does.
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        channel = connection.channel()
        channel.queue_delete(queue.name)
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(queue.name, durable=True, arguments=arguments)
        channel.queue_bind(queue.name, queue.row.exchange.name, queue.binding)
        results = []
        for _ in range(20):
            promises = [publisher.publish(sealed()) for _ in range(5)]
            results = await asyncio.gather(*promises, return_exceptions=True)
            if any(results):
                break
        first = next(index for index, result in enumerate(results) if result)
        assert isinstance(results[first], PublishRefusedError)
        assert all(isinstance(result, PublishRefusedError | PublishUnconfirmedError) for result in results[first:])
        channel.queue_purge(queue.name)
        # Room again: the channel was closed and opened anew without help.
        await asyncio.wait_for(publisher.publish(sealed()), 10)


async def test_a_silent_broker_breaks_promises_after_the_confirm_timeout():
    async def accept_and_say_nothing(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept_and_say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = BrokerSettings(url=f"amqp://u:p@127.0.0.1:{port}/", confirm_timeout_s=0.3)
    broker = AmqpBroker(settings, name="test", health=Health("test"))
    await broker.start()
    started = asyncio.get_running_loop().time()
    with pytest.raises(PublishUnconfirmedError):
        await broker.publisher("test").publish(sealed())
    assert asyncio.get_running_loop().time() - started < 2
    await broker.close()
    server.close()
    await server.wait_closed()


class SteadyChannel:
    """Confirms each message 60 ms after it was sent: a busy broker, not a silent one."""

    is_open = True

    def __init__(self, on_confirm):
        self.sent = 0
        self._on_confirm = on_confirm

    def basic_publish(self, *_args, **_options):
        self.sent += 1
        frame = pika.frame.Method(1, pika.spec.Basic.Ack(self.sent))
        asyncio.get_running_loop().call_later(0.06, self._on_confirm, frame)


async def test_a_message_that_waited_long_for_its_turn_has_the_whole_confirm_timeout():
    settings = BrokerSettings(url="amqp://127.0.0.1/", confirm_timeout_s=0.15, window=1)
    publisher = AmqpBroker(settings, name="test", health=Health("t")).publisher("test")
    channel = SteadyChannel(publisher._on_confirm)
    publisher._calls = ChannelCallsStandIn(channel)
    await asyncio.gather(*(publisher.publish(sealed(sequence=number)) for number in range(6)))
    assert channel.sent == 6
    await publisher.close()


class ChannelCallsStandIn:
    def __init__(self, channel):
        self.channel = channel

    def close(self):
        self.channel.is_open = False


async def test_a_late_confirm_closes_the_channel_and_is_credited_to_nobody(amqp, rabbitmq):
    broker = await amqp.broker()
    publisher = broker.publisher("test")
    await publisher.publish(sealed())
    calls = publisher._calls
    os.killpg(rabbitmq.pid, signal.SIGSTOP)
    try:
        with pytest.raises(PublishUnconfirmedError, match="no confirm within"):
            await publisher.publish(sealed())
        after = publisher.publish(sealed())
        await asyncio.sleep(0.1)
        assert not after.done()
    finally:
        os.killpg(rabbitmq.pid, signal.SIGCONT)
    await asyncio.wait_for(after, 10)
    assert publisher._calls is not calls


async def test_an_address_where_nobody_listens_is_named_and_tried_again():
    health = Health("test")
    port = free_port()
    broker = AmqpBroker(BrokerSettings(url=f"amqp://vigil:secret@127.0.0.1:{port}/vigil"), name="test", health=health)
    await broker.start()
    await eventually(lambda: str(port) in health.report()["parts"]["broker"]["detail"])
    await eventually(lambda: "refused" in health.report()["parts"]["broker"]["detail"].lower())
    assert "secret" not in str(health.report())
    await broker.close()


async def test_a_deleted_queue_is_declared_anew_and_read_on(amqp, rabbitmq_url):
    broker = await amqp.broker()
    queue = queue_named("dvrserver", "dvrserver.notices", node="node-1")
    subscriber = broker.subscriber(queue)
    await subscriber.ready()
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        connection.channel().queue_delete(queue.name)
    await eventually(lambda: not subscriber._ready.is_set())
    await asyncio.wait_for(subscriber.ready(), 10)


@pytest.mark.parametrize("apart", [True, False], ids=["", "negative control: all readers share a connection"])
async def test_a_queue_without_a_leader_disturbs_no_other_and_is_read_when_it_has_one(
    apart, rabbitmq, rabbitmq_url, amqp, monkeypatch
):
    """RabbitMQ answers 541 and closes the connection, which a queue's first reader shares with the others."""
    if not apart:
        monkeypatch.setattr(AmqpBroker, "_on_trouble", lambda self, _subscriber: self._report())
    broker = await amqp.broker()
    sick = queue_named("engine", f"engine.triggers.low.{partition_of('cam-1', 2)}")
    well = queue_named("dvrserver", "dvrserver.notices", node="node-1")
    healthy = broker.subscriber(well)
    await asyncio.wait_for(healthy.ready(), 30)
    member = f"{{'{rabbitmq_url.rsplit('/', 1)[1]}_{sick.name}', node()}}"
    await asyncio.to_thread(rabbitmq.ctl, "eval", f"ok = ra:stop_server(quorum_queues, {member}).")
    reader = broker.subscriber(sick)
    await eventually(lambda: sick.name in amqp.health.report()["parts"]["broker"]["detail"])
    assert "541" in amqp.health.report()["parts"]["broker"]["detail"]
    await asyncio.wait_for(healthy.ready(), 10)
    await eventually(lambda: not apart or reader in broker._apart)
    interruptions, tries = healthy._epoch, reader._epoch
    await eventually(lambda: reader._epoch >= tries + 3)
    assert (healthy._epoch == interruptions) is apart
    await asyncio.to_thread(rabbitmq.ctl, "eval", f"ok = ra:restart_server(quorum_queues, {member}).")
    await asyncio.wait_for(reader.ready(), 30)
    assert amqp.health.ok
    said = sealed()
    await broker.publisher("later").publish(said)
    assert (await read(reader, 1))[0].envelope == said


async def test_a_blocked_connection_is_seen_in_health_and_waits(amqp, rabbitmq, rabbitmq_url):
    broker = await amqp.broker()
    publisher = broker.publisher("test")
    await publisher.publish(sealed())
    await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0.000001")
    try:
        # RabbitMQ tells a connection that it is blocked when it next publishes.
        for _ in range(3):
            await asyncio.gather(publisher.publish(sealed()), return_exceptions=True)
        await eventually(lambda: not amqp.health.ok)
        assert "blocked" in amqp.health.report()["parts"]["broker"]["detail"]
    finally:
        await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0.4")
    await eventually(lambda: amqp.health.ok)
    await asyncio.wait_for(publisher.publish(sealed()), 10)
