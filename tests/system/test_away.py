"""RabbitMQ and PostgreSQL away, at the start and later: every part waits, says so in /health, and carries on."""

import os
import time

import httpx
import pytest

from vigil.children import Children
from vigil.free_ports import free_ports
from vigil.local_services import LocalPostgreSQL, LocalRabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgres, pytest.mark.timeout(240)]
PATIENCE_S = 60
PARTS = ("DVRSERVER", "SMSERVER", "GATEWAY", "ENGINE")


@pytest.fixture
def services(tmp_path):
    rabbitmq, postgresql = LocalRabbitMQ(tmp_path / "rabbitmq"), LocalPostgreSQL(tmp_path / "postgresql")
    if missing := rabbitmq.missing() or postgresql.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    yield rabbitmq, postgresql
    rabbitmq.stop()
    postgresql.remove()


def health(environment, part):
    """What the part's operations port says; nothing while it does not answer."""
    try:
        return httpx.get(
            f"http://127.0.0.1:{environment[f'VIGIL_{part}__OPERATIONS_PORT']}/health", timeout=5, trust_env=False
        ).json()
    except httpx.HTTPError:
        return None


def wait_until(environment, parts, well):
    """Wait until the named conditions of all parts are as wanted: {"broker": True, ...}."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        reports = {part: health(environment, part) for part in parts}
        if all(
            report and all(name in report["parts"] and report["parts"][name]["ok"] is ok for name, ok in well.items())
            for report in reports.values()
        ):
            return reports
        assert time.monotonic() < deadline, reports
        time.sleep(0.1)


def test_everything_waits_for_broker_and_database_and_carries_on(tmp_path, services):
    rabbitmq, postgresql = services
    postgresql.start()  # the first start makes its password, a part of the address
    postgresql.stop()
    environment = {
        **free_ports(),
        "VIGIL_DATA_DIR": str(tmp_path / "data"),
        "VIGIL_BROKER__URL": rabbitmq.url,
        "VIGIL_DATABASE__URL": postgresql.url,
    }
    environment["VIGIL_SMSERVER_URL"] = f"http://127.0.0.1:{environment['VIGIL_SMSERVER__PORT']}"
    with Children(tmp_path / "logs", environment) as children:
        up = children.start("up", ["-m", "vigil", "up"])
        reports = wait_until(environment, ("DVRSERVER",), {"broker": False})
        assert "RabbitMQ" in reports["DVRSERVER"]["parts"]["broker"]["detail"]
        reports = wait_until(environment, ("SMSERVER",), {"broker": False, "database": False})
        assert "waiting for the database" in reports["SMSERVER"]["parts"]["database"]["detail"]

        rabbitmq.start()
        postgresql.start()
        wait_until(environment, PARTS, {"broker": True})
        wait_until(environment, ("SMSERVER", "ENGINE"), {"database": True})

        rabbitmq.kill()
        postgresql.kill()
        wait_until(environment, PARTS, {"broker": False})
        wait_until(environment, ("SMSERVER",), {"database": False})

        rabbitmq.start()
        postgresql.start()
        wait_until(environment, PARTS, {"broker": True})
        wait_until(environment, ("SMSERVER", "ENGINE"), {"database": True})
        assert up.poll() is None
        said = children.log_of("up").read_text()
    assert "ended by a mistake" not in said
