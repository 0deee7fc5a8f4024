"""The skeleton of the HTTP ports."""

import asyncio
import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated

import httpx
import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field

from broker.process import Health, TLSSettings
from broker.trust.errors import PlainRefusedError
from broker.trust.tls import client_context
from servers.net.http import HttpServer, PortTakenError, Problem, bind, install_problems
from servers.net.policy import public, websocket_policy
from servers.net.serve import open_operations


class Door(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=5)]
    height: Annotated[int, Field(ge=1)] = 2


def application() -> FastAPI:
    app = FastAPI()
    install_problems(app)

    @app.get("/hello", dependencies=[Depends(public)])
    async def hello() -> dict[str, str]:
        return {"say": "hello"}

    @app.post("/doors", dependencies=[Depends(public)])
    async def doors(door: Door) -> Door:
        return door

    @app.get("/teapot", dependencies=[Depends(public)])
    async def teapot() -> None:
        raise Problem(418, "No coffee", "It is a teapot.", "vessel", "ask the coffee machine")

    @app.get("/slow", dependencies=[Depends(public)])
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "done"

    @app.websocket("/echo", dependencies=[Depends(websocket_policy("says what it hears"))])
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return app


@pytest.fixture
async def server():
    server = HttpServer(application(), "127.0.0.1", 0, setting="VIGIL_TEST__PORT")
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def client(server):
    async with httpx.AsyncClient(verify=client_context(), base_url=server.url, trust_env=False) as client:
        yield client


async def test_a_started_server_answers_and_a_closed_one_has_freed_its_port(server, client):
    assert (await client.get("/hello")).json() == {"say": "hello"}
    await server.close()
    await server.close()
    again = HttpServer(application(), "127.0.0.1", server.port)
    await again.start()
    await again.close()


async def test_small_answers_are_sent_at_once():
    """Otherwise the body of an answer waits 40 ms for the acknowledgement of its head."""
    bound = bind("127.0.0.1", 0, "VIGIL_X__PORT")
    accepted = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _reader, writer: accepted.set_result(writer), sock=bound)
    _, writer = await asyncio.open_connection(*bound.getsockname())
    theirs = await accepted
    assert theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    for one in (writer, theirs):
        one.close()
        await one.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_taken_port_is_named_with_the_setting_that_moves_it(server):
    second = HttpServer(application(), "127.0.0.1", server.port, setting="VIGIL_TEST__PORT")
    with pytest.raises(PortTakenError, match=rf"{server.port}.*VIGIL_TEST__PORT"):
        await second.start()


async def test_it_does_not_bind_beyond_loopback_without_tls():
    with pytest.raises(PlainRefusedError, match="VIGIL_TEST__HOST"):
        await HttpServer(application(), "0.0.0.0", 0, setting="VIGIL_TEST__PORT").start()


async def test_with_a_certificate_it_speaks_tls(tmp_path):
    certificate, key = self_signed(tmp_path)
    server = HttpServer(application(), "127.0.0.1", 0, tls=TLSSettings(certificate=certificate, key=key))
    await server.start()
    try:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        async with httpx.AsyncClient(base_url=server.url, verify=context, trust_env=False) as client:
            assert (await client.get("/hello")).status_code == 200
    finally:
        await server.close()


async def test_what_is_being_answered_is_finished_before_it_closes(server, client):
    answer = asyncio.create_task(client.get("/slow"))
    while not server._server.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no such event
        await asyncio.sleep(0.01)
    await server.close()
    assert (await answer).json() == "done"


async def test_an_open_websocket_does_not_hold_up_closing(server):
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/echo", proxy=None) as socket:
        await socket.send("one")
        assert await socket.recv() == "one"
        async with asyncio.timeout(5):
            await server.close()


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        ({}, "name", "give it"),
        ({"name": "a", "wdith": 1}, "wdith", "leave it out"),
        ({"name": "too long"}, "name", "at most 5"),
        ({"name": "a", "height": 0}, "height", "1 or more"),
        ({"name": "a", "height": "x"}, "height", "whole number"),
    ],
)
async def test_a_wrong_field_is_named_with_its_remedy(client, body, field, remedy):
    answer = await client.post("/doors", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert remedy in answer.json()["remedy"]


async def test_several_wrong_fields_are_all_listed(client):
    answer = await client.post("/doors", json={"height": 0})
    assert [error["field"] for error in answer.json()["errors"]] == ["name", "height"]


async def test_broken_json_is_a_problem_too(client):
    answer = await client.post("/doors", content=b"{", headers={"content-type": "application/json"})
    assert answer.json()["remedy"] == "send valid JSON"


async def test_problems_of_routes_and_of_the_framework_look_alike(client):
    assert (await client.get("/teapot")).json() == {
        "type": "about:blank",
        "title": "No coffee",
        "status": 418,
        "detail": "It is a teapot.",
        "field": "vessel",
        "remedy": "ask the coffee machine",
    }
    missing = await client.get("/nowhere")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert (await client.put("/hello")).json()["title"] == "Method Not Allowed"


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vigil test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.mark.parametrize(
    ("head", "part"),
    [
        ("Content-Length: 1000000000", b"x" * (1 << 16)),
        ("Transfer-Encoding: chunked", b"10000\r\n" + b"x" * (1 << 16) + b"\r\n"),
    ],
)
async def test_a_body_without_end_is_refused_before_it_fills_the_memory(head, part):
    server = HttpServer(application(), "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST /doors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n".encode())
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    sent = 0
    while not answer.done() and sent < 64 << 20:
        writer.write(part)
        await asyncio.wait_for(writer.drain(), 5)
        await asyncio.wait({answer}, timeout=0.001)
        sent += len(part)
    assert b" 413 " in await asyncio.wait_for(answer, 5)
    writer.close()
    await server.close()


async def test_the_operations_port_speaks_tls_like_all_ports_or_stays_on_this_machine(tmp_path):
    health, setting = Health("tests"), "VIGIL_TESTS__OPERATIONS_PORT"
    with pytest.raises(PlainRefusedError, match="VIGIL_TESTS__HOST"):
        open_operations(health, "0.0.0.0", 0, setting, tls=TLSSettings())
    certificate, key = self_signed(tmp_path)
    port = open_operations(health, "127.0.0.1", 0, setting, tls=TLSSettings(certificate=certificate, key=key))
    _, silent = await asyncio.open_connection("127.0.0.1", port.port)
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=certificate), trust_env=False) as client:
        assert (await client.get(f"https://127.0.0.1:{port.port}/health")).json()["ok"]
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{port.port}/health")
    silent.close()
    await asyncio.to_thread(port.close)


async def test_a_client_that_says_goodbye_while_the_server_stops_keeps_nobody_waiting():
    """Its connection is closing already; uvicorn would give up there and leave the others open."""
    app = FastAPI()

    @app.websocket("/")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await socket.receive_text()

    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    leaving = await websockets.connect(server.url.replace("http", "ws") + "/", proxy=None)
    staying = await websockets.connect(server.url.replace("http", "ws") + "/", proxy=None)
    protocols = [each for each in server._server.server_state.connections if hasattr(each, "conn")]
    protocols[0].conn.receive_data(b"\x88\x80\0\0\0\0")  # a close frame that was received and not yet answered
    await asyncio.wait_for(server.close(), 10)
    for client in (leaving, staying):
        await asyncio.wait_for(client.wait_closed(), 5)
