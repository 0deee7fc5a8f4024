"""Who may call a route."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import httpx
import pytest
import websockets
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.staticfiles import StaticFiles

from broker.model.access import Access
from broker.model.resources import Profile, Right, ServerRole, User
from broker.trust.tls import client_context
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer
from servers.net.http import HttpServer, install_problems
from servers.net.policy import (
    Administrator,
    Caller,
    Policies,
    SignedIn,
    UnguardedRouteError,
    install_policies,
    open_to_all,
    policy_table,
    public,
    require_policies,
    service,
    websocket_policy,
)


def access(user_id: str, *rights: Right, enabled: bool = True) -> Access:
    user = User(id=user_id, name=user_id, profile_id="p", enabled=enabled)
    return Access(user, Profile(id="p", name="p", rights=frozenset(rights)))


USERS = {
    "operator": access("operator", Right.LIVE),
    "chief": access("chief", Right.ADMINISTER),
    "left": access("left", Right.ADMINISTER, enabled=False),
}
SERVERS = {"engine-1", "node-1"}


@pytest.fixture
def keys(tmp_path):
    return SigningKeys(tmp_path / "keys.json")


@pytest.fixture
def issuer(keys):
    return TokenIssuer(keys)


@pytest.fixture
def app(tmp_path, keys):
    checker = TokenChecker(tmp_path / "checker")
    checker.update(keys.jwks())
    app = FastAPI()
    install_problems(app)
    install_policies(app, Policies(checker, USERS.get, lambda server: server in SERVERS))
    router = APIRouter(prefix="/api")

    @router.get("/open", dependencies=[Depends(public)])
    async def open_door() -> str:
        return "open"

    @router.get("/me")
    async def me(caller: SignedIn) -> str:
        return caller.id

    @router.get("/configuration")
    async def configuration(caller: Administrator) -> str:
        return caller.id

    @router.get("/order")
    async def order(caller: Annotated[Caller, Depends(service(ServerRole.ENGINE))]) -> str:
        return caller.id

    @router.websocket("/events")
    async def events(socket: WebSocket, caller: SignedIn) -> None:
        await socket.accept()
        await socket.send_text(caller.id)

    app.include_router(router)
    return app


@pytest.fixture
async def server(app):
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def client(server):
    async with httpx.AsyncClient(verify=client_context(), base_url=server.url, trust_env=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/api/open", None, 200),
        ("/api/me", None, 401),
        ("/api/me", "operator", 200),
        ("/api/me", "left", 401),
        ("/api/me", "stranger", 401),
        ("/api/me", "engine-1", 401),
        ("/api/configuration", "operator", 403),
        ("/api/configuration", "chief", 200),
        ("/api/configuration", "left", 401),
        ("/api/order", "chief", 401),
        ("/api/order", "engine-1", 200),
        ("/api/order", "node-1", 403),
        ("/api/order", "engine-9", 401),
    ],
)
async def test_a_route_is_open_to_those_its_policy_names(client, issuer, path, who, status):
    tokens = {
        "engine-1": lambda: issuer.service("engine-1", ServerRole.ENGINE),
        "engine-9": lambda: issuer.service("engine-9", ServerRole.ENGINE),
        "node-1": lambda: issuer.service("node-1", ServerRole.DVRSERVER),
    }
    headers = bearer(tokens.get(who, lambda: issuer.access(who, "s1"))()) if who else {}
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  x y", "Basic YTpi", "Bearer not.a.token", "Bearer \xff"])
async def test_a_malformed_authorisation_is_a_401_and_no_more(client, header):
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    assert (await client.get("/api/me", headers=headers)).status_code == 401


async def test_what_was_wrong_with_a_token_is_not_told_to_who_sent_it(client, issuer):
    old = issuer.access("chief", "s1", now=datetime.now(UTC) - timedelta(hours=1))
    assert "expired" not in (await client.get("/api/me", headers=bearer(old))).text


async def test_a_websocket_obeys_the_same_policies(server, issuer):
    url = f"ws://127.0.0.1:{server.port}/api/events"
    async with websockets.connect(
        url, additional_headers=bearer(issuer.access("operator", "s1")), proxy=None
    ) as socket:
        assert await socket.recv() == "operator"
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url, proxy=None)


async def test_users_and_servers_may_be_looked_up_in_a_database(app, client, issuer):
    async def access_of(user_id):
        return USERS.get(user_id)

    async def allowed(server_id):
        return server_id in SERVERS

    install_policies(app, Policies(app.state.policies.checker, access_of, allowed))
    for path, token, status in (
        ("/api/me", issuer.access("operator", "s1"), 200),
        ("/api/me", issuer.access("left", "s1"), 401),
        ("/api/order", issuer.service("engine-1", ServerRole.ENGINE), 200),
        ("/api/order", issuer.service("engine-9", ServerRole.ENGINE), 401),
    ):
        assert (await client.get(path, headers=bearer(token))).status_code == status


async def test_a_revoked_session_is_refused_at_the_next_request(app, client, issuer):
    headers = bearer(issuer.access("operator", "s1"))
    assert (await client.get("/api/me", headers=headers)).status_code == 200
    app.state.policies.checker.revoke("s1")
    assert (await client.get("/api/me", headers=headers)).status_code == 401


def test_an_application_whose_routes_all_name_a_policy_passes(app, tmp_path):
    app.mount("/page", open_to_all(StaticFiles(directory=tmp_path)))
    require_policies(app)
    assert ("GET", "/api/order", "service(engine)") in policy_table(app)


def bare_route(router):
    @router.get("/bare")
    async def bare() -> None: ...


def bare_websocket(router):
    @router.websocket("/bare")
    async def bare(socket: WebSocket) -> None: ...


@pytest.mark.parametrize("add", [bare_route, bare_websocket])
def test_a_route_without_a_policy_fails_and_is_named(app, add):
    add(app)
    with pytest.raises(UnguardedRouteError, match="/bare"):
        require_policies(app)


@pytest.mark.parametrize("add", [bare_route, bare_websocket])
def test_a_route_without_a_policy_hides_in_no_router_of_a_router(app, add):
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    add(inner)
    outer.include_router(inner)
    app.include_router(outer)
    with pytest.raises(UnguardedRouteError, match="/outer/inner/bare"):
        require_policies(app)


def test_a_policy_of_a_whole_router_counts(app):
    router = APIRouter(dependencies=[Depends(public)])
    bare_route(router)
    app.include_router(router)
    require_policies(app)


def test_a_mounted_application_needs_a_policy_or_guarded_routes(app, tmp_path):
    guarded, bare = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    bare_websocket(bare)
    app.mount("/guarded", guarded)
    require_policies(app)
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.mount("/inner", bare)
    with pytest.raises(UnguardedRouteError, match=r"/files.*/inner/bare"):
        require_policies(app)


def test_a_websocket_says_how_it_authorises_by_itself(app):
    @app.websocket("/ticket", dependencies=[Depends(websocket_policy("the first frame carries a ticket"))])
    async def ticket(socket: WebSocket) -> None: ...

    require_policies(app)
    assert "websocket: the first frame carries a ticket" in [policy for _, _, policy in policy_table(app)]


def test_openapi_names_the_scheme_of_guarded_routes(app):
    document = app.openapi()
    assert document["paths"]["/api/me"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/api/open"]["get"]
