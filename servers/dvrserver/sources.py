"""Which streams of a camera are dialled, and for what."""

from dataclasses import dataclass, field
from typing import Literal

from broker.model.resources import Camera

Stream = Literal["main", "sub"]
"""The full stream, recorded and watched; the small one, for motion and grids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One stream of one camera: what a connection depends on. When it is equal, the connection stays."""

    camera_id: str
    stream: Stream
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    audio: bool = False
    record: bool = False


def sources_of(camera: Camera, password: str) -> tuple[Source, ...]:
    """The connections that a camera needs: one per stream, however many read it; none while it is disabled."""
    if not camera.enabled:
        return ()
    main = Source(
        camera_id=camera.id,
        stream="main",
        url=camera.main_url,
        username=camera.username,
        password=password,
        audio=camera.audio,
        record=True,
    )
    if not has_sub(camera):
        return (main,)
    assert camera.sub_url is not None
    sub = Source(camera_id=camera.id, stream="sub", url=camera.sub_url, username=camera.username, password=password)
    return (main, sub)


def has_sub(camera: Camera) -> bool:
    """Whether there is a small stream that is not just the full one under a second name."""
    return camera.sub_url is not None and camera.sub_url != camera.main_url


def motion_stream(camera: Camera) -> Stream:
    """Where motion is looked for."""
    return "sub" if has_sub(camera) else "main"
