import json
import sys

import pytest

from clients.vau import launched

UPDATE = {"application": "spotter", "version_name": "1.1", "at": "2026-11-24T12:00:00Z"}


@pytest.fixture(autouse=True)
def _forget():
    launched.launch.cache_clear()
    yield
    launched.launch.cache_clear()


@pytest.fixture
def started(tmp_path, monkeypatch):
    """As if VAU had started this process."""

    def start(**more):
        body = {
            "application": "spotter",
            "version": "1.0",
            "server": "http://127.0.0.1:5008",
            "healthy": str(tmp_path / "healthy"),
            "restart": [sys.executable, "-c", f"open({str(tmp_path / 'restarted')!r}, 'w')"],
            **more,
        }
        (tmp_path / "launch.json").write_text(json.dumps(body))
        monkeypatch.setenv(launched.ENVIRONMENT, str(tmp_path / "launch.json"))
        return tmp_path

    return start


def test_without_vau_nothing_happens(monkeypatch):
    monkeypatch.delenv(launched.ENVIRONMENT, raising=False)
    launched.report_healthy()
    assert launched.configuration() is None
    assert launched.update_offered("UpdateAvailable", UPDATE) is None
    assert launched.restart() is False


def test_a_damaged_launch_file_is_as_good_as_none(tmp_path, monkeypatch):
    (tmp_path / "launch.json").write_text("{")
    monkeypatch.setenv(launched.ENVIRONMENT, str(tmp_path / "launch.json"))
    assert launched.launch() is None
    launched.report_healthy()


def test_reporting_healthy_leaves_the_file_that_vau_waits_for(started):
    folder = started()
    assert not (folder / "healthy").exists()
    launched.report_healthy()
    launched.report_healthy()
    assert (folder / "healthy").exists()


def test_the_configuration_that_the_site_has_signed_is_there(started):
    started(configuration={"branding": {"site": "Harbour"}, "switches": {"remember_user": False}})
    configuration = launched.configuration()
    assert configuration.branding.site == "Harbour"
    assert configuration.switches == {"remember_user": False}


@pytest.mark.parametrize(
    ("kind", "data", "offered"),
    [
        ("UpdateAvailable", UPDATE, "1.1"),
        ("UpdateAvailable", {**UPDATE, "version_name": "1.0"}, None),
        ("UpdateAvailable", {**UPDATE, "application": "system-manager"}, None),
        ("AlarmRaised", UPDATE, None),
        ("UpdateAvailable", {}, None),
    ],
)
def test_a_restart_is_offered_for_another_version_of_this_application_only(started, kind, data, offered):
    started()
    assert launched.update_offered(kind, data) == offered


def test_a_site_can_turn_the_offer_off(started):
    started(configuration={"switches": {"offer_restart": False}})
    assert launched.update_offered("UpdateAvailable", UPDATE) is None


def test_a_restart_starts_vau_again(started):
    folder = started()
    assert launched.restart() is True
    assert launched._outliving[-1].wait(20) == 0
    assert (folder / "restarted").exists()


def test_a_restart_without_its_program_says_so(started):
    started(restart=["/nowhere/vau"])
    assert launched.restart() is False
