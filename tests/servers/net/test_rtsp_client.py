import asyncio
import contextlib
import itertools
import socket
import ssl
import time

import pytest

from servers.net import rtsp_client
from servers.net.errors import UnauthorisedError
from servers.net.rtsp_client import (
    RtspClientError,
    RtspProtocolError,
    RtspRefusedError,
    RtspSilentError,
    RtspUnauthorisedError,
    RtspUnreachableError,
    play,
)
from servers.wire import sdp
from servers.wire.media import H264Format
from servers.wire.rtsp import digest
from servers.wire.rtsp.auth_headers import Authorization


@contextlib.asynccontextmanager
async def playing(url, sink, **options):
    task = asyncio.create_task(play(url, sink, **options))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RtspClientError):
            await task


async def test_what_the_camera_sends_arrives_untouched(camera, collector, eventually):
    camera.push(3)
    async with playing(camera.url, collector):
        await eventually(lambda: camera.live.viewers)
        camera.push(30)
        sent = [unit for index in range(33) for unit in camera.footage.units(index)]
        await eventually(lambda: len(collector.units) == len(sent))
    assert collector.formats == [camera.footage.formats]
    assert [unit.data for unit in collector.units] == [unit.data for unit in sent]
    assert [unit.key for unit in collector.units] == [unit.key for unit in sent]
    pictures = [unit for unit in collector.units if unit.track == 0]
    assert {b.timestamp - a.timestamp for a, b in itertools.pairwise(pictures)} == {3600}


