"""One decoder process, seen from the node: starts it, talks to it, notices its end."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import servers
from broker.process import logger
from servers.dvrserver.motion.link import Kind, Message, Reader

log = logger(__name__)

COMMAND = (sys.executable, "-P", "-m", "servers.dvrserver.motion.decoder")
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
END_S = 2.0


def _environment() -> dict[str, str]:
    """Nothing of the node's own environment, which may hold passwords."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PYTHONPATH": str(Path(servers.__file__).parents[1]),
        # Threads of a numerics library cost memory and would need a right that the process gives up.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


class Process(asyncio.Protocol):
    """A running decoder. `ended` is called once, however it ends."""

    def __init__(self, received: Callable[[Message], None], ended: Callable[["Process"], None]) -> None:
        self.ready = False
        self._received = received
        self._ended = ended
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process; 0 before it has begun."""
        return self._popen.pid if self._popen else 0

    async def start(self, command: Sequence[str] = COMMAND) -> None:
        """Start the process; it says when it is ready.

        Raises:
            OSError: It cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._popen = subprocess.Popen(  # noqa: ASYNC220, S603 - returns when the process runs; our own program
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=_environment(), cwd="/", close_fds=True, start_new_session=True,
                )  # fmt: skip
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    def send(self, data: bytes) -> None:
        """Hand on a message; the caller bounds what is under way."""
        if self._transport is not None:
            self._transport.write(data)

    def kill(self) -> None:
        """End it at once; `ended` follows."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()

    async def close(self) -> int:
        """Let it end by itself, or end it; its exit status, negative for a signal."""
        if self._transport is not None:
            self._transport.close()
        if self._popen is None:
            return 0
        return await asyncio.to_thread(self._reap, self._popen)

    @staticmethod
    def _reap(popen: subprocess.Popen[bytes]) -> int:
        try:
            return popen.wait(END_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            return popen.wait()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each message on."""
        try:
            for received in self._reader.feed(data):
                if received.kind is Kind.READY:
                    self.ready = True
                self._received(received)
        except (ValueError, IndexError) as error:
            # A decoder that was taken over can say anything; believe nothing and end it.
            log.error("decoder process talks nonsense", pid=self.pid, reason=str(error))  # noqa: TRY400 - the reason says it all
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended, or we have closed the socket."""
        del exc
        self._ended(self)
