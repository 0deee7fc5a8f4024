"""Port 9000: what browsers ask, watch and hear."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import httpx
from fastapi import Depends, FastAPI, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from broker.model.resources import Server
from servers.gateway.cors import PageOnly
from servers.gateway.passed_on import TO_NODE, TO_SMSERVER, Passed
from servers.gateway.proxy import API, forwarder
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
    live: LiveSockets,
    events: EventRelay,
) -> FastAPI:
    """The routes of port 9000, each with its policy."""
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

    def node_url(parameters: Mapping[str, str]) -> str:
        server = server_of(parameters["node_id"])
        if server is None or not server.control_url:
            raise Problem(404, detail="There is no such node.")
        return server.control_url

    for row in TO_SMSERVER:
        _add(app, API + row.path, row, tag="smserver", client=client, address=lambda _parameters: smserver_url)
    for row in TO_NODE:
        _add(app, f"/nodes/{{node_id}}{API}{row.path}", row, tag="node", client=client, address=node_url)

    @app.websocket(f"{API}/events", dependencies=[Depends(websocket_policy("the first frame carries an access token"))])
    async def event_stream(socket: WebSocket) -> None:
        await socket.accept()
        await guarded(socket, lambda: events.serve(socket))

    @app.websocket(
        "/live/{camera_id}",
        dependencies=[Depends(websocket_policy("the first frame carries a ticket, which is good once"))],
    )
    async def live_picture(
        socket: WebSocket, camera_id: str, stream: Annotated[Literal["main", "sub"], Query()] = "main"
    ) -> None:
        await socket.accept()
        await guarded(socket, lambda: live.serve(socket, camera_id, stream))

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
    client: httpx.AsyncClient,
    address: Callable[[Mapping[str, str]], str],
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
        forwarder(row, client, address),
        methods=[row.method],
        dependencies=[Depends(passed_on if row.signed else public)],
        summary=row.summary,
        operation_id="_".join([row.method.lower(), *words]).replace("-", "_"),
        tags=[tag],
        response_class=Response,
        response_model=None,
        openapi_extra=extra,
    )
