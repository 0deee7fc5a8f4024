"""Requests and responses as values, each serialised where it is defined; parser.py reads them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

VERSION = "RTSP/1.0"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# RFC 2326, 7.1.1, as far as used here.
REASONS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    451: "Parameter Not Understood",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    457: "Invalid Range",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
    551: "Option not supported",
}


class Headers:
    """Header fields in order; names compare without case, as RFC 2326 (section 4.2 of HTTP/1.1) wants."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._fields = tuple(pairs)

    def get(self, name: str, default: str = "") -> str:
        """The first value under this name."""
        name = name.lower()
        return next((value for key, value in self._fields if key.lower() == name), default)

    def all(self, name: str) -> tuple[str, ...]:
        """All values under this name, in order."""
        name = name.lower()
        return tuple(value for key, value in self._fields if key.lower() == name)

    def __contains__(self, name: str) -> bool:
        name = name.lower()
        return any(key.lower() == name for key, _ in self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({[(k, '***' if k.lower() == 'authorization' else v) for k, v in self._fields]})"

    def serialise(self) -> str:
        """The lines, each with its end."""
        return "".join(f"{name}: {_one_line(value)}\r\n" for name, value in self._fields)


def _one_line(value: str) -> str:
    """A value that cannot begin a header of its own, whatever it was built from."""
    return _CONTROL.sub(" ", value)


@dataclass(frozen=True, slots=True)
class Request:
    """What one side asks of the other."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def serialise(self) -> bytes:
        """The bytes to send."""
        return _message(f"{self.method} {_one_line(self.uri)} {VERSION}", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """What the other side answers."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    reason: str = ""

    def serialise(self) -> bytes:
        """The bytes to send."""
        reason = self.reason or REASONS.get(self.status, "Unknown")
        return _message(f"{VERSION} {self.status} {_one_line(reason)}", self.headers, self.body)


def _message(start: str, headers: Headers, body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{start}\r\n{headers.serialise()}{length}\r\n".encode() + body
