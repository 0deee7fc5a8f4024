"""Celery's settings: the queues of tasks and how they are consumed. docs/design/delivery.md has the reasons."""

import logging
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kombu import Exchange, Queue

from broker.connect import MEMORY
from broker.model.actions import ACTION_SETTINGS
from broker.model.base import LANES
from workers.intake_step import ENGINE_QUEUE
from workers.settings import EngineSettings
from workers.tasks import SWEEP, TIDY

ACTION_QUEUES = {lane: f"actions.{lane}" for lane in LANES}
"""One queue per lane: prefetching would defeat priorities inside one queue."""

TASKS_EXCHANGE = "vigil.tasks"

ALLOWED = frozenset({SWEEP, TIDY, *(f"action.{one.model_fields['kind'].default}" for one in ACTION_SETTINGS)})
"""The only task names that a worker knows; a message with another one is thrown away."""

DELIVERY_LIMIT = 20
"""A wake-up call that ends its worker this often is dropped; its row stays, and the sweeper goes by the row."""

HEARTBEAT_S = 10
POLLING_S = 0.05
"""How often kombu's memory transport looks for messages: 25 ms on average, 1 % of a core."""

SWEEP_EXPIRES_S = 60.0
"""Age at which a sweep is not worth doing. Beat's clock and the worker's are compared, and those may differ."""

TIDY_S = 3600.0


def queues() -> list[Queue]:
    """The queues of the tasks, quorum queues on RabbitMQ; the names are those of the documented commands."""
    exchange = Exchange(TASKS_EXCHANGE, type="direct", durable=True)
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
    names = (ENGINE_QUEUE, *ACTION_QUEUES.values())
    return [Queue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments) for name in names]


def configuration(settings: EngineSettings) -> dict[str, Any]:
    """Celery's settings, each with its reason in docs/design/delivery.md."""
    memory = settings.broker.url.get_secret_value() == MEMORY
    own = settings.engine
    return {
        "broker_url": "memory://localhost/" if memory else settings.broker.url.get_secret_value(),
        "broker_use_ssl": _tls(settings),
        "broker_heartbeat": min(settings.broker.heartbeat_s, HEARTBEAT_S),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Celery's own policy asks a broker that is away several times a second, for a third of a core.
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 1.0,
            "interval_step": 1.0,
            "interval_max": 5.0,
        },
        "broker_transport_options": ({"polling_interval": POLLING_S} if memory else {"confirm_publish": False}),
        "task_queues": queues(),
        "task_default_queue": ENGINE_QUEUE,
        "task_default_queue_type": "quorum",
        "task_default_exchange": TASKS_EXCHANGE,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": ENGINE_QUEUE,
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "task_send_sent_event": True,
        "worker_send_task_events": True,
        "worker_enable_remote_control": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_pool": "threads",
        "worker_concurrency": own.concurrency,
        # kombu's memory transport hands out ten messages a second unless prefetching is unlimited (0).
        "worker_prefetch_multiplier": 0 if memory else 2,
        "worker_consumer": "workers.consumer:Consumer",
        "worker_detect_quorum_queues": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "timezone": "UTC",
        "beat_scheduler": "workers.clock:Clock",
        "beat_schedule_filename": str(Path(settings.data_dir) / "beat-schedule"),
        "beat_max_loop_interval": 1.0,
        "beat_schedule": {
            "sweep": {
                "task": SWEEP,
                "schedule": own.sweep_s,
                # A sweep that nobody took up is not worth doing twice; alarms have no time to live, sweeps have.
                "options": {"queue": ENGINE_QUEUE, "expires": max(SWEEP_EXPIRES_S, 3 * own.sweep_s)},
            },
            "tidy": {"task": TIDY, "schedule": TIDY_S, "options": {"queue": ENGINE_QUEUE, "expires": TIDY_S}},
        },
    }


def _tls(settings: EngineSettings) -> dict[str, Any] | None:
    """How RabbitMQ's certificate is checked; py-amqp by itself does not look whose it is. A given CA counts alone."""
    address = urlsplit(settings.broker.url.get_secret_value())
    if address.scheme != "amqps":
        return None
    ca = {"ca_certs": str(settings.tls.ca)} if settings.tls.ca else {}
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": address.hostname,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        **ca,
    }


def quiet_celery() -> None:
    """Keep Celery's lines about every task and every tick out of the log; the runner has its own."""
    for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
