"""What other people's programs make of a DVRServer, and what it makes of theirs."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from broker.model import messages as m
from broker.model.messages import CameraCondition
from broker.trust.tls import client_context
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import STREAM_SECRET, Site, run_node, running, state_of, until, watching
from tests.system.programs import PROGRAM_S, require, run

pytestmark = pytest.mark.peers

GST_CAMERA = Path(__file__).with_name("gst_camera.py")
SYSTEM_PYTHON = "/usr/bin/python3"
"""The one that Debian's python3-gi belongs to."""


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def address(node, camera_id="door"):
    return node.stream_url.replace("rtsp://", f"rtsp://guard:{STREAM_SECRET}@") + f"/camera/{camera_id}/main"


@pytest.fixture
async def node(site):
    """A node with the camera door, which gives pictures."""
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node(site) as node:
            await until(running(node))
            yield node


async def test_ffprobe_sees_what_a_live_camera_sends(node):
    require("ffprobe")
    said = await run(
        *("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-of", "json"), address(node)
    )
    video = json.loads(said)["streams"][0]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 320, 240)


async def test_ffmpeg_plays_a_live_camera_and_decodes_without_an_error(node, tmp_path):
    require("ffmpeg")
    out = tmp_path / "out.y4m"
    await run(
        *("ffmpeg", "-v", "error", "-xerror", "-rtsp_transport", "tcp", "-i", address(node)),
        *("-frames:v", "20", "-f", "yuv4mpegpipe", str(out)),
    )
    assert out.read_bytes().count(b"FRAME\n") >= 20


async def test_gstreamers_rtspsrc_plays_a_live_camera(node, tmp_path):
    require("gst-launch-1.0")
    out = tmp_path / "out.yuv"
    await run(
        *("gst-launch-1.0", "-q", "rtspsrc", f"location={address(node)}", "protocols=tcp", "latency=0"),
        *("!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "video/x-raw,format=I420"),
        *("!", "identity", "eos-after=15", "!", "filesink", f"location={out}"),
        cancelled=True,
    )
    assert out.stat().st_size >= 10 * 320 * 240 * 3 // 2


async def test_a_gst_rtsp_server_camera_is_recorded_with_its_sound_and_watched(site):
    require(SYSTEM_PYTHON, "ffprobe")
    camera = await asyncio.create_subprocess_exec(
        SYSTEM_PYTHON, str(GST_CAMERA), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        port = int(await asyncio.wait_for(camera.stdout.readline(), PROGRAM_S))
        url = f"rtsp://127.0.0.1:{port}/stream"
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=url))
        async with run_node(site, segment_s=3, camera_timeout_s=10) as node:
            async with watching(node) as viewer:
                await until(lambda: len([unit for unit in viewer.units if unit.track == 0]) >= 50)
                assert {unit.track for unit in viewer.units} == {0, 1}
                assert (viewer.formats[0].width, viewer.formats[0].height) == (640, 480)
            path = await closed_segment(site, node)
        said = await run("ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path))
        video, audio = json.loads(said)["streams"]
        assert (video["codec_name"], video["width"], video["height"]) == ("h264", 640, 480)
        assert int(video["nb_read_frames"]) >= 50
        assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")
        assert int(audio["nb_read_frames"]) >= 90
    finally:
        camera.kill()
        await camera.wait()


async def closed_segment(site, node):
    """The file of the first segment, once the next one has begun."""
    headers = {"Authorization": f"Bearer {site.token()}"}
    async with httpx.AsyncClient(
        verify=client_context(), base_url=node.control_url + "/api/v1", headers=headers, trust_env=False
    ) as client:
        async with asyncio.timeout(PROGRAM_S):
            while True:
                now = time.time()
                times = {"from": _iso(now - 3600), "to": _iso(now + 3600)}
                items = (await client.get("/cameras/door/segments", params=times)).json()["items"]
                if len(items) >= 2:
                    break
                await asyncio.sleep(0.2)
        content = (await client.get(items[0]["url"].removeprefix("/api/v1"))).content
    path = site.data_dir / "segment.mp4"
    path.write_bytes(content)
    return path


def _iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def garbage(reader, writer):
    await reader.readline()
    writer.write(os.urandom(200_000))


async def endless_headers(reader, writer):
    await reader.readline()
    writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
    while True:
        writer.write(b"X-More: " + b"a" * 1000 + b"\r\n")
        await writer.drain()


async def huge_interleaved_length(reader, writer):
    """Frames as long as they can be, of a track that nobody set up, instead of an answer."""
    await reader.readline()
    while True:
        writer.write(b"$\x09\xff\xff" + b"\0" * 65_535)
        await writer.drain()


async def huge_body(reader, writer):
    await reader.readline()
    writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n")


async def silence(reader, writer):
    await reader.read()


@pytest.mark.parametrize("behaviour", [garbage, endless_headers, huge_interleaved_length, huge_body, silence])
async def test_a_broken_peer_gets_a_sentence_in_its_state_and_leaves_the_other_camera_alone(site, behaviour):
    async def serve(reader, writer):
        try:
            await behaviour(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("vault", main_url=f"rtsp://127.0.0.1:{port}/x"))
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node(site) as node, watching(node) as viewer:
            await until(running(node))
            problem = await until(lambda: state_of(node, "vault").problem)
            assert state_of(node, "vault").condition in (CameraCondition.REFUSED, CameraCondition.NO_SIGNAL)
            assert len(problem) > 20
            seen = len(viewer.units)
            await until(lambda: len(viewer.units) >= seen + 10)
            assert not [event for event in site.said(m.HealthEventReported) if event.subject == "door"]
