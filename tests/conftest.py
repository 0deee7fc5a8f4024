"""Fixtures that several packages' tests share: a private RabbitMQ and PostgreSQL, started when first asked for.

Where the software is missing a test is skipped on a laptop and fails where CI=true.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items):
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        for marker, fixtures in (
            ("rabbitmq", {"rabbitmq", "rabbitmq_url"}),
            ("postgres", {"postgres", "postgres_url"}),
        ):
            if names & fixtures:
                item.add_marker(getattr(pytest.mark, marker))


def _require(missing: str) -> None:
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def rabbitmq():
    """A private RabbitMQ for the whole run: `.url`, `.kill()` (as -9), `.start()`. Who kills it starts it again."""
    _require(LocalRabbitMQ.missing())
    folder = Path(tempfile.mkdtemp(prefix="vigil-rabbitmq-"))
    service = LocalRabbitMQ(folder, management=True)
    try:
        service.start()
        yield service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rabbitmq_url(rabbitmq):
    """The address of an empty virtual host of this test's own."""
    rabbitmq.start()
    return rabbitmq.make_vhost(f"test{next(_numbers)}")


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
