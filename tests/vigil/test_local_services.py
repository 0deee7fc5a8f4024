"""Private services keep their data over kill -9, listen on the loopback only, and leave nothing behind."""

import contextlib
import os
import sys
import time
from pathlib import Path

import pika
import pika.exceptions
import psycopg
import pytest

from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ


def socket_behind(link):
    with contextlib.suppress(OSError):  # files come and go while we look
        return str(link.readlink()).removeprefix("socket:[").removesuffix("]")
    return ""


def listeners(group):
    """Local addresses, in hexadecimal, of the listening sockets of a process group."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                inodes |= {inode for link in (process / "fd").iterdir() if (inode := socket_behind(link))}
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    return {row[1].rsplit(":", 1)[0] for row in rows if row[3] == "0A" and row[9] in inodes}


def first_message(url, queue):
    """What lies first in a queue. A quorum queue answers 541 while it recovers, so this asks again."""
    deadline = time.monotonic() + 40
    while True:
        try:
            with pika.BlockingConnection(pika.URLParameters(url)) as connection:
                channel = connection.channel()
                body = next(channel.consume(queue, inactivity_timeout=20))[2]
                channel.cancel()
                connection.channel().queue_delete(queue)
                return body
        except pika.exceptions.AMQPError:
            assert time.monotonic() < deadline
            time.sleep(0.3)


@pytest.mark.long
def test_rabbitmq_listens_on_the_loopback_only_and_survives_kill_9(rabbitmq):
    rabbitmq.start()
    assert listeners(rabbitmq.pid) == {"0100007F"}
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"message", pika.BasicProperties(delivery_mode=2))
    rabbitmq.sync()
    pid = rabbitmq.pid
    rabbitmq.kill()
    assert not Path(f"/proc/{pid}").exists()
    rabbitmq.start()
    assert first_message(rabbitmq.url, "kept") == b"message"


@pytest.mark.long
def test_postgresql_listens_on_the_loopback_only_and_survives_kill_9(postgres):
    postgres.start()
    address = postgres.make_database("kept").replace("+psycopg", "")
    assert listeners(postgres.pid) == {"0100007F"}
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    postgres.kill()
    postgres.start()
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_service_that_is_not_installed_is_named():
    for service in (LocalRabbitMQ, LocalPostgreSQL):
        assert service.missing() == "" or "apt-get install" in service.missing()


def test_a_command_gets_the_addresses(monkeypatch, tmp_path, capfd):
    from vigil import local_services  # noqa: PLC0415 - patched below

    class Stub:
        url = management_url = "there"

        def __init__(self, path, **options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(local_services, "LocalRabbitMQ", Stub)
    monkeypatch.setattr(local_services, "LocalPostgreSQL", Stub)
    script = "import os, sys; print(os.environ['VIGIL_BROKER__URL'], os.environ['VIGIL_DATABASE__URL']); sys.exit(7)"
    assert local_services.run([sys.executable, "-c", script], tmp_path) == 7
    assert "there there" in capfd.readouterr().out
