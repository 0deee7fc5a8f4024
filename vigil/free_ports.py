"""Free ports for processes that are started later, and started again: the system must not give them away meanwhile.

Ports that the system gives (`bind` to 0, every outgoing connection) lie above 32767 on Linux, so these lie below;
and each process looks in a stretch of its own, so that two runs beside each other do not choose the same ones.
"""

import itertools
import os
import socket
from contextlib import closing

from broker.ports import PORTS

LOOPBACK = "127.0.0.1"
FIRST, LAST = 15_000, 32_767
APART = 3
"""The workers of one site take the next free ports above their setting's: these are left to them."""

LENGTH = 40 * APART

_places = itertools.count()


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that this process has not given out lately."""
    stretch = FIRST + os.getpid() % ((LAST - FIRST) // LENGTH) * LENGTH
    for place in itertools.islice(_places, LENGTH // APART):
        port = stretch + place * APART % LENGTH
        if _is_free(port):
            return port
    return _any_port()


def free_ports() -> dict[str, str]:
    """A free port for every listener of the system, as environment variables."""
    return {port.setting: str(free_port()) for port in PORTS}


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _any_port() -> int:
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        return int(listener.getsockname()[1])
