"""What a client remembers of its session. No I/O: both clients keep one."""

import time
from typing import Any

import httpx

from clients.sdk.call import Call, T
from clients.sdk.values import SignedIn

API = "/api/v1"
PROGRAM = "vigil-sdk"
"""What the audit trail says of a client that names no program."""
MARGIN_S = 20.0
"""A token is renewed this long before its end, so that it is still good when it arrives."""


class Session:
    """The addresses and tokens of one signed-in user."""

    def __init__(self, url: str, timeout_s: float, program: str = PROGRAM) -> None:
        self.url = url.rstrip("/")
        self._extensions = _timeout(timeout_s)
        self._program = program
        self.access_token = ""
        self.refresh_token = ""
        self._renew_at = 0.0

    def began(self, signed_in: SignedIn) -> SignedIn:
        """Keep the tokens of a new or renewed session."""
        self.access_token = signed_in.access_token
        self.refresh_token = signed_in.refresh_token
        self._renew_at = time.monotonic() + signed_in.expires_in - min(MARGIN_S, signed_in.expires_in / 2)
        return signed_in

    def ended(self) -> None:
        """Forget the tokens."""
        self.access_token = self.refresh_token = ""

    def stale(self, refused: str | None = None) -> bool:
        """Whether the access token must be renewed first: it is about to end, or it is the one just refused."""
        if not self.refresh_token:
            return False
        return time.monotonic() >= self._renew_at or self.access_token == refused

    def request(self, call: Call[T], *, accept: str = "application/json") -> httpx.Request:
        """The call as it goes over the wire now."""
        headers = {"Accept": accept, "User-Agent": self._program, **call.headers}
        if call.signed and self.access_token:
            headers["Authorization"] = f"Bearer {self.access_token}"
        url = (call.base or self.url).rstrip("/") + API + call.path
        return httpx.Request(
            call.method,
            url,
            params=dict(call.query) or None,
            headers=headers,
            json=call.body,
            content=call.content,
            extensions=self._extensions if call.timeout_s is None else _timeout(call.timeout_s),
        )

    def events_url(self) -> str:
        """Where the event stream is."""
        return "ws" + self.url.removeprefix("http") + API + "/events"


def _timeout(seconds: float) -> dict[str, Any]:
    return {"timeout": httpx.Timeout(seconds).as_dict()}


def token_of(request: httpx.Request) -> str:
    """The access token that a request carried."""
    return str(request.headers.get("Authorization", "")).removeprefix("Bearer ")


def origin(url: str) -> str:
    """Scheme, host and port of an address, without its path."""
    parts = httpx.URL(url)
    return str(parts.copy_with(path="/", query=None, fragment=None)).rstrip("/")
