"""What the gateway passes on to SMServer and the nodes, as a table: nothing else goes through.

Administration is not among it: a browser page and a phone need none of it, and what cannot be reached cannot be
abused. The server behind checks the token and the profile; the gateway adds no right and takes none away.
"""

from typing import Literal, NamedTuple

KIB = 1 << 10
MIB = 1 << 20


class Passed(NamedTuple):
    """One row: what may be asked, of whom, and how much may go each way, in bytes."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    signed: bool
    sends: int
    gets: int
    summary: str


# fmt: off
TO_SMSERVER = (
    #      method    path below /api/v1                 signed  sends     gets      summary
    Passed("POST",   "/sign-in",                        False,  8 * KIB,  MIB,      "Begin a session"),
    Passed("POST",   "/sessions/refresh",               False,  8 * KIB,  MIB,      "Renew a session's tokens"),
    Passed("DELETE", "/sessions/current",               True,   0,        MIB,      "End the session"),
    Passed("GET",    "/me",                             True,   0,        32 * MIB, "The user and what they see"),
    Passed("POST",   "/me/password",                    True,   8 * KIB,  MIB,      "Change one's own password"),
    Passed("POST",   "/me/stream-secret",               True,   8 * KIB,  MIB,      "A new stream secret for players"),
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

TO_NODE = (
    #      method    path below /nodes/{node_id}/api/v1           signed sends gets         summary
    Passed("GET",    "/state",                                    True,  0,    8 * MIB,     "How node and cameras are"),
    Passed("GET",    "/cameras/{camera_id}/timeline",             True,  0,    32 * MIB,    "When there is footage"),
    Passed("GET",    "/cameras/{camera_id}/snapshot",             True,  0,    16 * MIB,    "A JPEG picture"),
    Passed("GET",    "/cameras/{camera_id}/segments",             True,  0,    32 * MIB,    "The files of the archive"),
    Passed("GET",    "/cameras/{camera_id}/segments/{segment_id}", True, 0,    2048 * MIB,  "One file, byte ranges"),
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
)
"""What of an answer's headers comes back."""
