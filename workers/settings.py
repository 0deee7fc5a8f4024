"""The engine's and Flower's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from broker.model.base import Word
from broker.ports import number_of
from broker.process import Group, ProcessSettings


class EngineGroup(Group):
    """What a worker of the engine needs."""

    node_id: Word = Field("engine-1", description="The engine's name at SMServer; one per machine.")
    operations_port: int = Field(
        number_of("engine", "operations"),
        ge=0,
        le=65_535,
        description="First port tried for /health and /metrics; each worker takes the first free one from here.",
    )
    concurrency: int = Field(8, ge=1, le=200, description="Actions that one worker performs at a time.")
    join_secret_file: Path | None = Field(
        None, description="What SMServer wants to see at enrolment; default <data_dir>/keys/join-secret."
    )
    smtp_host: str = Field("127.0.0.1", description="The mail server that takes the letters of e-mail actions.")
    smtp_port: int = Field(25, ge=1, le=65_535, description="Its port.")
    smtp_from: Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")] = Field(
        "vigil@localhost", description="Who the letters are from."
    )
    smtp_starttls: bool = Field(default=False, description="Ask the mail server for TLS before anything is said.")
    smtp_user: str = Field("", description="Who signs in at the mail server; empty: nobody.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The password of smtp_user.")
    batch: int = Field(200, ge=1, le=5000, description="Trigger events handled in one transaction.")
    tries: int = Field(5, ge=1, le=50, description="Times an event is tried before it is put into quarantine.")
    sweep_s: float = Field(1.0, ge=0.1, le=60, description="Seconds between two looks for actions that are due.")
    wake_s: float = Field(
        3.0, ge=0.5, le=600, description="Seconds after which an action that nobody has begun is dispatched again."
    )
    lease_s: float = Field(
        10.0, ge=1, le=600, description="Seconds without a sign of life after which a worker's action is another's."
    )
    retry_first_s: float = Field(
        1.0, ge=0.1, le=600, description="Wait after the first failed attempt; then it doubles."
    )
    retry_longest_s: float = Field(60.0, ge=1, le=3600, description="The longest wait between two attempts.")
    inbox_days: int = Field(14, ge=1, le=3650, description="Days for which ids and raw trigger events are kept.")
    history_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="Days for which ended alarms with their actions and quarantined events are kept.",
    )


class EngineSettings(ProcessSettings):
    """All that a worker of the engine reads at start."""

    engine: EngineGroup = EngineGroup()

    @property
    def directory(self) -> Path:
        """Where this engine keeps its keys and its copy of the configuration."""
        return self.data_dir / "engine" / self.engine.node_id

    @property
    def join_secret_file(self) -> Path:
        """The file whose content admits the engine to the site."""
        return self.engine.join_secret_file or self.data_dir / "keys" / "join-secret"


class FlowerGroup(Group):
    """Where Flower is and who may look."""

    port: int = Field(number_of("flower", "dashboard"), ge=0, le=65_535, description="The dashboard's port.")
    user: Annotated[str, StringConstraints(pattern=r"^[^:\s]+$")] = Field("vigil", description="Who signs in at it.")
    password: SecretStr = Field(
        SecretStr(""), description="The password; empty: one is made and kept in <data_dir>/keys/flower-password."
    )


class FlowerSettings(ProcessSettings):
    """All that Flower reads at start."""

    flower: FlowerGroup = FlowerGroup()
