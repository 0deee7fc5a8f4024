"""Fixtures that several packages' tests share: a private RabbitMQ and PostgreSQL, started when first asked for.

Where the software is missing a test is skipped on a laptop and fails where CI=true.

`pytest -n 3` runs the files beside each other, each file whole and in order in one process, which has services of its
own. Ports come from the system and folders are the test's, so nothing is shared between them but the processor.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from xdist.scheduler import LoadFileScheduling

from broker.trust import passwords
from tests.certificates import self_signed
from vigil.free_ports import free_port
from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ

_numbers = itertools.count(1)

LONG_FILES = (
    "system/test_kills.py",
    "system/test_webclient.py",
    "system/test_site.py",
    "system/test_engine_kills.py",
    "system/",
    "broker/test_amqp_faults.py",
    "clients/",
)
"""What begins first when files run beside each other, so that no long one is left alone at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # it would count tests; LONG_FILES knows better
    return LoadFileScheduling(config, log)


def _begins(item):
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((place for place, long in enumerate(LONG_FILES) if path.startswith(long)), len(LONG_FILES))


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=_begins)
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        for marker, fixtures in (
            ("rabbitmq", {"rabbitmq", "rabbitmq_url"}),
            ("postgres", {"postgres", "postgres_url"}),
        ):
            if names & fixtures:
                item.add_marker(getattr(pytest.mark, marker))


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords():
    """Hash passwords as argon2id, but with next to no work: some hundred tests sign in."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "_hasher", lambda: hasher)
        passwords._hash_of_nobody.cache_clear()
        yield
    passwords._hash_of_nobody.cache_clear()


@pytest.fixture
def dear_passwords(monkeypatch):
    """Hash passwords with as much work as in earnest."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher)
    passwords._hash_of_nobody.cache_clear()
    yield
    passwords._hash_of_nobody.cache_clear()


def _require(missing: str) -> None:
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def rabbitmq():
    """A private RabbitMQ for the whole run: `.url`, `.kill()` (as -9), `.start()`. Who kills it starts it again.

    It also listens inside TLS, at `.tls_port`, with the certificate `.authority`.
    """
    _require(LocalRabbitMQ.missing())
    folder = Path(tempfile.mkdtemp(prefix="vigil-rabbitmq-"))
    tls, tls_port = self_signed(folder), free_port()
    lines = (
        f"listeners.ssl.1 = 127.0.0.1:{tls_port}",
        f"ssl_options.certfile = {tls.certificate}",
        f"ssl_options.keyfile = {tls.key}",
    )
    service = LocalRabbitMQ(folder, management=True, more=lines)
    service.tls_port, service.authority = tls_port, tls.ca
    try:
        service.start()
        yield service
    finally:
        service.kill()  # nobody needs its data: an orderly end takes 8 s
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rabbitmq_url(rabbitmq):
    """The address of an empty virtual host of this test's own."""
    rabbitmq.start()
    return rabbitmq.make_vhost(f"test{next(_numbers)}")


@pytest.fixture
def rabbitmq_tls_url(rabbitmq, rabbitmq_url):
    """The same inside TLS; its certificate is signed by `rabbitmq.authority`."""
    return rabbitmq_url.replace("amqp://", "amqps://").replace(f":{rabbitmq.port}/", f":{rabbitmq.tls_port}/")


@pytest.fixture(scope="session")
def postgres():
    """A private PostgreSQL for the whole run: `.url`, `.kill()`, `.start()`, `.make_database(name)`."""
    _require(LocalPostgreSQL.missing())
    folder = Path(tempfile.mkdtemp(prefix="vigil-postgresql-"))
    service = LocalPostgreSQL(folder)
    try:
        service.start()
        yield service
    finally:
        service.remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres):
    """The address of an empty database of this test's own."""
    postgres.start()
    return postgres.make_database(f"test{next(_numbers)}")
