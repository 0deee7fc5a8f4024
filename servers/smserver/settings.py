"""SMServer's settings."""

from pathlib import Path

from pydantic import Field

from broker.ports import number_of
from broker.process import LOOPBACK, Group, ProcessSettings


class SMServerGroup(Group):
    """What begins with VIGIL_SMSERVER__."""

    host: str = Field(LOOPBACK, description="The address that the API binds.")
    port: int = Field(number_of("smserver", "api"), ge=0, le=65_535, description="HTTP and WebSocket; 0: any free one.")
    operations_port: int = Field(
        number_of("smserver", "operations"), ge=0, le=65_535, description="HTTP /health and /metrics."
    )
    session_h: int = Field(720, ge=1, le=8_760, description="Hours of silence after which a session has ended.")
    throttle_tries: int = Field(5, ge=1, le=100, description="Wrong passwords per user before sign-in slows down.")
    throttle_address_tries: int = Field(
        20, ge=1, le=10_000, description="Wrong passwords per address before sign-in slows down."
    )
    throttle_wait_s: int = Field(300, ge=1, le=86_400, description="The longest wait between two tries, in seconds.")
    throttle_memory_s: int = Field(3600, ge=1, le=604_800, description="Seconds after which wrong tries are forgotten.")
    event_days: int = Field(7, ge=1, le=3_650, description="Days for which a client can resume its events.")
    log_days: int = Field(90, ge=1, le=3_650, description="Days for which alarm events and health events are listed.")
    updates_dir: Path | None = Field(
        None,
        description="The repository of application updates that is shown under /updates/; none: <data_dir>/updates.",
    )
    join_secret_file: Path | None = Field(
        None, description="What a new node must know to join; none: <data_dir>/keys/join-secret."
    )


class SMServerSettings(ProcessSettings):
    """Settings of the SMServer process."""

    smserver: SMServerGroup = SMServerGroup()

    @property
    def keys_dir(self) -> Path:
        """Where signing keys, the master key and the join secret lie."""
        return self.data_dir / "keys"

    @property
    def updates_dir(self) -> Path:
        """The folder behind `/updates/`."""
        return self.smserver.updates_dir or self.data_dir / "updates"

    @property
    def join_secret_path(self) -> Path:
        """The file with the secret that admits nodes."""
        return self.smserver.join_secret_file or self.keys_dir / "join-secret"
