import socket
import subprocess
import sys
from pathlib import Path

from vigil.free_ports import APART, free_port, free_ports


def system_gives():
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return range(int(first), int(last) + 1)


def test_free_ports_are_free_and_differ():
    ports = free_ports()
    assert len(set(ports.values())) == len(ports)
    for number in ports.values():
        socket.create_server(("127.0.0.1", int(number))).close()


def test_the_system_gives_none_of_them_to_others():
    assert not {free_port() for _ in range(20)} & set(system_gives())


def test_a_port_that_is_taken_is_passed_over():
    first = free_port()
    with socket.create_server(("127.0.0.1", first + APART)):
        assert free_port() not in {first, first + APART}


def test_another_process_is_given_others():
    ours = {str(free_port()) for _ in range(20)}
    script = "from vigil.free_ports import free_port; print(*(free_port() for _ in range(20)))"
    theirs = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert len(theirs) == 20
    assert not ours & set(theirs)
