"""Celery's consumer without the part that nothing here uses."""

from typing import Any

from celery.worker import consumer

_Blueprint: Any = consumer.Consumer.Blueprint


class Blueprint(_Blueprint):  # type: ignore[misc]
    """The steps of the consumer."""

    default_steps = tuple(step for step in _Blueprint.default_steps if not step.endswith(":DelayedDelivery"))


class Consumer(consumer.Consumer):
    """Leaves out native delayed delivery: no task has an ETA, and it would declare 28 queues for them."""

    Blueprint = Blueprint
