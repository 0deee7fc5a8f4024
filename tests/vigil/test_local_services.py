"""Private services keep their data over kill -9, listen on the loopback only, and leave nothing behind."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pika
import psycopg

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


def test_addresses_beyond_the_loopback_would_be_seen():
    """The negative control of the tests below."""
    script = "import socket; s = socket.create_server(('', 0)); print(flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=-1, stdout=-1, start_new_session=True) as process:
        process.stdout.readline()
        assert listeners(process.pid) == {"00000000"}
        process.communicate(b"\n")


def test_rabbitmq_and_its_port_mapper_listen_on_the_loopback_only(rabbitmq):
    rabbitmq.start()
    assert listeners(rabbitmq.pid) == {"0100007F"}
    assert listeners(rabbitmq.mapper_pid) == {"0100007F", "00000000000000000000000001000000"}  # and ::1


def test_postgresql_listens_on_the_loopback_only(postgres):
    postgres.start()
    assert listeners(postgres.pid) == {"0100007F"}


def test_rabbitmq_keeps_over_kill_9_what_it_has_confirmed(rabbitmq):
    rabbitmq.start()
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        rabbitmq.sync()  # the queue is older than the fault; the message is not
        channel.basic_publish("", "kept", b"message", pika.BasicProperties(delivery_mode=2))
    pid = rabbitmq.pid
    rabbitmq.kill()
    assert not Path(f"/proc/{pid}").exists()
    rabbitmq.start()
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        assert next(channel.consume("kept", inactivity_timeout=20))[2] == b"message"
        channel.cancel()
        channel.queue_delete("kept")


def test_postgresql_keeps_over_kill_9_what_was_committed(postgres):
    postgres.start()
    address = postgres.make_database("kept").replace("+psycopg", "")
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
