"""What can go wrong when a server is asked.

SdkError
  UnreachableError          nobody answered: network, address or a server that is down; worth another try
  UnexpectedAnswerError     something answered that is no Vigil server, or one of another version
  ProblemError              the server said no, and why (RFC 9457)
    InvalidError              400, 422: `field` names what is wrong with the request
    NotSignedInError          401: sign in (again)
    NotAllowedError           403: the profile lacks the right
    NotFoundError             404: it does not exist, or not for this user
    ConflictError             409: it clashes with what is there
      ChangedMeanwhileError     412: somebody else changed it since it was read
    ThrottledError            429: too many tries; wait `retry_after_s`
    ServerTroubleError        5xx: the server's own trouble; worth another try
"""

from typing import NamedTuple

import httpx


class SdkError(Exception):
    """The base of this package's errors."""


class UnreachableError(SdkError):
    """Nobody answered."""


class UnexpectedAnswerError(SdkError):
    """The answer is not what a Vigil server says."""


class FieldProblem(NamedTuple):
    """One part of a request that is wrong."""

    field: str
    """Its path, e.g. `actions.0.url`."""
    detail: str
    remedy: str


class ProblemError(SdkError):
    """The server refused, in the words of its problem document."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        field: str = "",
        remedy: str = "",
        problems: tuple[FieldProblem, ...] = (),
    ) -> None:
        sentence = ": ".join(part for part in (title, detail) if part)
        super().__init__(f"{sentence} {remedy}".strip())
        self.status = status
        self.title = title
        self.detail = detail
        self.field = field
        """The part of the request that is wrong, e.g. `main_url`; empty when none is."""
        self.remedy = remedy
        """What to do about it; empty when the server knows no better."""
        self.problems = problems or ((FieldProblem(field, detail, remedy),) if field else ())
        """Every part that is wrong; empty when none is named."""


class InvalidError(ProblemError):
    """The request itself is wrong."""


class NotSignedInError(ProblemError):
    """There is no session, or it is over."""


class NotAllowedError(ProblemError):
    """The user's profile lacks the right."""


class NotFoundError(ProblemError):
    """There is no such thing, or not for this user."""


class ConflictError(ProblemError):
    """It clashes with what is there."""


class ChangedMeanwhileError(ConflictError):
    """It has another revision than the one that was to be changed: read it again."""


class ThrottledError(ProblemError):
    """Too many tries."""

    retry_after_s: int = 0
    """Seconds after which a try makes sense."""


class ServerTroubleError(ProblemError):
    """The server's own trouble."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: InvalidError,
    401: NotSignedInError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    412: ChangedMeanwhileError,
    422: InvalidError,
    429: ThrottledError,
}
FIRST_SERVER_ERROR = 500


def problem_of(response: httpx.Response) -> ProblemError:
    """The error that an answer of 400 or above stands for; its body must have been read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    given = body if isinstance(body, dict) else {}

    def said(key: str) -> str:
        return str(given.get(key) or "")

    status = response.status_code
    cls = _BY_STATUS.get(status, ServerTroubleError if status >= FIRST_SERVER_ERROR else ProblemError)
    title = said("title") or response.reason_phrase or f"status {status}"
    listed = given.get("errors")
    problems = tuple(
        FieldProblem(*(str(found.get(key) or "") for key in FieldProblem._fields))
        for found in (listed if isinstance(listed, list) else ())
        if isinstance(found, dict)
    )
    error = cls(status, title, said("detail"), field=said("field"), remedy=said("remedy"), problems=problems)
    if isinstance(error, ThrottledError):
        after = response.headers.get("Retry-After", "")
        error.retry_after_s = int(after) if after.isdecimal() else 0
    return error


def unreachable(request: httpx.Request, error: httpx.TransportError) -> UnreachableError:
    """The error for a request that got no answer. Its query stays out of the sentence."""
    return UnreachableError(f"{request.url.copy_with(query=None)} does not answer: {error or type(error).__name__}")
