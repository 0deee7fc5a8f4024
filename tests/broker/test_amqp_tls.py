"""amqps://: RabbitMQ's certificate is checked by everybody who speaks to it, and VIGIL_TLS__CA is what they trust."""

import asyncio
import os
import subprocess
import sys

import pytest

from broker.amqp import AmqpBroker
from broker.process import BrokerSettings, Health
from tests.broker.speaking import eventually, queue_named, read, sealed


@pytest.fixture
def health():
    return Health("test")


@pytest.fixture
async def dial(rabbitmq_tls_url, health):
    open_ = []

    async def dial(url=rabbitmq_tls_url, **options):
        broker = AmqpBroker(BrokerSettings(url=url), name="test", health=health, **options)
        await broker.start()
        open_.append(broker)
        return broker

    yield dial
    for broker in open_:
        await broker.close()


async def test_with_the_authority_trusted_messages_travel(dial, rabbitmq, health):
    broker = await dial(ca=rabbitmq.authority)
    said = sealed()
    await asyncio.wait_for(broker.publisher("test").publish(said), 20)
    assert health.ok
    queues = [broker.subscriber(queue_named("engine", f"engine.triggers.low.{number}")) for number in range(2)]
    found, _ = await asyncio.wait(
        [asyncio.create_task(read(queue, 1)) for queue in queues], return_when=asyncio.FIRST_COMPLETED
    )
    assert found.pop().result()[0].envelope == said


async def test_without_it_nothing_is_said_and_the_reason_is_in_health(dial, health):
    await dial()
    await eventually(lambda: "certificate" in health.report()["parts"]["broker"]["detail"])
    assert not health.ok


async def test_another_hosts_certificate_is_refused(dial, rabbitmq, rabbitmq_tls_url, health):
    await dial(rabbitmq_tls_url.replace("127.0.0.1", "localhost"), ca=rabbitmq.authority)
    await eventually(lambda: "certificate" in health.report()["parts"]["broker"]["detail"])
    assert not health.ok


@pytest.mark.parametrize(("trusted", "status"), [(True, 0), (False, 1)])
def test_the_topology_is_declared_through_tls(trusted, status, rabbitmq, rabbitmq_tls_url):
    environment = {**os.environ, "VIGIL_TLS__CA": str(rabbitmq.authority)} if trusted else os.environ
    done = subprocess.run(
        [sys.executable, "-m", "broker", "--declare", rabbitmq_tls_url],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert trusted or "CERTIFICATE_VERIFY_FAILED" in done.stderr or "AMQPConnectionError" in done.stderr


@pytest.mark.parametrize(("trusted", "status"), [(True, 0), (False, 2)])
def test_dead_letters_are_read_through_tls(trusted, status, rabbitmq, rabbitmq_tls_url):
    given = {"VIGIL_BROKER__URL": rabbitmq_tls_url, **({"VIGIL_TLS__CA": str(rabbitmq.authority)} if trusted else {})}
    if trusted:
        subprocess.run(
            [sys.executable, "-m", "broker", "--declare", rabbitmq_tls_url], env={**os.environ, **given}, check=True
        )
    done = subprocess.run(
        [sys.executable, "-m", "vigil", "dead-letters", "list"],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert trusted or "RabbitMQ cannot be used" in done.stderr
