"""The gateway's settings."""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

import servers
from broker.model.base import Word
from broker.ports import number_of
from broker.process import LOOPBACK, Group, ProcessSettings
from servers.gateway import launcher_config

VideoStreamType = Literal["Rec", "Live", "Remote"]


class GatewayGroup(Group):
    """What begins with VIGIL_GATEWAY__."""

    node_id: Word = Field("gateway-1", description="The name of this gateway at the site.")
    host: str = Field(LOOPBACK, description="The address that both ports bind.")
    page_port: int = Field(
        number_of("gateway", "pages"), ge=0, le=65_535, description="The web client's pages; 0: any free one."
    )
    data_port: int = Field(
        number_of("gateway", "data"), ge=0, le=65_535, description="API, media and events; 0: any free one."
    )
    operations_port: int = Field(
        number_of("gateway", "operations"), ge=0, le=65_535, description="HTTP /health and /metrics."
    )
    webclient_dir: Path | None = Field(
        None, description="The folder with the web client's files; none: the one installed beside this program."
    )
    join_secret_file: Path | None = Field(
        None, description="What SMServer wants to hear from a new process; none: <data_dir>/keys/join-secret."
    )
    max_viewers: int = Field(
        200, ge=1, le=10_000, description="Pictures, live or recorded, shown at the same time over all browsers."
    )
    video_stream_type: VideoStreamType = Field(
        "Live",
        description="Rec: always the full stream; Live: full or small, by the picture's size; Remote: the small one.",
    )
    launcher_config: Path | None = Field(
        None,
        description="A ServiceLauncher.exe.config: it counts before the TOML file and after everything else.",
    )


class GatewaySettings(ProcessSettings):
    """Settings of the gateway process."""

    gateway: GatewayGroup = GatewayGroup()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line, the environment, the ServiceLauncher.exe.config, and then the TOML file."""
        given, environment, *toml = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        named = _launcher_config_of(given(), environment(), *(source() for source in toml))
        launcher = (InitSettingsSource(settings_cls, launcher_config.read(named)),) if named else ()
        return (given, environment, *launcher, *toml)

    @property
    def own_dir(self) -> Path:
        """Where the gateway keeps its identity, the public keys and its copy of the configuration."""
        return self.data_dir / "gateway" / self.gateway.node_id

    @property
    def webclient_path(self) -> Path:
        """The folder with the web client's files."""
        return self.gateway.webclient_dir or Path(servers.__file__).parent.parent / "clients" / "webclient"

    @property
    def join_secret_path(self) -> Path:
        """The file with the secret that admits processes."""
        return self.gateway.join_secret_file or self.data_dir / "keys" / "join-secret"

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.gateway.page_port == self.gateway.data_port != 0:
            raise ValueError("page_port and data_port must differ; the defaults are 9999 and 9000")
        return self


def _launcher_config_of(*sources: dict[str, Any]) -> Path | None:
    """The file that the first of the sources names."""
    for source in sources:
        group = source.get("gateway")
        named = group.get("launcher_config") if isinstance(group, dict) else getattr(group, "launcher_config", None)
        if named:
            return Path(os.fspath(named))
    return None
