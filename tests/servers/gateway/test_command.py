"""The gateway as a process that reads its ServiceLauncher.exe.config."""

import socket
import subprocess
import sys
import time

import httpx

from servers.gateway import launcher_config


def free_ports(count):
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def test_a_gateway_listens_where_its_file_says_and_moves_when_it_is_edited(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGIL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("VIGIL_GATEWAY__OPERATIONS_PORT", "0")
    path = tmp_path / launcher_config.FILE_NAME
    pages, data, moved = free_ports(3)
    for http_port, kind in ((pages, "Remote"), (moved, "Rec")):
        launcher_config.write(
            path,
            {
                "HttpPort": http_port,
                "DataPort": data,
                "SMServerAddress": "127.0.0.1:1",
                "MaxStreams": 7,
                "VideoStreamType": kind,
            },
        )
        gateway = subprocess.Popen(
            [sys.executable, "-m", "vigil", "gateway", "--dir", str(tmp_path)], stderr=subprocess.DEVNULL
        )
        try:
            config = answered(f"http://127.0.0.1:{http_port}/config.json", gateway)
        finally:
            gateway.terminate()
            assert gateway.wait(15) == 0
        assert config == {"data_port": data, "video_stream_type": kind}


def answered(url, process, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(url, trust_env=False, timeout=5).json()
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer; the process ended with {process.poll()}")
