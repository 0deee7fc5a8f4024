"""The control of the simulator over HTTP: what happens in front of a camera, and to it."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from clients.simulator.camera import SimulatedCamera
from servers.net.http import PROBLEM_RESPONSES, Problem, install_problems
from servers.net.policy import public, require_policies

if TYPE_CHECKING:
    from clients.simulator.server import Simulator

LONGEST_S = 86_400


class Wanted(BaseModel):
    """The base of what can be asked for."""

    model_config = ConfigDict(extra="forbid")


class For(Wanted):
    """For how long."""

    seconds: float = Field(10, gt=0, le=LONGEST_S)


class Away(For):
    """For how long, and how."""

    silent: bool = Field(default=False, description="Keep the connections but send nothing, instead of hanging up.")


class Resolution(Wanted):
    """A size in pixels; both even."""

    width: int = Field(ge=64, le=3840, multiple_of=2)
    height: int = Field(ge=64, le=2160, multiple_of=2)


Seconds = Annotated[float | None, Query(gt=0, le=LONGEST_S, description="The same as in the body.")]


def control_app(simulator: "Simulator") -> FastAPI:
    """The application on the control port. Anybody who reaches it may use it: it is for loopback."""
    app = FastAPI(
        title="Vigil camera simulator",
        dependencies=[Depends(public)],
        responses=PROBLEM_RESPONSES,
        docs_url=None,
        redoc_url=None,
    )
    install_problems(app)

    def found(camera_id: str) -> SimulatedCamera:
        number = int(camera_id) if camera_id.isascii() and camera_id.isdigit() else 0
        camera = simulator.camera(number)
        if camera is None:
            raise Problem(404, detail=f"There are cameras 1 to {len(simulator.cameras)}.", field="camera_id")
        return camera

    Found = Annotated[SimulatedCamera, Depends(found)]  # noqa: N806 - a type

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the cameras answer."""
        return {"process": "simulator", "ok": True, "cameras": len(simulator.cameras)}

    @app.get("/cameras")
    async def cameras() -> dict[str, Any]:
        """All cameras, and what is going on there."""
        return {"items": [camera.report() for camera in simulator.cameras], "rtsp_url": simulator.rtsp_url}

    @app.post("/cameras/{camera_id}/motion")  # noqa: FAST003 - `found` takes it
    async def motion(camera: Found, wanted: For | None = None, seconds: Seconds = None) -> dict[str, Any]:
        """Have people walk through the picture for some seconds, from the next key frame on."""
        camera.move(seconds or (wanted or For()).seconds)
        return camera.report()

    @app.post("/cameras/{camera_id}/away")  # noqa: FAST003 - `found` takes it
    async def away(camera: Found, wanted: Away | None = None, seconds: Seconds = None) -> dict[str, Any]:
        """Hang up and refuse everybody for some seconds, or keep silent."""
        wanted = wanted or Away()
        simulator.send_away(camera, seconds or wanted.seconds, silent=wanted.silent)
        return camera.report()

    @app.post("/cameras/{camera_id}/resolution")  # noqa: FAST003 - `found` takes it
    async def resolution(camera: Found, wanted: Resolution) -> dict[str, Any]:
        """Change the size of the main stream at the next key frame; the answer comes when its clips are rendered."""
        try:
            await simulator.resize(camera, wanted.width, wanted.height)
        except TypeError as error:
            raise Problem(409, detail="A stamped camera keeps its size.") from error
        return camera.report()

    require_policies(app)
    return app
