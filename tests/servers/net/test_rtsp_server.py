import asyncio
import contextlib
import socket
import ssl
import subprocess

import pytest

from servers.net import live as live_module
from servers.net import rtsp_server
from servers.net.errors import PortTakenError, UnavailableError
from servers.net.rtsp_client import RtspRefusedError, play
from servers.net.rtsp_server import RtspServer
from servers.wire.rtsp.headers import Range

CRLF2 = b"\r\n\r\n"


class Player:
    """A client that says what it is told and reads answers apart from frames."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.cseq = 0
        self.frames = []

    def say(self, method, uri, **headers):
        self.cseq += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self.cseq}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + CRLF2)

    async def frame(self):
        head = await self.reader.readexactly(4)
        assert head[:1] == b"$"
        frame = head + await self.reader.readexactly(int.from_bytes(head[2:], "big"))
        self.frames.append(frame)
        return frame

    async def answer(self):
        """The next answer: status, headers, body."""
        while (first := await self.reader.readexactly(1)) == b"$":
            head = first + await self.reader.readexactly(3)
            self.frames.append(head + await self.reader.readexactly(int.from_bytes(head[2:], "big")))
        text = (first + await self.reader.readuntil(CRLF2)).decode()
        start, *lines = text.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("Content-Length", 0)))
        return int(start.split()[1]), headers, body

    async def ask(self, method, uri, **headers):
        self.say(method, uri, **headers)
        return await self.answer()

    async def set_up(self, url):
        for track in (0, 1):
            status, headers, _ = await self.ask(
                "SETUP", f"{url}/trackID={track}", Transport="RTP/AVP/TCP;unicast;interleaved=0-1"
            )
            assert status == 200
        return headers["Session"].split(";")[0]


@contextlib.asynccontextmanager
async def player(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 22)
    try:
        yield Player(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_player_gets_description_and_pictures(camera):
    camera.push(2)
    async with player(camera.server) as client:
        status, headers, body = await client.ask("DESCRIBE", camera.url + "?ticket=abc")
        assert (status, headers["Content-Type"]) == (200, "application/sdp")
        assert headers["Content-Base"] == camera.url + "/"
        assert b"H264" in body
        await client.set_up(camera.url)
        status, headers, _ = await client.ask("PLAY", camera.url)
        assert (status, headers["Range"]) == (200, "npt=now-")
        assert client.frames == []
        assert (await client.frame())[1] == 1
    (request,) = camera.requests
    assert (request.path, request.query, request.peer, request.tls) == (
        "/camera/a/main",
        {"ticket": "abc"},
        "127.0.0.1",
        False,
    )


async def test_requests_in_one_packet_are_answered_in_order(camera):
    camera.push(2)
    async with player(camera.server) as client:
        client.say("DESCRIBE", camera.url)
        client.say("SETUP", camera.url + "/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        client.say("PLAY", camera.url)
        client.say("GET_PARAMETER", camera.url)
        answers = [await client.answer() for _ in range(4)]
    assert [(status, headers["CSeq"]) for status, headers, _ in answers] == [
        (200, "1"),
        (200, "2"),
        (200, "3"),
        (200, "4"),
    ]


async def test_udp_is_refused_and_tcp_taken_after_that(camera):
    async with player(camera.server) as client:
        status, _, _ = await client.ask("SETUP", camera.url + "/trackID=0", Transport="RTP/AVP;unicast;client_port=5-6")
        assert status == 461
        await client.set_up(camera.url)


async def test_a_track_that_is_not_there_and_one_that_is_not_named_are_refused(camera):
    async with player(camera.server) as client:
        for suffix, expected in (("/trackID=7", 404), ("", 459)):
            status, _, _ = await client.ask("SETUP", camera.url + suffix, Transport="RTP/AVP/TCP;unicast")
            assert status == expected


async def test_one_session_carries_one_stream(camera):
    async with player(camera.server) as client:
        await client.set_up(camera.url)
        other = camera.url.replace("/a/", "/b/")
        status, _, _ = await client.ask("SETUP", other + "/trackID=0", Transport="RTP/AVP/TCP;unicast")
        assert status == 459


async def test_a_provider_that_refuses_is_heard(camera):
    async def away(_path, _query, _who):
        raise UnavailableError("the camera is away")

    camera.describe = away
    async with player(camera.server) as client:
        assert (await client.ask("DESCRIBE", camera.url))[0] == 503


async def test_a_provider_that_fails_costs_one_answer(camera):
    async def failing(_path, _query, _who):
        raise ZeroDivisionError

    camera.describe = failing
    async with player(camera.server) as client:
        assert (await client.ask("DESCRIBE", camera.url))[0] == 500
        assert (await client.ask("OPTIONS", camera.url))[0] == 200


async def test_range_and_scale_reach_the_source(camera):
    asked = []
    join = camera.live.join
    camera.live.join = lambda viewer, options: asked.append(options) or join(viewer, options)
    async with player(camera.server) as client:
        await client.set_up(camera.url)
        await client.ask("PLAY", camera.url, Range="npt=5-", Scale="2.0", Rate_Control="no")
    (options,) = asked
    assert (options.range, options.scale, options.headers["rate-control"]) == (Range(start=5.0), 2.0, "no")
    assert options.tracks == {0, 1}


async def test_pause_stops_and_play_goes_on(camera, eventually):
    camera.push()
    async with player(camera.server) as client:
        await client.set_up(camera.url)
        await client.ask("PLAY", camera.url)
        assert camera.live.viewers == 1
        await client.ask("PAUSE", camera.url)
        assert camera.live.viewers == 0
        await client.ask("PLAY", camera.url)
        assert camera.live.viewers == 1
        await client.ask("TEARDOWN", camera.url)
        assert camera.live.viewers == 0
        await client.set_up(camera.url)
    await eventually(lambda: camera.server.sessions() == ())


async def test_sessions_are_listed_and_ended_by_id_or_by_who(camera, eventually):
    async with player(camera.server) as first, player(camera.server) as second:
        session = await first.set_up(camera.url)
        await second.set_up(camera.url)
        await second.ask("PLAY", camera.url)
        listed = camera.server.sessions()
        assert {(each.who, each.path) for each in listed} == {("ada", "/camera/a/main")}
        assert sorted(each.playing for each in listed) == [False, True]
        assert camera.server.end(session, "the sign-in was revoked")
        assert not camera.server.end("no such session", "")
        assert await first.reader.read() == b""
        assert camera.server.end_where(lambda who: who == "ada", "the sign-in was revoked") == 1
        await second.reader.read()
    await eventually(lambda: camera.live.viewers == 0)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", b"400"),
        (b"PLAY * RTSP/1.0\r\nA: " + b"x" * 20_000, b"413"),
        (b"$\x00\xff\xff" + b"x" * 100, b"413"),
        (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", b"505"),
    ],
    ids=["garbage", "endless headers", "huge frame", "another version"],
)
async def test_a_broken_peer_ends_only_its_own_session_and_the_log_says_why(camera, monkeypatch, data, status):
    camera.push()
    async with player(camera.server) as good, player(camera.server) as bad:
        await good.set_up(camera.url)
        await good.ask("PLAY", camera.url)
        logged = []
        monkeypatch.setattr(rtsp_server.log, "warning", lambda event, **fields: logged.append((event, fields)))
        bad.writer.write(data)
        answer = await bad.reader.read()
        assert answer.startswith(b"RTSP/1.0 " + status)
        camera.push(5)
        for _ in range(5):
            await good.frame()
        assert (await good.ask("OPTIONS", camera.url))[0] == 200
    ((event, fields),) = logged
    assert event == "stream client broke the protocol"
    assert fields["peer"] == "127.0.0.1"
    assert fields["reason"]


async def test_a_client_that_asks_nothing_is_closed_but_not_one_that_plays(make_camera, serving):
    camera = make_camera()
    async with serving(camera, idle_s=0.2), player(camera.server) as idle, player(camera.server) as busy:
        await busy.set_up(camera.url)
        await busy.ask("PLAY", camera.url)
        assert await idle.reader.read() == b""
        await asyncio.sleep(0.5)
        camera.push(1)
        await busy.frame()


async def test_a_viewer_that_takes_nothing_is_closed_in_the_end(make_camera, serving, eventually):
    camera = make_camera()
    async with serving(camera, idle_s=0.2), player(camera.server) as stuck:
        await stuck.set_up(camera.url)
        await stuck.ask("PLAY", camera.url)
        stuck.writer.transport.pause_reading()
        big = camera.footage.units(0)[0]
        for _ in range(400):
            camera.live.push([big])
        await eventually(lambda: camera.server.sessions() == ())


async def test_a_slow_viewer_never_delays_the_others(camera, eventually, collector, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_BACKLOG", 64 * 1024)
    camera.push()
    task = asyncio.create_task(play(camera.url, collector))
    async with player(camera.server) as slow:
        slow.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await slow.set_up(camera.url)
        await slow.ask("PLAY", camera.url)
        slow.writer.transport.pause_reading()
        await eventually(lambda: camera.live.viewers == 2)
        while not camera.live.skipped:
            camera.push(10)
            await asyncio.sleep(0)
            assert camera.sent < 100_000
        count = sum(len(camera.footage.units(index)) for index in range(camera.sent))
        await eventually(lambda: len(collector.units) == count)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_taken_port_is_named_with_its_setting(camera):
    other = RtspServer(camera, "127.0.0.1", camera.server.port, setting="VIGIL_DVRSERVER__STREAM_PORT")
    with pytest.raises(PortTakenError, match=rf"{camera.server.port}.*VIGIL_DVRSERVER__STREAM_PORT"):
        await other.start()
    await other.close()


async def test_closing_ends_sessions_and_frees_the_port(make_camera, serving, collector, eventually):
    camera = make_camera()
    async with serving(camera):
        camera.push()
        task = asyncio.create_task(play(camera.url, collector))
        await eventually(lambda: camera.live.viewers)
        await camera.server.close()
        await camera.server.close()
        again = RtspServer(camera, "127.0.0.1", camera.server.port)
        await again.start()
        await again.close()
        await asyncio.gather(task, return_exceptions=True)


async def test_streams_travel_inside_tls(make_camera, serving, collector, tmp_path, eventually):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ],
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=certificate)
    ours.load_cert_chain(certificate, key)
    camera = make_camera()
    async with serving(camera, tls=ours):
        camera.push(30)
        url = camera.url.replace("rtsp://127.0.0.1", "rtsps://localhost")
        task = asyncio.create_task(play(url, collector, tls=theirs, connect_to=("127.0.0.1", camera.server.port)))
        await eventually(lambda: len(collector.units) > 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert camera.requests[0].tls


async def test_an_address_that_is_none_is_refused(camera, collector):
    with pytest.raises(RtspRefusedError):
        await play(camera.url + "/nothing", collector)


async def test_a_stream_granted_to_an_ended_sign_in_must_be_asked_for_again(make_camera, serving):
    provider = make_camera()

    async def authorise(request):
        provider.requests.append(request)
        return request.query.get("who")

    provider.authorise = authorise
    async with serving(provider) as camera, player(camera.server) as client:
        assert (await client.ask("DESCRIBE", f"{camera.url}?who=ada"))[0] == 200
        await client.ask("DESCRIBE", f"{camera.url.replace('/a/', '/b/')}?who=bob")
        assert camera.server.end_where(lambda who: who == "ada", "the sign-in was revoked") == 0
        await client.ask("DESCRIBE", camera.url)
    assert [request.query for request in camera.requests] == [{"who": "ada"}, {"who": "bob"}, {}]
