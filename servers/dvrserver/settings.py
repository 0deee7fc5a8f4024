"""What a DVRServer needs to know before it starts. What operators change comes from SMServer instead."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from broker.model.base import Word
from broker.ports import number_of
from broker.process import LOOPBACK, Group, ProcessSettings

PortNumber = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 lets the system choose, for tests."""


class DVRServerGroup(Group):
    """Settings that begin with VIGIL_DVRSERVER__."""

    node_id: Word = Field("node-1", description="The name of this node on the site; cameras are assigned to it.")
    host: str = Field(LOOPBACK, description="The address that the control and stream ports are bound to.")
    control_port: PortNumber = Field(
        number_of("dvrserver", "control"), description="State, timeline, snapshots and orders by HTTP, e.g. 5009."
    )
    stream_port: PortNumber = Field(
        number_of("dvrserver", "streams"), description="Live streams to any player by RTSP, e.g. 5011."
    )
    operations_port: PortNumber = Field(
        number_of("dvrserver", "operations"), description="/health and /metrics, e.g. 5109."
    )
    advertise_host: str = Field(
        "", description="The host name that clients dial, where it differs from host, e.g. recorder1.example.org."
    )
    join_secret_file: Path | None = Field(
        None, description="File with the secret that admits a node; none: <data_dir>/keys/join-secret."
    )
    archive_dir: Path | None = Field(
        None, description="Where footage is kept; none: archive/ in the node's folder, e.g. /srv/vigil/archive."
    )
    segment_s: int = Field(120, ge=2, le=3600, description="Seconds of footage in one file of the archive.")
    sync_s: float = Field(5.0, ge=0.1, le=60, description="At most this much footage is lost in a power cut, seconds.")
    expire_s: float = Field(10.0, ge=0.1, le=3600, description="Seconds between two looks for footage to delete.")
    camera_timeout_s: float = Field(10.0, ge=0.5, le=120, description="Silence after which a camera counts as away.")
    reconnect_min_s: float = Field(0.5, ge=0.05, le=60, description="Wait before the first new try of a lost camera.")
    reconnect_max_s: float = Field(15.0, ge=0.05, le=600, description="Longest wait between two tries of a camera.")
    refused_retry_s: float = Field(
        30.0, ge=0.05, le=3600, description="Wait after a wrong password, so that the camera does not lock us out."
    )
    decoder_processes: int = Field(
        0, ge=0, le=64, description="Processes that decode video for motion and snapshots; 0: one per core."
    )
    state_s: float = Field(10.0, ge=0.2, le=300, description="Seconds between two reports of this node's state.")
    token_grace_s: int = Field(
        43_200,
        ge=0,
        le=2_592_000,
        description="Seconds for which sign-ins stay good while SMServer is silent; 0: none.",
    )

    @model_validator(mode="after")
    def _waits_are_ordered(self) -> "DVRServerGroup":
        if self.reconnect_max_s < self.reconnect_min_s:
            raise ValueError("reconnect_max_s must not be less than reconnect_min_s; an example is 0.5 and 15")
        return self


class DVRServerSettings(ProcessSettings):
    """All settings of a DVRServer process."""

    dvrserver: DVRServerGroup = DVRServerGroup()

    @property
    def node_dir(self) -> Path:
        """Where this node keeps its identity, replica, journal and index."""
        return self.data_dir / "dvrserver" / self.dvrserver.node_id

    @property
    def archive_dir(self) -> Path:
        """Where footage is kept."""
        return self.dvrserver.archive_dir or self.node_dir / "archive"

    @property
    def join_secret_file(self) -> Path:
        """Where the secret that admits this node to the site is found."""
        return self.dvrserver.join_secret_file or self.data_dir / "keys" / "join-secret"
