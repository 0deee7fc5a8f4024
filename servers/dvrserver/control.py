"""The control port, 5009: state, timeline, snapshots, footage, and orders of the engine."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from broker.model.base import Instant, Value, Word
from broker.model.messages import CameraState, NodeStateReported
from broker.model.resources import Camera, Right, ServerRole
from broker.process import Health, logger
from broker.trust.errors import EgressRefusedError
from servers.dvrserver.archive import OrderConflictError, SegmentFile
from servers.dvrserver.byte_ranges import UnsatisfiableError, parse_range
from servers.dvrserver.clip import MAX_CLIP_US, content
from servers.dvrserver.footage import Footage
from servers.dvrserver.instants import instant, micros
from servers.dvrserver.orders import Order, OrderGiven, Orders, OrderWanted
from servers.dvrserver.probe import Probe, ProbeFound, ProbeWanted
from servers.net.policy import (
    Administrator,
    Caller,
    Policies,
    SignedIn,
    install_policies,
    public,
    require_policies,
    service,
)
from servers.net.problems import PROBLEM_RESPONSES, Problem, install_problems
from servers.wire.mp4 import Mp4Error

log = logger(__name__)

PREFIX = "/api/v1"
MAX_SEGMENTS = 1000
MAX_MEDIA_S = 60


class Span(Value):
    """A stretch of recorded time."""

    start: Instant
    end: Instant
    stream: str
    protected: bool


class Timeline(Value):
    """The stretches of time for which there is footage, oldest first."""

    spans: tuple[Span, ...]


class Segment(Value):
    """One file of the archive that touches the time asked for."""

    id: str
    start: Instant
    end: Instant
    bytes: int
    url: str


class MotionSeen(Value):
    """What the motion detector saw when it last looked."""

    active: bool = Field(description="Whether the camera is in motion.")
    columns: int = Field(description="Cells from left to right.")
    rows: int = Field(description="Cells from top to bottom.")
    cells: tuple[int, ...] = Field(description="Numbers of the cells that moved, row by row from the top left, from 0.")


class Segments(Value):
    """Files, oldest first."""

    items: tuple[Segment, ...]


MEDIA_HEADERS = {
    "Vigil-Start": {"description": "When the first picture was taken.", "schema": {"type": "integer"}},
    "Vigil-End": {"description": "Where the last picture ends.", "schema": {"type": "integer"}},
    "Vigil-Epoch": {"description": "The moment that the fragments call 0.", "schema": {"type": "integer"}},
}
"""All are µs since 1970 UTC."""
CLIP_HEADERS = {
    "Vigil-Start": {"description": "When the first picture shown was taken, µs.", "schema": {"type": "integer"}},
    "Vigil-End": {"description": "Where the last picture ends, µs since 1970.", "schema": {"type": "integer"}},
    "Vigil-Gaps": {"description": "How many gaps are passed over.", "schema": {"type": "integer"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with."""

    state: Callable[[], NodeStateReported]
    exists: Callable[[str], bool]
    """Whether this node captures, or has footage of, a camera."""
    footage: Footage
    orders: Orders
    probe: Probe
    motion: Callable[[str], tuple[Camera, bool, tuple[int, ...]] | None]
    """A camera of this node, whether it is in motion, and the cells that moved."""
    health: Health


Engine = Annotated[Caller, Depends(service(ServerRole.ENGINE))]
SegmentId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="From the list.")]
From = Annotated[Instant, Query(alias="from", description="The beginning, with its zone.")]
To = Annotated[Instant, Query(alias="to", description="The end, with its zone.")]
At = Annotated[Instant | None, Query(description="The moment; none: now.")]
OrderId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="The action's id.")]


def make_app(policies: Policies, parts: Parts) -> FastAPI:
    """The application behind 5009.

    Raises:
        UnguardedRouteError: a route has no policy (a mistake in the program).
    """
    app = FastAPI(
        title="Vigil DVRServer",
        version="1",
        description="Control of one recording node.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=PROBLEM_RESPONSES,
    )
    install_problems(app)
    install_policies(app, policies)
    _about_the_node(app, parts)
    _about_motion(app, parts)
    _about_footage(app, parts)
    _about_media(app, parts)
    _about_clips(app, parts)
    _about_orders(app, parts)
    require_policies(app)
    return app


def _about_the_node(app: FastAPI, parts: Parts) -> None:
    @app.get(f"{PREFIX}/health", dependencies=[Depends(public)])
    async def health() -> dict[str, Any]:
        """Whether the process is well, part by part."""
        return {"process": parts.health.process, "ok": parts.health.ok}

    @app.get(f"{PREFIX}/state")
    async def state(caller: SignedIn) -> NodeStateReported:
        """How the node is, and those of its cameras that the user sees."""
        now = parts.state()
        return now.model_copy(update={"cameras": _seen(caller, now.cameras)})

    @app.post(f"{PREFIX}/probe")
    async def probe(caller: Administrator, wanted: ProbeWanted) -> ProbeFound:
        """Dial an address for a few seconds and say what it is: codecs, size, rate, a picture; or what is wrong."""
        log.info("address is probed", user_id=caller.id, url=wanted.url)
        try:
            return await parts.probe.look(wanted)
        except EgressRefusedError as error:
            raise Problem(422, "A field is wrong", f"{error.field}: {error.why}", error.field, error.remedy) from error