async def test_the_cameras_clock_is_known_from_the_first_picture_on(camera, collector, eventually):
    camera.push()
    async with playing(camera.url, collector):
        await eventually(lambda: collector.units)
    assert abs(collector.units[0].camera_time_us - time.time_ns() // 1000) < 5_000_000


async def test_sound_is_left_out_on_request(camera, collector, eventually):
    camera.push()
    async with playing(camera.url, collector, audio=False):
        await eventually(lambda: camera.live.viewers)
        camera.push(20)
        await eventually(lambda: len(collector.units) == 21)
    assert collector.formats == [camera.footage.formats[:1]]


async def test_leaving_tells_the_camera(camera, collector, eventually):
    camera.push()
    async with playing(camera.url, collector):
        await eventually(lambda: camera.live.viewers)
    await eventually(lambda: not camera.server.sessions())
    assert camera.live.viewers == 0


async def test_the_checked_address_is_dialled_whatever_the_name_says(camera, collector, eventually):
    camera.push()
    url = "rtsp://camera.invalid/camera/a/main"
    async with playing(url, collector, connect_to=("127.0.0.1", camera.server.port)):
        await eventually(lambda: collector.units)


class Locked:
    """Asks for a password, then behaves as the camera behind."""

    def __init__(self, camera):
        self.camera = camera
        self.live = camera.live
        self.authority = digest.DigestAuthority("camera", b"secret")
        self.used = []

    async def authorise(self, request):
        given = request.headers.get("Authorization")
        if given:
            read = Authorization.parse(given)
            self.used.append(read.algorithm)
            verdict = self.authority.verify(
                read,
                request.method,
                request.uri,
                time.time(),
                lambda _user, algorithm: digest.ha1("ada", "camera", "right", algorithm),
            )
            if verdict.ok:
                return "ada"
        raise UnauthorisedError("who are you?", self.authority.challenges(time.time()))

    def __getattr__(self, name):
        return getattr(self.camera, name)


async def test_the_right_password_opens_a_camera(make_camera, serving, collector, eventually):
    async with serving(Locked(make_camera())) as camera:
        camera.push()
        async with playing(camera.url, collector, username="ada", password="right"):
            await eventually(lambda: collector.units)
        assert camera.used == ["SHA-256"]


async def test_a_wrong_password_is_said_plainly(make_camera, serving, collector):
    async with serving(Locked(make_camera())) as camera:
        with pytest.raises(RtspUnauthorisedError, match="'ada'"):
            await play(camera.url, collector, username="ada", password="wrong")
        with pytest.raises(RtspUnauthorisedError, match="asks for a user name"):
            await play(camera.url, collector)


async def test_an_unknown_path_is_said_plainly(camera, collector):
    with pytest.raises(RtspRefusedError, match="404") as raised:
        await play(camera.url.replace("/a/", "/b/"), collector)
    assert raised.value.status == 404


async def test_a_port_where_nothing_listens_is_said_plainly(collector):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(RtspUnreachableError, match=r"nothing listens at 127\.0\.0\.1"):
        await play(f"rtsp://127.0.0.1:{port}/a", collector)


async def test_a_name_that_is_not_known_is_said_plainly(collector):
    with pytest.raises(RtspUnreachableError, match=r"camera\.invalid"):
        await play("rtsp://camera.invalid/a", collector)


@contextlib.asynccontextmanager
async def odd_server(behave):
    """A server that does what it is told instead of what RTSP says."""
    writers, tasks = set(), set()

    async def serve(reader, writer):
        writers.add(writer)
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await behave(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*tasks)
        await server.wait_closed()


async def test_a_server_that_says_nothing_is_given_up(collector):
    async def silent(reader, _writer):
        await reader.read()

    async with odd_server(silent) as url:
        with pytest.raises(RtspSilentError, match=r"did not answer DESCRIBE within 0\.2 s"):
            await play(url, collector, timeout_s=0.2)


async def test_a_camera_that_goes_silent_is_given_up(camera, collector, eventually):
    camera.push()
    task = asyncio.create_task(play(camera.url, collector, timeout_s=0.3))
    await eventually(lambda: collector.units)
    with pytest.raises(RtspSilentError, match=r"sent nothing for 0\.3 s"):
        await task


async def test_a_camera_that_leaves_is_said_plainly(camera, collector, eventually):
    camera.push()
    task = asyncio.create_task(play(camera.url, collector))
    await eventually(lambda: collector.units)
    await camera.server.close()
    with pytest.raises(RtspUnreachableError, match="closed the connection"):
        await task


async def test_a_web_server_is_said_to_be_one(collector):
    async def web(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with odd_server(web) as url:
        with pytest.raises(RtspProtocolError, match="a web server answers"):
            await play(url, collector)


async def test_a_server_that_hangs_up_is_said_to_do_so(collector):
    async def hang_up(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")

    async with odd_server(hang_up) as url:
        with pytest.raises(RtspUnreachableError, match="instead of answering DESCRIBE"):
            await play(url, collector)


async def test_a_server_without_tls_is_said_to_have_none(camera, collector):
    with pytest.raises(RtspUnreachableError, match="TLS"):
        await play(camera.url.replace("rtsp:", "rtsps:"), collector, tls=ssl.create_default_context())


async def test_garbage_in_the_middle_of_the_stream_ends_it(camera, collector, eventually):
    camera.push()
    task = asyncio.create_task(play(camera.url, collector))
    await eventually(lambda: collector.units)
    for viewer in [place.viewer for place in camera.live._places.values()]:
        viewer.send(b"\x00garbage")
    with pytest.raises(RtspProtocolError):
        await task


async def test_parameter_sets_that_are_not_described_are_learnt_from_the_first_key_frame(
    make_camera, serving, collector, eventually, footage
):
    camera = make_camera(audio=False)

    async def bare(_path, _query, _who):
        return (H264Format(sps=b"", pps=b""),)

    camera.describe = bare
    async with serving(camera):
        camera.push(3)
        async with playing(camera.url, collector):
            await eventually(lambda: len(collector.units) == 3)
    assert collector.formats == [footage.formats[:1]]


async def test_a_sinks_own_mistake_ends_its_camera_only(camera, collector):
    class Broken:
        def described(self, formats):
            raise ZeroDivisionError

        received = described

    camera.push()
    with pytest.raises(ZeroDivisionError):
        await play(camera.url, Broken())


async def test_signs_of_life_and_reports_are_sent(footage, collector, eventually, monkeypatch):
    monkeypatch.setattr(rtsp_client, "REPORT_S", 0.0)
    heard = bytearray()

    async def listening(reader, writer):
        for number in range(1, 4):
            await reader.readuntil(b"\r\n\r\n")
            body = sdp.serialise(footage.formats[:1]) if number == 1 else b""
            head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: s;timeout=1\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.write(b"$\x00\x00\x11\x80\xe0\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07\x65abcd")
        while data := await reader.read(1000):
            heard.extend(data)
            writer.write(b"$\x00\x00\x00")

    async with odd_server(listening) as url, playing(url, collector, timeout_s=1.0):
        await eventually(lambda: b"GET_PARAMETER" in heard and b"$\x01" in heard)
    assert collector.units[0].data.endswith(b"\x65abcd")
