import subprocess
import sys

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from servers.gateway import launcher_config
from servers.gateway.command import app
from servers.gateway.launcher_config import LauncherConfigError
from servers.gateway.settings import GatewayGroup, GatewaySettings

LAUNCHER = """<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <appSettings>
    <add key="HttpPort" value="8081" />
    <add key="dataport" value="8082"/>
    <add key="SMServerAddress" value="recorder.example.org" />
    <add key="MaxStreams" value="3" />
    <add key="VideoStreamType" value="remote" />
    <add key="PerformanceMonitoring" value="true" />
  </appSettings>
</configuration>
"""
GOOD = {"HttpPort": 8081, "DataPort": 8082, "SMServerAddress": "server1", "MaxStreams": 3, "VideoStreamType": "Rec"}


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """`launcher(text)` writes the file that the environment names."""
    path = tmp_path / "ServiceLauncher.exe.config"
    monkeypatch.setenv("VIGIL_GATEWAY__LAUNCHER_CONFIG", str(path))

    def write(text):
        path.write_text(text)
        return path

    return write


def test_every_key_of_a_service_launcher_file_has_its_setting(launcher):
    launcher(LAUNCHER)
    settings = GatewaySettings()
    group = settings.gateway
    assert (group.page_port, group.data_port, group.host) == (8081, 8082, "127.0.0.1")
    assert (group.max_viewers, group.video_stream_type) == (3, "Remote")
    assert settings.smserver_url == "http://recorder.example.org:5008"


def test_arguments_then_environment_then_the_file_then_toml_then_defaults(launcher, tmp_path, monkeypatch):
    launcher(LAUNCHER)
    toml = tmp_path / "vigil.toml"
    toml.write_text(
        'smserver_url = "http://toml:1"\n[gateway]\nmax_viewers = 9\nnode_id = "from-toml"\ndata_port = 1\n'
    )
    monkeypatch.setenv("VIGIL_CONFIG", str(toml))
    monkeypatch.setenv("VIGIL_GATEWAY__DATA_PORT", "7000")
    monkeypatch.setenv("VIGIL_GATEWAY__PAGE_PORT", "7001")
    settings = GatewaySettings(gateway={"page_port": 6000})
    group = settings.gateway
    assert group.page_port == 6000, "said"
    assert group.data_port == 7000, "environment"
    assert (group.max_viewers, settings.smserver_url) == (3, "http://recorder.example.org:5008"), "file"
    assert group.node_id == "from-toml"
    assert group.operations_port == 5190, "default"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("</appSettings>", "", r"line 11, column 3, is no XML: mismatched tag; write <configuration>"),
        ('"8082"', '"many"', r"line 5, column 5, gives DataPort the value 'many'; give a whole number from 0 to 65535"),
        ('"3"', '"0"', r"line 7, column 5, gives MaxStreams the value '0'; give a whole number from 1"),
        ('"remote"', '"Fast"', r"line 8, .* gives VideoStreamType the value 'Fast'; give Rec, Live or Remote"),
        ("recorder.example.org", "not a host", r"line 6, .* SMServerAddress .*; give a host such as server1"),
        ('"dataport"', '"HttpPort"', r"line 5, .* gives HttpPort again, after line 4; delete one of the two"),
        ('value="8081" ', "", r"line 4, .* without key or value; write <add key"),
        ("<configuration>", "<!DOCTYPE a [<!ENTITY b 'c'>]><configuration>", r"line 2, .* document type; delete"),
    ],
)
def test_a_broken_file_is_named_with_line_and_column_and_a_remedy(launcher, before, after, said):
    path = launcher(LAUNCHER.replace(before, after, 1))
    with pytest.raises(LauncherConfigError, match=said) as caught:
        GatewaySettings()
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(launcher):
    with pytest.raises(LauncherConfigError, match=r"ServiceLauncher\.exe\.config cannot be read .*gateway install"):
        GatewaySettings()


def test_the_process_ends_with_that_sentence(launcher):
    launcher(LAUNCHER.replace("8082", "many"))
    ended = subprocess.run(
        [sys.executable, "-m", "servers.gateway"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "line 5, column 5, gives DataPort the value 'many'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_install_writes_is_read_back_and_can_be_edited(tmp_path):
    asked = ["install", "--dir", str(tmp_path / "gw"), "--sm-server", "server1", "--http-port", "8081"]
    done = CliRunner().invoke(app, [*asked, "--data-port", "8082", "--max-streams", "5"])
    assert done.exit_code == 0, done.output
    path = tmp_path / "gw" / "ServiceLauncher.exe.config"
    assert "vigil gateway --dir" in done.output
    settings = GatewaySettings(gateway={"launcher_config": path})
    assert (settings.gateway.page_port, settings.gateway.data_port) == (8081, 8082)
    assert (settings.gateway.max_viewers, settings.smserver_url) == (5, "http://server1:5008")
    path.write_text(path.read_text().replace('value="8082"', 'value="8083"'))
    assert GatewaySettings(gateway={"launcher_config": path}).gateway.data_port == 8083
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 2
    assert "there already" in again.output
    assert "8083" in path.read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--sm-server", "a b"], "give a host"),
        (["--data-port", "9999"], "must differ"),
        (["--video-stream-type", "Fast"], "Rec, Live or Remote"),
        (["--max-streams", "0"], "max-streams"),
    ],
)
def test_install_writes_nothing_wrong(tmp_path, wrong, said):
    done = CliRunner().invoke(app, ["install", "--dir", str(tmp_path), "--sm-server", "server1", *wrong])
    assert done.exit_code == 2
    assert said in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_value_with_quotes_survives(tmp_path):
    path = tmp_path / launcher_config.FILE_NAME
    launcher_config.write(path, GOOD | {"BindAddress": "\"'<&>"})
    assert launcher_config.read(path)["gateway"]["host"] == "\"'<&>"


def test_one_port_cannot_serve_both():
    with pytest.raises(ValidationError, match="must differ"):
        GatewaySettings(gateway=GatewayGroup(page_port=9000, data_port=9000))


def test_the_pages_folder_is_found_without_a_setting():
    assert (GatewaySettings().webclient_path / "index.html").is_file()
