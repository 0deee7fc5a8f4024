"""One question to a server, as a value: what to send, and how to read the answer. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from clients.sdk.errors import UnexpectedAnswerError, problem_of

T = TypeVar("T")
FIRST_ERROR = 400


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """A request, and the reader of its answer."""

    method: str
    path: str
    """Below `/api/v1`."""
    read: Callable[[httpx.Response], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Sent as JSON; nothing when none."""
    content: bytes | None = None
    """Sent as it is, in the place of `body`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    signed: bool = True
    """Whether the user's access token goes with it."""
    base: str = ""
    """The server's address; SMServer's when empty."""
    timeout_s: float | None = None
    """Silence that is borne; the client's own when none."""

    def answer(self, response: httpx.Response) -> T:
        """The value in the answer, or its problem as an error."""
        if response.status_code >= FIRST_ERROR:
            raise problem_of(response)
        try:
            return self.read(response)
        except (ValidationError, ValueError, KeyError) as error:
            where = response.request.url
            raise UnexpectedAnswerError(f"{where} answered something else than expected: {error}") from error


def value_of(cls: type[T]) -> Callable[[httpx.Response], T]:
    """Reads the JSON body as a class; fields that it does not know are ignored, for newer servers."""

    def read(response: httpx.Response) -> T:
        adapter: TypeAdapter[T] = TypeAdapter(cls)
        return adapter.validate_json(response.content, extra="ignore")

    return read


def nothing(_response: httpx.Response) -> None:
    """The answer holds nothing of interest."""


def content(response: httpx.Response) -> bytes:
    """The bytes of the body."""
    return response.content