def _seen(caller: Caller, cameras: tuple[CameraState, ...]) -> tuple[CameraState, ...]:
    return tuple(camera for camera in cameras if caller.access and caller.access.camera(camera.camera_id))


def _about_motion(app: FastAPI, parts: Parts) -> None:
    @app.get(f"{PREFIX}/cameras/{{camera_id}}/motion")
    async def motion(caller: SignedIn, camera_id: Word) -> MotionSeen:
        """Where the picture moves now, cell by cell; nothing while motion is not looked for."""
        _may(parts, caller, camera_id, Right.LIVE)
        seen = parts.motion(camera_id)
        if seen is None:
            raise Problem(404, detail=f"There is no camera {camera_id} here.")
        camera, active, cells = seen
        mask = camera.motion.mask
        return MotionSeen(active=active, columns=mask.columns, rows=mask.rows, cells=cells)


def _about_footage(app: FastAPI, parts: Parts) -> None:
    @app.get(f"{PREFIX}/cameras/{{camera_id}}/timeline")
    async def timeline(caller: SignedIn, camera_id: Word, start: From, end: To) -> Timeline:
        """The stretches of time for which there is footage."""
        _may(parts, caller, camera_id, Right.PLAYBACK)
        _ordered(start, end)
        spans = await parts.footage.timeline(camera_id, micros(start), micros(end))
        return Timeline(
            spans=tuple(
                Span(
                    start=instant(span.start_us), end=instant(span.end_us), stream=span.stream, protected=span.protected
                )
                for span in spans
            )
        )

    @app.get(
        f"{PREFIX}/cameras/{{camera_id}}/snapshot",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    async def snapshot(caller: SignedIn, camera_id: Word, at: At = None) -> Response:
        """A picture of now, or the last key frame before the moment given."""
        _may(parts, caller, camera_id, Right.LIVE if at is None else Right.PLAYBACK)
        jpeg = await parts.footage.snapshot(camera_id, None if at is None else micros(at))
        if jpeg is None:
            raise Problem(404, detail="There is no picture of that moment.")
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @app.get(f"{PREFIX}/cameras/{{camera_id}}/segments")
    async def segments(
        caller: SignedIn, camera_id: Word, start: From, end: To, stream: Literal["main", "sub"] = "main"
    ) -> Segments:
        """The files of the archive that touch a stretch of time, oldest first, at most a thousand."""
        _may(parts, caller, camera_id, Right.PLAYBACK)
        _ordered(start, end)
        found = await parts.footage.segments(camera_id, stream, micros(start), micros(end))
        return Segments(items=tuple(_segment(camera_id, file) for file in found[:MAX_SEGMENTS]))

    @app.head(f"{PREFIX}/cameras/{{camera_id}}/segments/{{segment_id}}", include_in_schema=False)
    @app.get(
        f"{PREFIX}/cameras/{{camera_id}}/segments/{{segment_id}}",
        response_class=StreamingResponse,
        responses={200: {"content": {"video/mp4": {}}}, 206: {"content": {"video/mp4": {}}}},
    )
    async def segment(caller: SignedIn, camera_id: Word, segment_id: SegmentId, request: Request) -> Response:
        """One file, fragmented MP4, or a range of its bytes. The newest file still grows."""
        _may(parts, caller, camera_id, Right.PLAYBACK)
        file = await parts.footage.segment(camera_id, segment_id)
        if file is None:
            raise Problem(404, detail="There is no such file; it may have been deleted by now.")
        return _answer(parts.footage, file, request)


def _about_media(app: FastAPI, parts: Parts) -> None:
    @app.get(
        f"{PREFIX}/cameras/{{camera_id}}/media",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"video/mp4": {}}, "headers": MEDIA_HEADERS},
            204: {"description": "Nothing was recorded then."},
        },
    )
    async def media(
        caller: SignedIn,
        camera_id: Word,
        start: From,
        seconds: Annotated[float, Query(gt=0, le=MAX_MEDIA_S, description="About how much of it.")] = 10,
        stream: Literal["main", "sub"] = "main",
    ) -> Response:
        """Footage for a browser's MediaSource, as it lies on the disk: initialisation segment and whole fragments.

        It begins with the key frame at or before `from`, or, in a gap, with what was recorded within `seconds` after
        it; it ends before a key frame, a gap or the end of a file. Asking from its end on gives what follows. Nothing
        at all is 204.
        """
        _may(parts, caller, camera_id, Right.PLAYBACK)
        found = await parts.footage.media(camera_id, stream, micros(start), round(seconds * 1_000_000))
        if found is None:
            return Response(status_code=204)
        headers = {
            "Vigil-Start": str(found.start_us),
            "Vigil-End": str(found.end_us),
            "Vigil-Epoch": str(found.epoch_us),
            "Content-Length": str(found.size),
            "Cache-Control": "no-store",
        }
        return StreamingResponse(found.pieces, headers=headers, media_type=found.mime)


