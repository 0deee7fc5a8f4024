"""Addresses of streams: rtsp://host:port/path?query, with the control suffix that a SETUP adds for one track."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from servers.wire.rtsp.errors import MalformedError

CONTROL = "trackID="
"""What we append to a stream's address for one of its tracks, followed by the index."""

_TRACK = re.compile(r"/?trackID=(\d{1,3})/?$")


@dataclass(frozen=True, slots=True)
class StreamUri:
    """Which stream, and perhaps which track of it, a request is about."""

    path: str
    """Decoded, begins with one slash, does not end with one; `*` for the server as a whole."""
    query: str = ""
    """As sent, without the question mark."""
    track: int | None = None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read the address of a request line; raises `MalformedError`."""
        if uri == "*":
            return cls("*")
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise MalformedError(f"the address {uri[:200]!r} cannot be read") from error
        if parts.scheme.lower() not in ("rtsp", "rtsps", "rtspu", "") or not (parts.netloc or uri.startswith("/")):
            raise MalformedError(f"{uri[:200]!r} is not the address of a stream")
        path, query, track = parts.path, parts.query, None
        # Players append the control suffix to the whole address, that is to the query where there is one.
        if found := _TRACK.search(query):
            query, track = query[: found.start()], int(found[1])
        elif found := _TRACK.search(path):
            path, track = path[: found.start()], int(found[1])
        return cls("/" + unquote(path).strip("/"), query.rstrip("/"), track)

    @property
    def parameters(self) -> dict[str, str]:
        """The query's fields; of repeated ones the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=50))
