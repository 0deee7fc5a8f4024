"""Brokers of both kinds for the same promises."""

import pytest
from pydantic import SecretStr

from broker.amqp import AmqpBroker
from broker.codec import Encoded
from broker.dead_letters import AmqpDeadLetters, MemoryDeadLetters
from broker.memory import Hub, MemoryBroker
from broker.process import BrokerSettings, Health


class Transport:
    """A broker of one kind and what tests want to see behind its back."""

    def __init__(self, url: str | None = None, **settings) -> None:
        self.hub = Hub() if url is None else None
        self.settings = None if url is None else BrokerSettings(url=SecretStr(url), **settings)
        self.health = Health("test")
        self._open = []

    async def broker(self):
        broker = (
            MemoryBroker(self.hub, health=self.health)
            if self.hub is not None
            else AmqpBroker(self.settings, name="test", health=self.health)
        )
        await broker.start()
        self._open.append(broker)
        return broker

    async def publish_raw(self, broker, encoded: Encoded) -> None:
        if self.hub is not None:
            self.hub.publish(encoded)
        else:
            publisher = broker.publisher("raw")
            await publisher.publish_encoded(encoded, "raw")

    async def dead_letters(self):
        return (
            MemoryDeadLetters(self.hub)
            if self.hub is not None
            else AmqpDeadLetters(self.settings.url.get_secret_value())
        )

    async def close(self) -> None:
        for broker in self._open:
            await broker.close()


@pytest.fixture(params=["memory", "rabbitmq"])
async def transport(request):
    url = request.getfixturevalue("rabbitmq_url") if request.param == "rabbitmq" else None
    transport = Transport(url)
    try:
        yield transport
    finally:
        await transport.close()


@pytest.fixture
async def amqp(rabbitmq_url):
    transport = Transport(rabbitmq_url, confirm_timeout_s=2.0)
    try:
        yield transport
    finally:
        await transport.close()


def pytest_collection_modifyitems(items):
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("transport") == "rabbitmq":
            item.add_marker(pytest.mark.rabbitmq)
