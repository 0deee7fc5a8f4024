"""Slow and many clients are bounded, and a WebSocket that closes does not trouble a server that stops."""

import asyncio
import contextlib

import pytest
import websockets
from fastapi import FastAPI, Request, WebSocket

from servers.net import http_connections
from servers.net.http import HttpServer

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def server(monkeypatch):
    monkeypatch.setattr(http_connections, "HEAD_WITHIN_S", 0.4)
    monkeypatch.setattr(http_connections, "PIECE_WITHIN_S", 0.8)
    app = FastAPI()

    @app.get("/hello")
    async def hello():
        return {"hello": "you"}

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(1.5)
        return {"slow": "answer"}

    @app.post("/body")
    async def body(request: Request):
        return {"length": len(await request.body())}

    @app.websocket("/socket")
    async def socket(websocket: WebSocket):
        await websocket.accept()
        with contextlib.suppress(Exception):
            while True:
                await websocket.receive_text()

    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.close()


@contextlib.asynccontextmanager
async def dialled(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said(reader):
    """Everything until the server hangs up."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


async def drip(writer, data, every_s=0.05):
    with contextlib.suppress(OSError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_s)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /hello HTTP/1.1\r\nX-Slow: " + b"a" * 100,
        b"POST /body HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + b"b" * 98,
    ],
    ids=["nothing", "an endless head", "an endless body"],
)
async def test_a_client_that_never_finishes_its_request_is_hung_up_on(server, sent):
    began = asyncio.get_running_loop().time()
    async with dialled(server) as (reader, writer):
        dripping = asyncio.create_task(drip(writer, sent))
        assert await said(reader) == b""
        assert asyncio.get_running_loop().time() - began < 4
        dripping.cancel()


async def test_without_the_limits_it_stays_for_as_long_as_it_likes(server, monkeypatch):
    """The negative control."""
    monkeypatch.setattr(http_connections.HttpConnection, "_wait", lambda *_: None)
    async with dialled(server) as (reader, writer):
        writer.write(b"GET /hello HTTP/1.1\r\nX-Slow: ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 2)
        writer.write(b"a\r\n\r\n")
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)


async def test_a_large_body_may_take_long_as_long_as_it_comes(server, monkeypatch):
    monkeypatch.setattr(http_connections, "PIECE", 10)
    async with dialled(server) as (reader, writer):
        writer.write(b"POST /body HTTP/1.1\r\nConnection: close\r\nContent-Length: 200\r\n\r\n")
        began = asyncio.get_running_loop().time()
        await drip(writer, b"b" * 200, every_s=0.01)
        assert asyncio.get_running_loop().time() - began > http_connections.PIECE_WITHIN_S
        assert b"200 OK" in await said(reader)


async def test_an_answer_may_take_its_time_and_the_next_request_has_time_of_its_own(server):
    async with dialled(server) as (reader, writer):
        for path in (b"/slow", b"/hello"):
            writer.write(HELLO.replace(b"/hello", path))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert b"200 OK" in head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(0.6)  # longer than a head may take: between requests that does not count


@pytest.mark.parametrize("limit", ["MAX_CONNECTIONS", "MAX_FROM_ONE_ADDRESS"])
async def test_too_many_connections_are_refused_and_there_is_room_again_when_some_have_ended(
    server, limit, monkeypatch
):
    monkeypatch.setattr(http_connections, limit, 2)
    monkeypatch.setattr(http_connections, "HEAD_WITHIN_S", 30)

    async def asked(reader, writer):
        writer.write(HELLO)
        try:
            return b"200 OK" in await asyncio.wait_for(reader.readline(), 5)
        except ConnectionError:
            return False

    async with dialled(server) as first, dialled(server) as second:
        assert await asked(*first)
        assert await asked(*second)
        async with dialled(server) as third:
            assert not await asked(*third)
    async with asyncio.timeout(5):
        while True:
            async with dialled(server) as again:
                if await asked(*again):
                    break


async def test_a_server_stops_while_a_websocket_is_closing(server):
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/socket") as socket:
        await socket.send("hello")
        (ours,) = [each for each in server._server.server_state.connections if hasattr(each, "conn")]
        ours.conn.send_close(1000)  # the closing has begun; what the client says to it has not come yet
        await asyncio.wait_for(server.close(), 10)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
