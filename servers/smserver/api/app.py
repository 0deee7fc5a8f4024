"""The application: all routes, their policies and their errors."""

import asyncio

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from broker.process import logger
from broker.trust.tokens import Claims, TokenChecker
from servers.net.policy import Caller, Policies, install_policies, public, require_policies
from servers.net.problems import PROBLEM_RESPONSES, Problem, install_problems
from servers.smserver.api import (
    alarms,
    cameras,
    events,
    layouts,
    logs,
    me,
    nodes,
    profiles,
    servers,
    sessions,
    streams,
    updates,
    users,
)
from servers.smserver.api.context import Services, Using
from servers.smserver.errors import NotReadyError, RefusedError, SignInError, ThrottledError

log = logger(__name__)

PREFIX = "/api/v1"


class SitePolicies(Policies):
    """Policies that ask the database whether the session still lives; other servers can only ask the token."""

    def __init__(self, checker: TokenChecker, services: Services) -> None:
        super().__init__(
            checker,
            access_of=lambda _user_id: None,
            server_allowed=lambda node_id: asyncio.to_thread(services.nodes.allowed, node_id),
        )
        self._sessions = services.sessions

    async def user_of(self, claims: Claims) -> Caller:
        """The user of a token whose session lives; others are refused with 401."""
        access = await asyncio.to_thread(self._sessions.access_of, claims.sub, claims.sid)
        if access is None:
            log.info("caller refused", reason="the session is over", user_id=claims.sub)
            raise Problem(
                401,
                detail="Sign in again: the session is over.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller("user", claims.sub, claims.sid, None, access)


health_router = APIRouter(tags=["health"])


@health_router.get("/health", operation_id="get_health", dependencies=[Depends(public)])
def get_health(using: Using, response: Response) -> dict[str, bool]:
    """Whether SMServer can do its work; the operations port says more."""
    ok = using.health.ok
    response.status_code = 200 if ok else 503
    return {"ok": ok}


def make_app(services: Services, checker: TokenChecker) -> FastAPI:
    """Build the application. Fails when a route has no policy."""
    app = FastAPI(
        title="Vigil SMServer",
        version="1",
        description="Sign-in, configuration, alarm log and audit trail of a Vigil site.",
        docs_url=None,
        redoc_url=None,
        responses=PROBLEM_RESPONSES,
    )
    app.state.services = services
    install_policies(app, SitePolicies(checker, services))
    install_problems(app)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(NotReadyError, _not_ready)
    configured = (layouts, cameras, alarms, users, profiles, servers)
    families = (sessions, me, *configured, streams, logs, nodes, events, updates)
    for family in families:
        app.include_router(family.router, prefix=PREFIX)
    app.include_router(health_router, prefix=PREFIX)
    app.include_router(nodes.well_known)
    app.include_router(updates.served)
    require_policies(app)
    return app


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    headers: dict[str, str] = {}
    if isinstance(error, SignInError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ThrottledError):
        headers["Retry-After"] = str(error.retry_after_s)
    return Problem(error.status, error.title, error.detail, error.field, error.remedy, headers=headers).response()


async def _not_ready(_request: Request, error: Exception) -> Response:
    log.warning("request cannot be answered", reason=str(error))
    problem = Problem(
        503,
        detail="SMServer cannot reach its database at the moment.",
        remedy="Try again in a few seconds.",
        headers={"Retry-After": "2"},
    )
    answer: JSONResponse = problem.response()
    return answer
