"""The engine as processes on RabbitMQ and PostgreSQL: its dashboard and its operations ports."""

from pathlib import Path

import httpx

from tests.system.engine_processes import ACTIONS
from tests.workers.stand_ins import alarm, until
from vigil.free_ports import free_port


def test_the_dashboard_of_its_own_process_is_on_loopback_behind_a_login_and_sees_the_workers(
    processes, cluster, smserver
):
    port = free_port()
    dashboard = processes.start("flower", f"--port={port}")
    processes.worker("actions", ACTIONS)
    base = f"http://127.0.0.1:{port}"

    def ask(**options):
        try:
            return httpx.get(f"{base}/api/workers?refresh=1", trust_env=False, **options)
        except httpx.TransportError:
            return None

    until(ask, 40)
    assert ask().status_code == 401
    password = (cluster.data_dir / "keys" / "flower-password").read_text()
    until(lambda: "actions@" in ask(auth=("vigil", password)).text, 40, 0.5)
    listening = Path(f"/proc/{dashboard.pid}/net/tcp").read_text()
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_the_operations_port_of_each_worker_says_how_it_is(processes, cluster, smserver, monkeypatch):
    first = free_port()
    ports = {"VIGIL_ENGINE__OPERATIONS_PORT": str(first)}
    smserver.configure(alarm())
    processes.worker("engine", "engine", **ports)

    def parts():
        try:
            return httpx.get(f"http://127.0.0.1:{first}/health", trust_env=False).json()["parts"]
        except httpx.TransportError:
            return {}

    until(lambda: parts().get("configuration", {}).get("detail") == "revision 7", 40, 0.2)
    until(lambda: all(part["ok"] for part in parts().values()), 40, 0.2)
    other = processes.worker("actions", ACTIONS, **ports)
    until(lambda: "operations_url" in processes.log_of(other), 40)
    assert f"127.0.0.1:{first}\x1b" not in processes.log_of(other)
    assert "vigil_actions_performed" in httpx.get(f"http://127.0.0.1:{first}/metrics", trust_env=False).text
