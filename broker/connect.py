"""The choice between RabbitMQ and memory, made once per process by VIGIL_BROKER__URL."""

import threading
from pathlib import Path

from broker.memory import Hub, MemoryBroker
from broker.process import BrokerSettings, Health
from broker.transport import Broker

MEMORY = "memory://"

_hub: Hub | None = None
_hub_lock = threading.Lock()


def connect(settings: BrokerSettings, *, name: str, health: Health, ca: Path | None = None) -> Broker:
    """The broker of the settings, not yet started. `name` is what RabbitMQ's own pages show.

    With amqps:// RabbitMQ's certificate is checked, and `ca` is trusted beside the system's authorities.

    With memory:// all callers of one process, on whatever thread or event loop, meet on the same queues.
    """
    if settings.url.get_secret_value() == MEMORY:
        return MemoryBroker(shared_hub(settings.partitions), health=health, until_settled=True)
    from broker.amqp import AmqpBroker  # noqa: PLC0415 - the embedded default never pays for pika

    return AmqpBroker(settings, name=name, health=health, ca=ca)


def shared_hub(partitions: int = 2) -> Hub:
    """The queues of this process."""
    global _hub  # noqa: PLW0603 - one per process is the point
    with _hub_lock:
        if _hub is None:
            _hub = Hub(partitions)
        return _hub
