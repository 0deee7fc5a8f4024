import subprocess
import sys

import pytest

PROGRAM = """
from broker.process import LogSettings, configure_logs, logger

configure_logs(LogSettings(format="{format}"))


def sign_in(password):
    raise RuntimeError("the database has gone away")


try:
    sign_in("-".join(["correct", "horse", "battery"]))
except RuntimeError:
    logger("vigil").exception("request failed")
"""


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_traceback_in_the_log_shows_where_and_why_but_no_values(format_):
    program = [sys.executable, "-c", PROGRAM.replace("{format}", format_)]
    logged = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stderr
    assert "request failed" in logged
    assert "the database has gone away" in logged
    assert "sign_in" in logged
    assert "correct-horse-battery" not in logged
