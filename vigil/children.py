"""Processes that a command starts beside itself, and ends with itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

STOP_TIMEOUT_S = 15.0


class ChildFailedError(RuntimeError):
    """A process that was started beside us is gone, or does not come up."""


class Children:
    """Starts Python processes with their output in log files, and ends exactly those."""

    def __init__(self, logs: Path, environment: dict[str, str] | None = None) -> None:
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {**os.environ, **(environment or {})}

    def start(self, name: str, words: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start `python words...` in a session of its own, so that Ctrl-C reaches us first."""
        self.logs.mkdir(parents=True, exist_ok=True)
        # A first start says a password: what a child says is for its owner.
        with os.fdopen(os.open(self.log_of(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._environment, **environment},
                start_new_session=True,
            )
        self.running[name] = child
        return child

    def log_of(self, name: str) -> Path:
        """Where the child of that name writes."""
        return self.logs / f"{name}.log"

    def kill(self, name: str) -> None:
        """End a child as a power cut would."""
        child = self.running.pop(name)
        child.kill()
        child.wait()

    def stop(self, name: str) -> int:
        """Ask a child to end, and insist after a while; its exit status."""
        child = self.running.pop(name)
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            return child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.running.values():
            child.send_signal(signal.SIGTERM)
        for name in reversed(list(self.running)):
            self.stop(name)


def wait_for_health(url: str, child: subprocess.Popen[bytes] | None = None, *, timeout_s: float = 60.0) -> None:
    """Return when `url`/health answers 200; raise `ChildFailedError` when the child ends or time does."""
    deadline = time.monotonic() + timeout_s
    said = "nothing"
    while time.monotonic() < deadline:
        if child is not None and child.poll() is not None:
            raise ChildFailedError(f"the process behind {url} ended with status {child.returncode}")
        try:
            answer = httpx.get(f"{url}/health", timeout=2, trust_env=False)
        except httpx.HTTPError as error:
            said = str(error)
        else:
            if answer.is_success:
                return
            said = answer.text
        time.sleep(0.05)
    raise ChildFailedError(f"{url}/health was not well within {timeout_s:.0f} s; it said: {said}")
