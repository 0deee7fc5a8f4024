"""What the gateway passes on to SMServer and the nodes, as a table: nothing else goes through.

Administration is not among it: a browser page and a phone need none of it, and what cannot be reached cannot be
abused. The server behind checks the token and the profile; the gateway adds no right, and asks no node about a
camera that its own copy of the configuration does not show to the user.
"""

from typing import Literal, NamedTuple

from broker.model.resources import Right

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


class Passed(NamedTuple):
    """One row: what may be asked, of whom, and how much may go each way, in bytes."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    signed: bool
    sends: int
    gets: int
    summary: str
    right: Right | None = None
    """What the user must be allowed to do with the camera in the path, checked before the node is asked."""
    counted: bool = False
    """Whether it counts among the pictures shown at the same time."""


# fmt: off
TO_SMSERVER = (
    #      method    path below /api/v1                 signed  sends     gets      summary
    Passed("POST",   "/sign-in",                        False,  8 * KIB,  MIB,      "Begin a session"),
    Passed("POST",   "/sessions/refresh",               False,  8 * KIB,  MIB,      "Renew a session's tokens"),
    Passed("DELETE", "/sessions/current",               True,   0,        MIB,      "End the session"),
    Passed("GET",    "/me",                             True,   0,        32 * MIB, "The user and what they see"),
    Passed("POST",   "/me/password",                    True,   8 * KIB,  MIB,      "Change one's own password"),
    Passed("POST",   "/me/stream-secret",               True,   8 * KIB,  MIB,      "A new stream secret for players"),
    Passed("GET",    "/me/layouts",                     True,   0,        8 * MIB,  "The user's layouts"),
    Passed("GET",    "/me/layouts/{name}",              True,   0,        MIB,      "One layout"),
    Passed("PUT",    "/me/layouts/{name}",              True,   256 * KIB, MIB,     "Keep a layout"),
    Passed("DELETE", "/me/layouts/{name}",              True,   0,        MIB,      "Delete a layout"),
    Passed("GET",    "/cameras",                        True,   0,        32 * MIB, "The cameras"),
    Passed("GET",    "/cameras/{camera_id}",            True,   0,        MIB,      "One camera"),
    Passed("GET",    "/alarms",                         True,   0,        32 * MIB, "The alarms as configured"),
    Passed("GET",    "/alarms/{alarm_id}",              True,   0,        MIB,      "One alarm as configured"),
    Passed("GET",    "/servers",                        True,   0,        MIB,      "The servers"),
    Passed("POST",   "/stream-tickets",                 True,   8 * KIB,  MIB,      "The right to start a live stream"),
    Passed("GET",    "/alarm-events",                   True,   0,        32 * MIB, "The alarm log, newest first"),
    Passed("GET",    "/alarm-events/{event_id}",        True,   0,        MIB,      "One alarm event"),
    Passed("POST",   "/alarm-events/{event_id}/acknowledge", True, 8 * KIB, MIB,    "Take notice of an alarm event"),
    Passed("GET",    "/health-events",                  True,   0,        32 * MIB, "The system's own condition"),
    Passed("GET",    "/node-states",                    True,   0,        32 * MIB, "What each process says of itself"),
)

_LIVE, _PLAY, _EXPORT = Right.LIVE, Right.PLAYBACK, Right.EXPORT
TO_NODE = (
    #      method path below /nodes/{node_id}/api/v1      signed sends gets    summary               right  counted
    Passed("GET", "/state",                                True, 0, 8 * MIB,   "How node and cameras are"),
    Passed("GET", "/cameras/{camera_id}/timeline",         True, 0, 32 * MIB,  "When there is footage",   _PLAY),
    Passed("GET", "/cameras/{camera_id}/snapshot",         True, 0, 16 * MIB,  "A JPEG picture"),
    Passed("GET", "/cameras/{camera_id}/media",            True, 0, 512 * MIB, "Footage for MediaSource", _PLAY, True),
    Passed("GET", "/cameras/{camera_id}/clip",             True, 0, 32 * GIB,  "One MP4 of footage", _EXPORT, True),
    Passed("GET", "/cameras/{camera_id}/segments",         True, 0, 32 * MIB,  "The archive's files",     _PLAY),
    Passed("GET", "/cameras/{camera_id}/segments/{segment_id}", True, 0, 2 * GIB, "One file, byte ranges", _PLAY),
)
# fmt: on

REQUEST_HEADERS = ("Authorization", "Content-Type", "Accept", "If-Match", "If-None-Match", "Range", "traceparent")
"""What of a request's headers is passed on."""

ANSWER_HEADERS = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Content-Disposition",
    "Accept-Ranges",
    "ETag",
    "Last-Modified",
    "Retry-After",
    "WWW-Authenticate",
    "Vigil-Start",
    "Vigil-End",
    "Vigil-Epoch",
)
"""What of an answer's headers comes back."""
