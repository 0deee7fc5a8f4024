"""The typed client of SMServer (5008) and of the nodes (5009), for programs of ours and of others.

    with Client("http://127.0.0.1:5008") as client:
        client.sign_in("operator", password)
        for camera in client.cameras.list():
            print(camera.name)

`AsyncClient` has the same methods, to be awaited, and `events()`. Both read one set of descriptions:
`clients/sdk/calls.py` for 5008 and `clients/sdk/node_calls.py` for 5009.
"""

from broker.model.layouts import Layout, Tab
from broker.model.log import Acknowledged, ActionRun, AlarmEvent, AuditRecord, HealthRecord
from clients.sdk.aio import AsyncClient, AsyncNode
from clients.sdk.client import Client, Node
from clients.sdk.errors import (
    ChangedMeanwhileError,
    ConflictError,
    FieldProblem,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    ProblemError,
    SdkError,
    ServerTroubleError,
    ThrottledError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clients.sdk.events import Event
from clients.sdk.values import (
    AudioFound,
    Me,
    MotionSeen,
    ProbeFound,
    Segment,
    SignedIn,
    Span,
    StreamSecret,
    StreamTicket,
    Versioned,
    VideoFound,
)

__all__ = [
    "Acknowledged",
    "ActionRun",
    "AlarmEvent",
    "AsyncClient",
    "AsyncNode",
    "AudioFound",
    "AuditRecord",
    "ChangedMeanwhileError",
    "Client",
    "ConflictError",
    "Event",
    "FieldProblem",
    "HealthRecord",
    "InvalidError",
    "Layout",
    "Me",
    "MotionSeen",
    "Node",
    "NotAllowedError",
    "NotFoundError",
    "NotSignedInError",
    "ProbeFound",
    "ProblemError",
    "SdkError",
    "Segment",
    "ServerTroubleError",
    "SignedIn",
    "Span",
    "StreamSecret",
    "StreamTicket",
    "Tab",
    "ThrottledError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "Versioned",
    "VideoFound",
]
