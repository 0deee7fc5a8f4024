import pytest

from tests.clients.vau.site import Computer, Publisher, SiteMirror


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path / "publisher")


@pytest.fixture
def mirror(publisher):
    mirror = SiteMirror(publisher.repository.folder)
    yield mirror
    mirror.close()


@pytest.fixture
def computer(tmp_path, publisher, mirror, monkeypatch):
    (tmp_path / "computer").mkdir()
    computer = Computer(tmp_path / "computer", publisher, mirror.port)
    monkeypatch.setenv("VIGIL_TEST_REPORT", str(computer.report))
    yield computer
    for process in computer.processes:
        process.wait(20)
