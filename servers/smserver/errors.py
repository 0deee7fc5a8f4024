"""What can go wrong when somebody asks SMServer for something.

SMServerError
  RefusedError        the value is wrong as it stands (422); names the field and the remedy
    SignInError         wrong user or password, ended session, unreadable token (401)
    ForbiddenError      seen, but not allowed (403)
    NotFoundError       no such thing, or none that the caller may see (404)
    ConflictError       it clashes with something else, which the error names (409)
    StaleError          somebody else has changed it in the meantime (412)
    BlindWriteError     a change without saying which state it builds on (428)
    ThrottledError      too many wrong passwords (429); says when to try again
  NotReadyError       the database is away or not yet migrated (503)
"""

from typing import ClassVar


class SMServerError(Exception):
    """The base of this package's errors."""


class RefusedError(SMServerError):
    """What was asked for cannot be done; says which field and how to mend it."""

    status: ClassVar[int] = 422
    title: ClassVar[str] = "Not valid"

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.remedy = remedy


class SignInError(RefusedError):
    """The caller is not who they say, or not any more."""

    status = 401
    title = "Not signed in"


class ForbiddenError(RefusedError):
    """The profile does not allow it."""

    status = 403
    title = "Not allowed"


class NotFoundError(RefusedError):
    """There is none, or none that the caller may see."""

    status = 404
    title = "Not found"


class ConflictError(RefusedError):
    """Something else stands in the way."""

    status = 409
    title = "In conflict"


class StaleError(RefusedError):
    """The caller's picture is older than the latest change."""

    status = 412
    title = "Changed in the meantime"


class BlindWriteError(RefusedError):
    """The caller did not say what they build on."""

    status = 428
    title = "Precondition required"


class ThrottledError(RefusedError):
    """Too many wrong passwords."""

    status = 429
    title = "Too many tries"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail, remedy=f"Wait {retry_after_s} seconds, then try again.")
        self.retry_after_s = retry_after_s


class NotReadyError(SMServerError):
    """The database is away or its schema is not there yet."""
