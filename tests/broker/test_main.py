"""`python -m broker` prints what the documents hold and builds the topology on a RabbitMQ."""

import subprocess
import sys

import pika
import pytest

from broker.topology import shared_queues


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "broker", *arguments], capture_output=True, text=True, check=True)


def test_it_prints_the_page_and_the_asyncapi_document():
    assert run().stdout.startswith("# Topology")
    assert "asyncapi:" in run("--asyncapi").stdout


@pytest.mark.parametrize("times", [1, 2])
def test_it_declares_every_shared_queue_and_may_do_so_again(rabbitmq_url, times):
    for _ in range(times):
        run("--declare", rabbitmq_url)
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        channel = connection.channel()
        for queue in shared_queues(2):
            assert channel.queue_declare(queue.name, passive=True).method.message_count == 0
