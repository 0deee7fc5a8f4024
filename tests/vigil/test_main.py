"""The command line: every word is there, and none costs more than it must."""

import importlib
import subprocess
import sys

import pytest

from vigil.__main__ import PARTS, find, usage


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_word_of_the_usage_leads_to_a_command(part):
    assert callable(find(part.name))
    assert f"  {part.name} " in usage()


def test_an_unknown_word_ends_with_the_usage_and_status_two():
    ended = subprocess.run([sys.executable, "-m", "vigil", "nonsense"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "No such command" in ended.stderr


def test_the_usage_imports_no_server():
    code = "import sys; sys.argv = ['vigil']; import vigil.__main__ as m; m.usage(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "pika", "celery", "av"} & set(modules)


def test_a_wrong_setting_is_named_with_its_problem_and_an_example():
    ended = subprocess.run(
        [sys.executable, "-m", "vigil", "smserver"],
        capture_output=True,
        text=True,
        check=False,
        env={"VIGIL_BROKER__URL": "rabbit://nowhere", "VIGIL_SMSERVER__PORT": "99999", "PATH": "/usr/bin:/bin"},
    )
    assert ended.returncode == 2
    assert "VIGIL_BROKER__URL" in ended.stderr
    assert "amqp://" in ended.stderr
    assert "VIGIL_SMSERVER__PORT" in ended.stderr


def test_the_launcher_is_the_module_that_pyproject_names():
    assert importlib.import_module("vigil.__main__").main
