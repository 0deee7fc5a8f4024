"""What the delivery design needs of Celery is set, and a broker that is away holds nobody up."""

import ssl
import subprocess
import sys
import threading
import time

import pytest
from celery import bootsteps
from kombu import Connection

from broker.process import Health
from tests.workers.stand_ins import until
from workers.app import make_app
from workers.celery_settings import ALLOWED, configuration
from workers.consumer import Consumer
from workers.dispatch import Dispatcher
from workers.intake_step import IntakeStep
from workers.settings import EngineSettings
from workers.store.lifecycle import Due

NEEDED = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "broker_connection_max_retries": None,
    "worker_send_task_events": True,
    "task_send_sent_event": True,
    "worker_enable_remote_control": True,
    "worker_hijack_root_logger": False,
    "task_default_queue_type": "quorum",
}


@pytest.fixture
def rabbit(tmp_path):
    """Settings of a RabbitMQ that is not there."""
    return EngineSettings(data_dir=tmp_path, broker={"url": "amqp://vigil:x@127.0.0.1:1/vigil"})


@pytest.mark.parametrize(("name", "value"), NEEDED.items())
def test_each_setting_of_the_delivery_design_is_made(name, value, rabbit):
    assert configuration(rabbit)[name] == value


def test_heartbeats_come_often_facts_of_tasks_are_not_confirmed_and_few_are_taken_ahead(rabbit):
    conf = configuration(rabbit)
    assert 5 <= conf["broker_heartbeat"] <= 10
    assert conf["broker_transport_options"]["confirm_publish"] is False
    assert 1 <= conf["worker_prefetch_multiplier"] <= 4


def test_task_queues_are_quorum_queues_with_a_delivery_limit(rabbit):
    queues = configuration(rabbit)["task_queues"]
    assert [queue.name for queue in queues] == ["engine", "actions.high", "actions.average", "actions.low"]
    assert all(queue.queue_arguments["x-queue-type"] == "quorum" for queue in queues)
    assert all(queue.queue_arguments["x-delivery-limit"] > 0 for queue in queues)


def test_only_allowed_tasks_can_be_named_by_a_message(rabbit):
    app = make_app(rabbit, Health("test"))
    assert set(app.tasks) == ALLOWED
    assert {"action.record_camera", "action.http_request", "action.email", "engine.sweep"} <= ALLOWED


def test_no_queue_for_delayed_delivery_is_declared():
    assert not any("DelayedDelivery" in step for step in Consumer.Blueprint.default_steps)
    assert any("consumer.tasks:Tasks" in step for step in Consumer.Blueprint.default_steps)


@pytest.mark.parametrize(("queues", "takes_in"), [(["engine"], True), (["actions.high"], False)])
def test_intake_starts_only_in_workers_of_the_engine_queue(queues, takes_in, rabbit):
    app = make_app(rabbit, Health("test"))
    app.amqp.queues.select(queues)

    class Worker:
        pass

    worker = Worker()
    worker.app = app
    step = IntakeStep(worker)
    assert isinstance(step, bootsteps.StartStopStep)
    assert step.include_if(worker) is takes_in


def test_importing_the_application_reads_no_settings_and_opens_nothing():
    code = "import os; os.environ['VIGIL_BROKER__URL'] = 'nonsense'; import workers.app; print('imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "imported\n"


def test_a_wrong_setting_ends_the_worker_with_a_sentence_that_names_it():
    code = "import os; os.environ['VIGIL_ENGINE__LEASE_S'] = '0'; from workers.app import app; app.conf.broker_url"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "VIGIL_ENGINE__LEASE_S" in done.stderr


def test_a_broker_that_is_away_never_holds_up_who_dispatches(rabbit):
    dispatcher = Dispatcher(make_app(rabbit, Health("test")))
    began = time.monotonic()
    for number in range(20_000):
        dispatcher.send([Due(f"a-{number}", "http_request", "high")])
    assert time.monotonic() - began < 2
    threads = [thread for thread in threading.enumerate() if thread.name == "dispatch"]
    assert len(threads) == 1
    dispatcher.close()
    until(lambda: not threads[0].is_alive(), 10)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_celery_checks_rabbitmqs_certificate_and_whose_it_is(address, settings, rabbitmq, rabbitmq_tls_url):
    url = rabbitmq_tls_url.replace("127.0.0.1", address)
    chosen = configuration(
        EngineSettings(data_dir=settings.data_dir, broker={"url": url}, tls={"ca": rabbitmq.authority})
    )
    with Connection(chosen["broker_url"], ssl=chosen["broker_use_ssl"], connect_timeout=10) as connection:
        if address == "127.0.0.1":
            connection.connect()
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                connection.connect()


def test_celery_trusts_no_unknown_authority(settings, rabbitmq_tls_url):
    chosen = configuration(EngineSettings(data_dir=settings.data_dir, broker={"url": rabbitmq_tls_url}))
    with (
        Connection(chosen["broker_url"], ssl=chosen["broker_use_ssl"], connect_timeout=10) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connection.connect()
