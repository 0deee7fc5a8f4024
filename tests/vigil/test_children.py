"""Processes beside a command end with it."""

import os

import pytest

from vigil.children import ChildFailedError, Children, wait_for_health


def test_children_end_with_the_block_that_started_them(tmp_path):
    with Children(tmp_path) as children:
        child = children.start("sleeper", ["-c", "import time; time.sleep(60)"])
        assert child.poll() is None
    assert child.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_ends_early_is_reported_and_not_waited_for(tmp_path):
    with Children(tmp_path) as children:
        child = children.start("failing", ["-c", "raise SystemExit(3)"])
        with pytest.raises(ChildFailedError, match="status 3"):
            wait_for_health("http://127.0.0.1:9", child, timeout_s=20)


def test_what_a_child_says_is_in_its_log(tmp_path):
    with Children(tmp_path) as children:
        children.start("speaker", ["-c", "print('hello')"]).wait(20)
        assert children.log_of("speaker").read_text() == "hello\n"
