"""Settings of the camera simulator."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from broker.ports import number_of
from broker.process import LOOPBACK, Group, ProcessSettings

Even = Annotated[int, Field(multiple_of=2)]
"""H.264 with 4:2:0 colours needs even sizes."""


class SimulatorGroup(Group):
    """How many cameras there are and what they send."""

    host: str = Field(LOOPBACK, description="The address to listen on.")
    rtsp_port: int = Field(number_of("simulator", "rtsp"), ge=0, le=65535, description="Where the cameras answer.")
    control_port: int = Field(number_of("simulator", "control"), ge=0, le=65535, description="HTTP control.")
    cameras: int = Field(4, ge=1, le=500, description="How many cameras; they are numbered from 1.")
    width: Even = Field(1920, ge=64, le=3840, description="Of the main stream, in pixels.")
    height: Even = Field(1080, ge=64, le=2160, description="Of the main stream, in pixels.")
    fps: int = Field(25, ge=1, le=60, description="Pictures a second of the main stream.")
    kbps: int = Field(4000, ge=50, le=50_000, description="Bit rate of the main stream.")
    sub_width: Even = Field(352, ge=64, le=3840, description="Of the sub stream, in pixels.")
    sub_height: Even = Field(288, ge=64, le=2160, description="Of the sub stream, in pixels.")
    sub_fps: int = Field(10, ge=1, le=60, description="Pictures a second of the sub stream.")
    sub_kbps: int = Field(300, ge=50, le=50_000, description="Bit rate of the sub stream.")
    loop_s: int = Field(8, ge=2, le=60, description="Length of the clips that are repeated, in seconds.")
    scenes: int = Field(4, ge=1, le=4, description="How many different views; cameras beyond that look like others.")
    audio: bool = Field(default=True, description="Whether the main stream has sound.")
    username: str = Field("", max_length=120, description="With a password: who may watch, by Digest. Empty: anybody.")
    password: SecretStr = Field(SecretStr(""), description="Of that user.")
    stamp: bool = Field(
        default=False, description="Encode live, with camera, picture number and time as black and white blocks."
    )
    stamp_width: Even = Field(640, ge=160, le=1920, description="Of stamped main streams, in pixels.")
    stamp_height: Even = Field(360, ge=160, le=1080, description="Of stamped main streams, in pixels.")
    clips_dir: Path | None = Field(None, description="Where rendered clips are kept; `<data_dir>/clips` if not set.")


class SimulatorSettings(ProcessSettings):
    """Settings of the camera simulator, read once at start."""

    simulator: SimulatorGroup = SimulatorGroup()

    @property
    def clips_dir(self) -> Path:
        """Where rendered clips are kept."""
        return self.simulator.clips_dir or self.data_dir / "clips"
