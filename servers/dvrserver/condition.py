"""The condition of a camera, out of the conditions of its streams, in a word and a sentence."""

from typing import NamedTuple

from broker.model.messages import CameraCondition
from broker.trust.errors import EgressRefusedError
from servers.wire.rtsp.errors import (
    RtspClientError,
    RtspProtocolError,
    RtspRefusedError,
    RtspSilentError,
    RtspUnreachableError,
)

FIRST_SERVER_ERROR = 500


class Trouble(NamedTuple):
    """How a stream is, and what is wrong with it."""

    condition: CameraCondition
    problem: str = ""


def trouble_of(error: Exception, *, ran: bool) -> Trouble:
    """Sort an error: a camera that is away comes back by itself, one that refuses needs somebody to act.

    `ran` tells whether pictures came before: garbage in mid-stream is a lost signal, garbage at once is a
    wrong address.
    """
    if isinstance(error, RtspUnreachableError | RtspSilentError) or (ran and isinstance(error, RtspProtocolError)):
        return Trouble(CameraCondition.NO_SIGNAL, str(error))
    if isinstance(error, RtspRefusedError) and error.status >= FIRST_SERVER_ERROR:
        return Trouble(CameraCondition.NO_SIGNAL, str(error))
    if isinstance(error, EgressRefusedError | RtspClientError):
        return Trouble(CameraCondition.REFUSED, str(error))
    return Trouble(CameraCondition.NO_SIGNAL, f"the connection ended: {error or type(error).__name__}")


def together(main: Trouble, sub: Trouble | None) -> Trouble:
    """The condition of a camera with two streams: the main stream's, with what is wrong with the small one."""
    if sub is not None and sub.problem and main.condition is CameraCondition.RUNNING:
        return Trouble(CameraCondition.RUNNING, f"Small stream: {sub.problem}")
    return main
