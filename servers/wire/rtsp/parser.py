"""Bytes to messages and interleaved frames, however they were cut on the way."""

import re
from dataclasses import dataclass

from servers.wire.rtsp.errors import MalformedError, TooLargeError, VersionError
from servers.wire.rtsp.messages import VERSION, Headers, Request, Response

MAX_HEAD = 16_384
"""Bytes of a start line with its headers. Longest seen in earnest: some 2 kB, with a token in the address."""
MAX_HEADERS = 100
"""Header lines of one message."""
MAX_BODY = 65_536
"""Bytes of a body. Descriptions of cameras take 0.5 to 4 kB."""
MAX_FRAME = 65_535
"""Bytes of an interleaved frame: all that its two length bytes can say (RFC 2326, 10.12)."""
MAX_CLIENT_FRAME = 16_384
"""The same from a client, which sends nothing but small RTCP reports."""

DOLLAR = 0x24
"""`$`, the first byte of an interleaved frame."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_SHOWN = 80
"""How many bad bytes travel in an error."""


@dataclass(frozen=True, slots=True)
class Frames:
    """One or more whole interleaved frames, one after another as they came: `$`, channel, length, packet."""

    run: memoryview
    """Valid until the next call of `receive`."""


class Parser:
    """Reads what one peer sends. Give bytes to `receive`, then call `next` until it returns None.

    Errors are `RemoteProtocolError`; after one the stream's position is lost and the parser is of no more use.
    """

    def __init__(self, *, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._data: memoryview = memoryview(b"")
        self._position = 0
        self._searched = 0

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take what the network gave. `data` may be overwritten once `next` has returned None."""
        if self._position < len(self._data):
            self._data = memoryview(b"".join((self._data[self._position :], data)))
        else:
            self._data = memoryview(data)
        self._position = 0

    def next(self) -> Request | Response | Frames | None:
        """The next thing the peer said, or None when more bytes are needed."""
        data, end = self._data, len(self._data)
        while self._position < end:
            first = data[self._position]
            if first == DOLLAR:
                if frames := self._frames():
                    return frames
                break
            if first in b"\r\n":  # RFC 2616, 4.1: ignore empty lines where a message is expected.
                self._position += 1
                continue
            if message := self._message():
                return message
            break
        self._keep_rest()
        return None

    def _keep_rest(self) -> None:
        """Copy what is not used up, since the caller may overwrite its buffer."""
        self._data = memoryview(bytes(self._data[self._position :]))
        self._position = 0

    def _frames(self) -> Frames | None:
        data, start, end = self._data, self._position, len(self._data)
        position, limit = start, self._max_frame
        while position + 4 <= end and data[position] == DOLLAR:
            length = data[position + 2] << 8 | data[position + 3]
            if length > limit:
                raise TooLargeError(
                    f"an interleaved frame of {length} bytes, at most {limit} are taken",
                    bytes(data[position : position + _SHOWN]),
                )
            if position + 4 + length > end:
                break
            position += 4 + length
        if position == start:
            return None
        self._position = position
        return Frames(data[start:position])

    def _message(self) -> Request | Response | None:
        head_end, body_start = self._head_end()
        if not head_end:
            return None
        lines = self._lines(head_end)
        headers = _headers(lines[1:])
        start = _start(lines[0])
        length = _content_length(headers)
        if len(self._data) - body_start < length:
            return None
        body = bytes(self._data[body_start : body_start + length])
        self._position = body_start + length
        self._searched = 0
        if isinstance(start, Response):
            return Response(start.status, headers, body, start.reason)
        return Request(start.method, start.uri, headers, body)

    def _head_end(self) -> tuple[int, int]:
        """Where the head ends and where the body begins; zeros while the end has not come."""
        data = self._data[self._position : self._position + MAX_HEAD + 4].tobytes()
        # A first look tells garbage from a message, so that garbage is not collected up to the limit.
        if not (65 <= data[0] <= 90 or 97 <= data[0] <= 122):  # noqa: PLR2004 - ASCII letters begin every start line
            raise MalformedError("what came begins with neither a method nor a frame", data[:_SHOWN])
        at = data.find(b"\r\n\r\n", max(0, self._searched - 3))
        length = 4
        # Some devices end lines with a bare line feed.
        bare = data.find(b"\n\n", max(0, self._searched - 3), at if at >= 0 else len(data))
        if bare >= 0:
            at, length = bare, 2
        if at > MAX_HEAD or (at < 0 and len(data) > MAX_HEAD):
            raise TooLargeError(f"the head of a message is longer than {MAX_HEAD} bytes", data[:_SHOWN])
        if at < 0:
            self._searched = len(data)
            return 0, 0
        return self._position + at, self._position + at + length

    def _lines(self, head_end: int) -> list[str]:
        raw = self._data[self._position : head_end].tobytes()
        if b"\0" in raw:
            raise MalformedError("a head with a zero byte", raw[:_SHOWN])
        lines: list[str] = []
        for line in raw.decode("utf-8", "replace").split("\n"):
            text = line.rstrip("\r")
            if text[:1] in (" ", "\t") and len(lines) > 1:  # RFC 2616, 4.2: a folded line.
                lines[-1] += " " + text.strip()
            else:
                lines.append(text)
        if len(lines) > MAX_HEADERS + 1:
            raise TooLargeError(f"more than {MAX_HEADERS} headers in one message", raw[:_SHOWN])
        return lines


def _start(line: str) -> Request | Response:
    words = line.split(maxsplit=2)
    if words[0].startswith("RTSP/"):
        if words[0] != VERSION:
            raise VersionError(f"a response of version {words[0][:20]}", line.encode()[:_SHOWN])
        if len(words) < 2 or not re.fullmatch(r"[1-9]\d\d", words[1], re.ASCII):  # noqa: PLR2004 - version, status
            raise MalformedError("a response without a status of three digits", line.encode()[:_SHOWN])
        return Response(int(words[1]), reason=words[2] if len(words) > 2 else "")  # noqa: PLR2004 - the reason may miss
    parts = line.split()
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or "/" not in parts[2]:  # noqa: PLR2004 - method, address, version
        raise MalformedError("a first line that is not `METHOD address RTSP/1.0`", line.encode()[:_SHOWN])
    method, uri, version = parts
    if not version.startswith("RTSP/"):
        raise MalformedError(f"a request of {version[:20]} instead of {VERSION}", line.encode()[:_SHOWN])
    if version != VERSION:
        raise VersionError(f"a request of {version[:20]} instead of {VERSION}", line.encode()[:_SHOWN])
    return Request(method, uri)


def _headers(lines: list[str]) -> Headers:
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon or not _TOKEN.fullmatch(name):
            raise MalformedError("a header line without a name and a colon", line.encode()[:_SHOWN])
        fields.append((name, value.strip()))
    return Headers(fields)


def _content_length(headers: Headers) -> int:
    value = headers.get("Content-Length", "0")
    if not (value.isascii() and value.isdigit()):
        raise MalformedError(f"Content-Length is {value[:20]!r}")
    if len(value) > 10 or int(value) > MAX_BODY:  # noqa: PLR2004 - ten digits are beyond any limit
        raise TooLargeError(f"a body of {value[:20]} bytes, at most {MAX_BODY} are taken")
    return int(value)
