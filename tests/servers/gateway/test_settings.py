import pytest
from pydantic import ValidationError

from servers.gateway.settings import GatewayGroup, GatewaySettings

LAUNCHER = """<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <appSettings>
    <add key="WebServerPort" value="8081" />
    <add key="gatewayport" value="8082"/>
    <add key="StreamChoice" value="2" />
  </appSettings>
</configuration>
"""


def test_ports_come_from_a_service_launcher_file(tmp_path):
    path = tmp_path / "ServiceLauncher.exe.config"
    path.write_text(LAUNCHER)
    group = GatewayGroup(launcher_config=path)
    assert (group.page_port, group.data_port, group.host) == (8081, 8082, "127.0.0.1")


def test_a_setting_of_ours_goes_before_the_file(tmp_path, monkeypatch):
    path = tmp_path / "ServiceLauncher.exe.config"
    path.write_text(LAUNCHER)
    monkeypatch.setenv("VIGIL_GATEWAY__LAUNCHER_CONFIG", str(path))
    monkeypatch.setenv("VIGIL_GATEWAY__DATA_PORT", "7000")
    settings = GatewaySettings()
    assert (settings.gateway.page_port, settings.gateway.data_port) == (8081, 7000)


@pytest.mark.parametrize("text", ["no xml", "<configuration>", None, LAUNCHER.replace("8082", "many")])
def test_a_file_that_cannot_be_used_is_named(tmp_path, text):
    path = tmp_path / "ServiceLauncher.exe.config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValidationError, match=r"ServiceLauncher\.exe\.config|data_port"):
        GatewayGroup(launcher_config=path)


def test_one_port_cannot_serve_both():
    with pytest.raises(ValidationError, match="must differ"):
        GatewaySettings(gateway=GatewayGroup(page_port=9000, data_port=9000))


def test_the_pages_folder_is_found_without_a_setting():
    assert (GatewaySettings().webclient_path / "index.html").is_file()