def _about_clips(app: FastAPI, parts: Parts) -> None:
    @app.get(
        f"{PREFIX}/cameras/{{camera_id}}/clip",
        response_class=StreamingResponse,
        responses={200: {"content": {"video/mp4": {}}, "headers": CLIP_HEADERS}},
    )
    async def clip(
        caller: SignedIn, camera_id: Word, start: From, end: To, stream: Literal["main", "sub"] = "main"
    ) -> Response:
        """Footage of at most an hour as one ordinary MP4 with its sound, as it was recorded: nothing is encoded anew.

        It shows exactly from `from` to `to`; what decoding needs before that is in the file, hidden by its edit list.
        Gaps are passed over.
        """
        _may(parts, caller, camera_id, Right.EXPORT)
        _ordered(start, end)
        start_us, end_us = micros(start), micros(end)
        if end_us - start_us > MAX_CLIP_US:
            raise Problem(422, detail="to: a clip has at most an hour", field="to", remedy="ask for several clips")
        try:
            found = await parts.footage.clip(camera_id, stream, start_us, end_us)
        except (OSError, Mp4Error) as error:
            raise Problem(503, detail=f"The footage cannot be read: {error}") from error
        if found is None:
            raise Problem(404, detail=await _nothing(parts, camera_id), field="from")
        log.info("clip", user_id=caller.id, camera_id=camera_id, start=start.isoformat(), end=end.isoformat())
        begins = instant(found.start_us)
        headers = {
            "Vigil-Start": str(found.start_us),
            "Vigil-End": str(found.end_us),
            "Vigil-Gaps": str(found.gaps),
            "Content-Length": str(found.size),
            "Content-Disposition": f'attachment; filename="{camera_id}-{begins:%Y%m%dT%H%M%SZ}.mp4"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(content(found), headers=headers, media_type="video/mp4")


async def _nothing(parts: Parts, camera_id: str) -> str:
    extent = await parts.footage.extent(camera_id)
    if extent is None:
        return f"There is no footage of {camera_id}."
    first, last = (f"{instant(time_us):%Y-%m-%dT%H:%M:%SZ}" for time_us in extent)
    return f"Nothing was recorded then; there is footage of {camera_id} from {first} to {last}."


def _may(parts: Parts, caller: Caller, camera_id: str, right: Right) -> None:
    """Refuse what the profile does not allow; what it does not show does not exist."""
    if caller.access is None or not caller.access.camera(camera_id) or not parts.exists(camera_id):
        raise Problem(404, detail=f"There is no camera {camera_id} here.")
    if not caller.access.camera(camera_id, right):
        raise Problem(403, detail=f"Your profile lacks the right {right}.")


def _segment(camera_id: str, file: SegmentFile) -> Segment:
    return Segment(
        id=file.id,
        start=instant(file.start_us),
        end=instant(file.end_us),
        bytes=file.size,
        url=f"{PREFIX}/cameras/{camera_id}/segments/{file.id}",
    )


def _answer(footage: Footage, file: SegmentFile, request: Request) -> Response:
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{file.id}-{file.size}"'}
    try:
        part = parse_range(request.headers.get("Range", ""), file.size)
    except UnsatisfiableError:
        raise Problem(
            416, detail="The file ends before that.", headers={"Content-Range": f"bytes */{file.size}"}
        ) from None
    start, length, status = (0, file.size, 200) if part is None else (part.start, part.length, 206)
    headers["Content-Length"] = str(length)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end}/{file.size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="video/mp4")
    content: AsyncIterator[bytes] = footage.content(file, start, length)
    return StreamingResponse(content, status_code=status, headers=headers, media_type="video/mp4")


def _about_orders(app: FastAPI, parts: Parts) -> None:
    @app.put(f"{PREFIX}/orders/{{order_id}}")
    async def put_order(_caller: Engine, order_id: OrderId, wanted: OrderWanted) -> OrderGiven:
        """Keep a camera's footage. Asking again changes nothing; a start only moves back, an end, once set, on."""
        if not parts.exists(wanted.camera_id):
            raise Problem(404, detail=f"There is no camera {wanted.camera_id} here.", field="camera_id")
        try:
            return await parts.orders.put(order_id, wanted)
        except OrderConflictError as error:
            raise Problem(409, detail=str(error), field="camera_id") from error

    @app.get(f"{PREFIX}/orders/{{order_id}}")
    async def get_order(_caller: Engine, order_id: OrderId) -> Order:
        """An order as it stands."""
        order = await parts.orders.get(order_id)
        if order is None:
            raise Problem(404, detail=f"There is no order {order_id}.")
        return order


def _ordered(start: datetime, end: datetime) -> None:
    if end <= start:
        raise Problem(422, detail="to: it must be later than from", field="to", remedy="swap the two, or move it on")
