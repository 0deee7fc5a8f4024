"""Flower opens to nobody when its guard cannot do its work."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def flower(data_dir, *arguments):
    """What `celery … flower` says when it does not start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {**os.environ, "VIGIL_DATA_DIR": str(data_dir), "VIGIL_BROKER__URL": "memory://"}
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "flower", f"--port={port}", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_without_a_password_that_can_be_kept_nobody_is_let_in(tmp_path):
    (tmp_path / "keys").write_text("no folder")
    assert "flower-password" in flower(tmp_path, "--address=127.0.0.1")


def test_it_is_not_opened_to_other_machines_in_clear(tmp_path):
    assert "VIGIL_TLS__ALLOW_PLAIN" in flower(tmp_path, "--address=0.0.0.0")
