"""The gateway's settings."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

import servers
from broker.model.base import Word
from broker.ports import number_of
from broker.process import LOOPBACK, Group, ProcessSettings
from servers.gateway.launcher_config import read_ports


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
        200, ge=1, le=10_000, description="Live pictures shown at the same time, over all browsers."
    )
    launcher_config: Path | None = Field(
        None, description="A ServiceLauncher.exe.config; its ports count where no other setting names them."
    )

    @model_validator(mode="before")
    @classmethod
    def _ports_of_launcher(cls, given: object) -> object:
        if not isinstance(given, dict) or not given.get("launcher_config"):
            return given
        return {**read_ports(Path(given["launcher_config"])), **given}


class GatewaySettings(ProcessSettings):
    """Settings of the gateway process."""

    gateway: GatewayGroup = GatewayGroup()

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
