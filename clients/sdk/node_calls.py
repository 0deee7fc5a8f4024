"""Every question that a node answers on 5009, once."""

from broker.model.base import Instant
from broker.model.messages import NodeStateReported
from clients.sdk.call import Call, content, value_of
from clients.sdk.values import Items, MotionSeen, ProbeFound, Segment, Span, Timeline

PROBE_S = 40.0
"""A node probes two addresses at a time and may be asked by several people."""


def state() -> Call[NodeStateReported]:
    """How the node and its cameras are."""
    return Call(method="GET", path="/state", read=value_of(NodeStateReported))


def timeline(camera_id: str, start: Instant, end: Instant) -> Call[tuple[Span, ...]]:
    """The stretches of time for which there is footage."""
    return Call(
        method="GET",
        path=f"/cameras/{camera_id}/timeline",
        query={"from": start.isoformat(), "to": end.isoformat()},
        read=lambda response: value_of(Timeline)(response).spans,
    )


def snapshot(camera_id: str, at: Instant | None = None) -> Call[bytes]:
    """A JPEG picture, of now or of the moment given."""
    query = {} if at is None else {"at": at.isoformat()}
    return Call(method="GET", path=f"/cameras/{camera_id}/snapshot", query=query, read=content)


def motion(camera_id: str) -> Call[MotionSeen]:
    """Where the picture moves now, cell by cell."""
    return Call(method="GET", path=f"/cameras/{camera_id}/motion", read=value_of(MotionSeen))


def probe(
    url: str, *, username: str = "", password: str | None = None, camera_id: str | None = None
) -> Call[ProbeFound]:
    """Have the node dial an address for a few seconds and say what it is; for administrators.

    Without a password the one kept for `camera_id` is used, for an address on that camera's host and port only.
    """
    body = {"url": url, "username": username, "password": password, "camera_id": camera_id}
    return Call(method="POST", path="/probe", body=body, read=value_of(ProbeFound), timeout_s=PROBE_S)


def segments(camera_id: str, start: Instant, end: Instant, stream: str = "main") -> Call[tuple[Segment, ...]]:
    """The files of the archive between two moments."""
    return Call(
        method="GET",
        path=f"/cameras/{camera_id}/segments",
        query={"from": start.isoformat(), "to": end.isoformat(), "stream": stream},
        read=lambda response: value_of(Items[Segment])(response).items,
    )


def segment(camera_id: str, segment_id: str) -> Call[bytes]:
    """One file of the archive, fragmented MP4. `download` writes it to disk without holding it in memory."""
    return Call(method="GET", path=f"/cameras/{camera_id}/segments/{segment_id}", read=content)


def clip(camera_id: str, start: Instant, end: Instant, stream: str = "main") -> Call[bytes]:
    """Footage of at most an hour as one MP4. `Node.clip` writes it to disk without holding it in memory."""
    return Call(
        method="GET",
        path=f"/cameras/{camera_id}/clip",
        query={"from": start.isoformat(), "to": end.isoformat(), "stream": stream},
        read=content,
    )
