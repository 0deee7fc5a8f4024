"""The HTTP clients: one for our own servers on 5008 and 5009, one for addresses that people typed in."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from broker.process import logger
from broker.trust.egress import EgressPolicy, Resolved
from broker.trust.identity import Identity
from broker.trust.keyfile import write_private
from broker.trust.tls import client_context

log = logger(__name__)

API = "/api/v1"
AUDIENCE = "smserver"
"""Whom assertions for service tokens are made for."""

TIMEOUT_S = 10.0
MAX_REDIRECTS = 3
REFRESH_BEFORE = timedelta(seconds=60)
"""A service token is renewed this long before it expires."""


def service_client(
    base_url: str = "", *, auth: httpx.Auth | None = None, ca: Path | None = None, timeout_s: float = TIMEOUT_S
) -> httpx.AsyncClient:
    """A client for our own servers: no proxies, no redirects, `ca` trusted beside the system's authorities."""
    return httpx.AsyncClient(
        base_url=base_url,
        auth=auth,
        timeout=timeout_s,
        trust_env=False,
        transport=httpx.AsyncHTTPTransport(verify=client_context(ca), trust_env=False),
    )


def blocking_service_client(
    base_url: str = "", *, auth: httpx.Auth | None = None, ca: Path | None = None, timeout_s: float = TIMEOUT_S
) -> httpx.Client:
    """`service_client` for threads, such as those of action workers. Safe to share between them."""
    return httpx.Client(
        base_url=base_url,
        auth=auth,
        timeout=timeout_s,
        trust_env=False,
        transport=httpx.HTTPTransport(verify=client_context(ca), trust_env=False),
    )


class PinnedTransport(httpx.BaseTransport):
    """Connects only to the address that the egress policy has checked; each redirect is a new check.

    The name stays in the Host header and in the certificate's check. Connections are not kept: two names on one
    address must not share one.
    """

    def __init__(self, policy: EgressPolicy, *, ca: Path | None = None) -> None:
        self._policy = policy
        self._inner = httpx.HTTPTransport(
            verify=client_context(ca), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Check, pin, send. Raises `EgressRefusedError` and what httpx raises."""
        resolved = self._policy.check(str(request.url))
        pinned = httpx.Request(
            method=request.method,
            url=request.url.copy_with(host=resolved.address, port=resolved.port),
            headers=request.headers,  # Host is among them, as the caller's URL has it
            stream=request.stream,
            extensions={**request.extensions, **_server_name(resolved)},
        )
        return self._inner.handle_request(pinned)

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()


def _server_name(resolved: Resolved) -> dict[str, str]:
    return {"sni_hostname": resolved.host} if resolved.scheme == "https" else {}


def webhook_client(policy: EgressPolicy, *, ca: Path | None = None, timeout_s: float = TIMEOUT_S) -> httpx.Client:
    """A client for addresses that people typed in; follows at most three redirects, each checked.

    `ca` is trusted beside the system's authorities.
    Requests raise `EgressRefusedError` where the policy says no. Safe to share between threads.
    """
    return httpx.Client(
        transport=PinnedTransport(policy, ca=ca),
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
    )


class ServiceSession(httpx.Auth):
    """Keeps a service token of this process fresh and puts it on requests: `service_client(url, auth=session)`.

    While SMServer is silent the last token is used though it has expired; other servers accept it for a grace
    period. With `store` it outlives a restart. Safe across threads and event loops.
    """

    def __init__(
        self, identity: Identity, smserver_url: str, *, ca: Path | None = None, store: Path | None = None
    ) -> None:
        self._identity = identity
        self._client = blocking_service_client(smserver_url, ca=ca, timeout_s=5.0)
        self._store = store
        self._lock = threading.Lock()
        self._token = ""
        self._fresh_until = datetime.min.replace(tzinfo=UTC)
        self._quiet_until = self._fresh_until

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def token(self) -> str:
        """A token that is fresh, or the last one while SMServer is silent. Asks SMServer when need be.

        Raises:
            httpx.HTTPError: there has never been one and SMServer does not give one.
        """
        with self._lock:
            now = datetime.now(UTC)
            if now < self._fresh_until:
                return self._token
            if self._token and now < self._quiet_until:
                return self._token
            try:
                self._fetch(now)
            except httpx.HTTPError as error:
                self._token = self._token or self._stored()
                if not self._token:
                    raise
                self._quiet_until = now + timedelta(seconds=5)
                log.info("SMServer gives no new service token; the last one is used", error=str(error))
            return self._token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the token on a request of a blocking client."""
        request.headers["Authorization"] = f"Bearer {self.token()}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._again(request):
            request.headers["Authorization"] = f"Bearer {self.token()}"
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Put the token on a request of an async client."""
        request.headers["Authorization"] = f"Bearer {await self._token_async()}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._again(request):
            request.headers["Authorization"] = f"Bearer {await self._token_async()}"
            yield request

    async def _token_async(self) -> str:
        if datetime.now(UTC) < self._fresh_until:
            return self._token
        return await asyncio.to_thread(self.token)

    def _again(self, request: httpx.Request) -> bool:
        """Whether a refused request is worth a new token: only if it was sent with the one we still hold."""
        with self._lock:
            if request.headers.get("Authorization") == f"Bearer {self._token}":
                self._fresh_until = self._quiet_until = datetime.min.replace(tzinfo=UTC)
            return True

    def _fetch(self, now: datetime) -> None:
        answer = self._client.post(
            f"{API}/service-tokens", json={"assertion": self._identity.sign_assertion(AUDIENCE)}
        ).raise_for_status()
        body: dict[str, Any] = answer.json()
        self._token = str(body["access_token"])
        self._fresh_until = now + timedelta(seconds=float(body["expires_in"])) - REFRESH_BEFORE
        if self._store is not None:
            write_private(self._store, self._token.encode())

    def _stored(self) -> str:
        try:
            return self._store.read_text() if self._store is not None else ""
        except OSError:
            return ""
