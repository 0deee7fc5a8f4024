"""Port 9000: what browsers ask, watch and hear."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

import httpx
from fastapi import Depends, FastAPI, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from broker.model.resources import Server
from servers.gateway.cors import PageOnly
from servers.gateway.packager import Media
from servers.gateway.passed_on import TO_NODE, TO_SMSERVER, Passed
from servers.gateway.proxy import API, forwarder
from servers.gateway.seats import Seats
from servers.gateway.sockets import EventRelay, LiveSockets, guarded
from servers.net.http import PROBLEM_RESPONSES, Problem, install_problems
from servers.net.policy import MARK, public, require_policies, websocket_policy

CHALLENGE = {"WWW-Authenticate": "Bearer"}


async def passed_on(
    token: Annotated[
        HTTPAuthorizationCredentials | None,
        Security(HTTPBearer(scheme_name="bearer", bearerFormat="JWT", auto_error=False)),
    ],
) -> None:
    """The policy of what is passed on: there must be a token, and the server behind checks it and the profile."""
    if token is None:
        raise Problem(401, detail="Sign in and send the access token as `Authorization: Bearer …`.", headers=CHALLENGE)


setattr(passed_on, MARK, "passed on: the server behind checks the access token and the profile")


def data_api(
    *,
    smserver_url: str,
    client: httpx.AsyncClient,
    server_of: Callable[[str], Server | None],
    may: Callable[[str, Passed, str, str], None],
    seats: Seats,
    live: LiveSockets,
    events: EventRelay,
) -> FastAPI:
    """The routes of port 9000, each with its policy.

    `may` raises a `Problem` when a token's user may not ask a row of a node about a camera: its arguments are the
    token, the row, the node's id and the camera's.
    """
    app = FastAPI(
        title="Vigil gateway",
        version="1",
        description="What browsers and phones may ask: a part of SMServer's and the nodes' API, live media, events.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=PROBLEM_RESPONSES,
    )
    install_problems(app)

    @app.get(f"{API}/health", dependencies=[Depends(public)], summary="Whether the gateway answers", tags=["gateway"])
    async def health() -> dict[str, bool]:
        return {"ok": True}

    def node_url(row: Passed, request: Request) -> str:
        node_id, camera_id = request.path_params["node_id"], request.path_params.get("camera_id", "")
        server = server_of(node_id)
        if server is None or not server.control_url:
            raise Problem(404, detail="There is no such node.")
        if camera_id:
            may(request.headers.get("Authorization", "").partition(" ")[2].strip(), row, node_id, camera_id)
        return server.control_url

    for row in TO_SMSERVER:
        ask = forwarder(row, client, lambda _request: smserver_url, seats)
        _add(app, API + row.path, row, tag="smserver", ask=ask)
    for row in TO_NODE:
        ask = forwarder(row, client, partial(node_url, row), seats)
        _add(app, f"/nodes/{{node_id}}{API}{row.path}", row, tag="node", ask=ask)

    @app.websocket(f"{API}/events", dependencies=[Depends(websocket_policy("the first frame carries an access token"))])
    async def event_stream(socket: WebSocket) -> None:
        await socket.accept()
        await guarded(socket, lambda: events.serve(socket))

    @app.websocket(
        "/live/{camera_id}",
        dependencies=[Depends(websocket_policy("the first frame carries a ticket, which is good once"))],
    )
    async def live_picture(
        socket: WebSocket,
        camera_id: str,
        stream: Annotated[Literal["main", "sub"], Query()] = "main",
        media: Annotated[Media, Query()] = "video",
    ) -> None:
        await socket.accept()
        await guarded(socket, lambda: live.serve(socket, camera_id, stream, media))

    require_policies(app)
    return app


def data_app(api: FastAPI, page_port: Callable[[], int]) -> ASGIApp:
    """The application of port 9000: its routes, for the page of port 9999 only."""
    return PageOnly(api, page_port)


def _add(
    app: FastAPI,
    path: str,
    row: Passed,
    *,
    tag: str,
    ask: Callable[[Request], Awaitable[Response]],
) -> None:
    words = [word for word in path.removeprefix(API).replace("{", "").replace("}", "").split("/") if word]
    extra: dict[str, Any] = {
        "parameters": [
            {"name": name[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
            for name in path.split("/")
            if name.startswith("{")
        ],
        "description": "Passed on; the server behind describes bodies and answers in its own document.",
    }
    app.add_api_route(
        path,
        ask,
        methods=[row.method],
        dependencies=[Depends(passed_on if row.signed else public)],
        summary=row.summary,
        operation_id="_".join([row.method.lower(), *words]).replace("-", "_"),
        tags=[tag],
        response_class=Response,
        response_model=None,
        openapi_extra=extra,
    )
