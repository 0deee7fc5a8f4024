"""Who may call a route. Every route names its policy; `require_policies` fails where one does not.

A policy is a FastAPI dependency that gives the `Caller`:

    @router.get("/cameras")
    async def cameras(caller: SignedIn) -> ...:                  # Annotated[Caller, Depends(signed_in)]

What of the site a user sees is decided per object by `caller.access`, not here.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI
from fastapi.openapi.models import HTTPBearer as BearerScheme
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from broker.model.access import Access
from broker.model.resources import ServerRole
from broker.process import logger
from broker.trust.errors import TokenRefusedError
from broker.trust.tokens import Claims, TokenChecker
from servers.net.problems import Problem

log = logger(__name__)

MARK = "__policy__"
CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user with what they may see and do, or one of our own processes."""

    kind: Literal["user", "service"]
    id: str
    session_id: str = ""
    role: ServerRole | None = None
    access: Access | None = None


AccessOf = Callable[[str], Access | Awaitable[Access | None] | None]
ServerAllowed = Callable[[str], bool | Awaitable[bool]]


class Policies:
    """What policies need to know; one per application, kept at `app.state.policies`.

    `access_of` gives what a user may do, none if there is no such user; `server_allowed` says whether a process
    is enrolled and enabled. Both must be quick, or be coroutines.
    """

    def __init__(
        self, checker: TokenChecker, access_of: AccessOf, server_allowed: ServerAllowed = lambda _id: True
    ) -> None:
        self.checker = checker
        self._access_of = access_of
        self._server_allowed = server_allowed

    async def user(self, token: str) -> Caller:
        """The user of an access token, from a header or a WebSocket's first frame.

        Raises:
            Problem: 401; what exactly was wrong is logged, not told.
        """
        return await self.user_of(self._check(token, "access"))

    async def user_of(self, claims: Claims) -> Caller:
        """The user of a token or ticket that has been checked: unknown and disabled ones are refused with 401."""
        access = self._access_of(claims.sub)
        if inspect.isawaitable(access):
            access = await access
        if access is None or not access.user.enabled:
            log.info("caller refused", reason="the user is unknown or disabled", user_id=claims.sub)
            raise _unauthorised()
        return Caller("user", claims.sub, claims.sid, None, access)

    async def service(self, token: str) -> Caller:
        """The process of a service token.

        Raises:
            Problem: 401.
        """
        claims = self._check(token, "service")
        allowed = self._server_allowed(claims.sub)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            log.info("caller refused", reason="the server is unknown or disabled", node_id=claims.sub)
            raise _unauthorised()
        return Caller("service", claims.sub, "", claims.role)

    def _check(self, token: str, use: Literal["access", "service"]) -> Claims:
        try:
            return self.checker.check(token, use)
        except TokenRefusedError as error:
            log.info("caller refused", reason=error.reason)
            raise _unauthorised() from error


def install_policies(app: FastAPI, policies: Policies) -> None:
    """Give an application's policies what they need to know."""
    app.state.policies = policies


def policies_of(connection: HTTPConnection) -> Policies:
    """The policies of the application behind a request or WebSocket."""
    policies = connection.app.state.policies
    assert isinstance(policies, Policies)
    return policies


class _Bearer(SecurityBase):
    """The token of the Authorization header; in OpenAPI the scheme `bearer`. Serves WebSockets too."""

    def __init__(self) -> None:
        self.model = BearerScheme(bearerFormat="JWT", description="An access token of POST /sign-in.")
        self.scheme_name = "bearer"

    async def __call__(self, connection: HTTPConnection) -> str:
        scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorised("Sign in and send the access token as `Authorization: Bearer …`.")
        return token.strip()


_bearer = _Bearer()
_Token = Annotated[str, Depends(_bearer)]


def _policy(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def mark(target: Callable[..., Any]) -> Callable[..., Any]:
        setattr(target, MARK, name)
        return target

    return mark


async def public() -> None:
    """Anybody may call: sign-in, health, public keys, pages."""


async def signed_in(connection: HTTPConnection, token: _Token) -> Caller:
    """A user with a good access token."""
    return await policies_of(connection).user(token)


async def administrator(connection: HTTPConnection, token: _Token) -> Caller:
    """A user who may configure the site."""
    caller = await policies_of(connection).user(token)
    if caller.access is None or not caller.access.administer:
        raise Problem(403, detail="Your profile lacks the right to configure the site.")
    return caller


def service(*roles: ServerRole) -> Callable[..., Awaitable[Caller]]:
    """One of our own processes with a service token, of one of these roles; of any role if none is named."""

    async def of_service(connection: HTTPConnection, token: _Token) -> Caller:
        caller = await policies_of(connection).service(token)
        if roles and caller.role not in roles:
            raise Problem(403, detail=f"Only {', '.join(roles)} may call this.")
        return caller

    _policy(f"service({', '.join(roles)})")(of_service)
    return of_service


def websocket_policy(how: str) -> Callable[[], Awaitable[None]]:
    """For WebSockets of browsers, which cannot send headers: says how the route authorises by itself.

    For example `websocket_policy("the first frame carries an access token")`.
    """

    async def by_itself() -> None:
        """The route's own work."""

    _policy(f"websocket: {how}")(by_itself)
    return by_itself


def open_to_all(target: Any) -> Any:
    """Mark a mounted application or a plain Starlette endpoint as public, e.g. the files of a page."""
    setattr(target, MARK, "public")
    return target


_policy("public")(public)
_policy("signed_in")(signed_in)
_policy("administrator")(administrator)

SignedIn = Annotated[Caller, Depends(signed_in)]
Administrator = Annotated[Caller, Depends(administrator)]
AnyService = Annotated[Caller, Depends(service())]


class UnguardedRouteError(RuntimeError):
    """A route does not name its policy."""


def policy_table(app: FastAPI) -> list[tuple[str, str, str | None]]:
    """Methods, path and policy of every route; none where a route has no policy. FastAPI's own pages are public."""
    own = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    rows: list[tuple[str, str, str | None]] = []
    for route in iter_route_contexts(app.routes):
        path = str(route.path)
        methods = ",".join(sorted(route.methods or {"*"}))
        if isinstance(route.original_route, Mount):
            name = getattr(route.original_route.app, MARK, None)
            inner = route.original_route.app
            if name is None and isinstance(inner, FastAPI):
                rows += [(methods, path + below, policy) for methods, below, policy in policy_table(inner)]
                continue
            rows.append((methods, path, name))
        elif (dependant := getattr(route, "dependant", None)) is not None:
            rows.append((methods, path, next(_policies_in(dependant), None)))
        else:
            name = "public" if path in own else getattr(route.endpoint, MARK, None)
            rows.append((methods, path, name))
    return rows


def require_policies(app: FastAPI) -> None:
    """Fail if a route, a WebSocket or a mounted application does not name its policy.

    Raises:
        UnguardedRouteError: names the routes.
    """
    bare = [f"{methods} {path}" for methods, path, policy in policy_table(app) if policy is None]
    if bare:
        raise UnguardedRouteError(
            f"no policy guards {'; '.join(bare)}: add one of servers.net.policy, e.g. `caller: SignedIn`"
        )


def _policies_in(dependant: Any) -> Iterator[str]:
    for below in dependant.dependencies:
        name = getattr(below.call, MARK, None)
        if name is not None:
            yield name
        yield from _policies_in(below)


def _unauthorised(detail: str = "Sign in again: the access token is not accepted.") -> Problem:
    return Problem(401, detail=detail, headers=CHALLENGE)
