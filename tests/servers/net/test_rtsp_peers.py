"""What other people's players and cameras make of ours."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from servers.net.errors import UnauthorisedError
from servers.net.rtsp_client import RtspClientError, RtspUnauthorisedError, play
from servers.wire.media import AACFormat, H264Format
from servers.wire.rtsp import digest
from servers.wire.rtsp.auth_headers import Authorization
from tests.gst_launch import cancelled_itself

pytestmark = pytest.mark.peers

GST_CAMERA = Path(__file__).with_name("gst_camera.py")
SYSTEM_PYTHON = "/usr/bin/python3"


def need(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing} are not installed")
    if missing:
        pytest.skip(f"{missing} are not installed")


async def run(*command, timeout_s=40):
    """Run a program; returns its exit status, what it wrote, and its complaints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(timeout_s):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(errors="replace"), errors.decode(errors="replace")


async def test_ffprobe_asks_for_udp_and_gets_tcp(running):
    need("ffprobe")
    status, out, errors = await run(
        *(
            "ffprobe",
            "-v",
            "error",
            "-show_entries",
            "stream=codec_name,width,height,sample_rate",
            "-of",
            "compact=nk=1",
        ),
        running.url,
    )
    assert status == 0, errors
    assert {"stream|h264|320|240", "stream|aac|48000"} <= set(out.split())
    assert any(request.method == "DESCRIBE" for request in running.requests)


async def test_ffmpeg_decodes_every_frame(running):
    need("ffmpeg")
    status, out, errors = await run(
        *("ffmpeg", "-v", "warning", "-rtsp_transport", "tcp", "-i", running.url),
        *("-map", "0:v", "-map", "0:a", "-t", "2", "-f", "framecrc", "-"),
    )
    assert status == 0, errors
    lines = [line.split(",") for line in out.splitlines() if not line.startswith("#")]
    assert sum(line[0].strip() == "0" for line in lines) >= 45
    assert sum(line[0].strip() == "1" for line in lines) >= 80
    for complaint in ("missed", "corrupt", "error", "non-existing", "Invalid"):
        assert complaint not in errors


async def gstreamer(*pipeline, file):
    """How many bytes a GStreamer pipeline has put out, and its complaints."""
    need("gst-launch-1.0")
    status, _, errors = await run("gst-launch-1.0", "-q", *pipeline, "!", "filesink", f"location={file}")
    assert status == 0 or cancelled_itself(errors), errors
    return file.stat().st_size if file.exists() else 0, errors


async def test_gstreamer_plays_what_it_asked_for_by_udp(running, tmp_path):
    played, errors = await gstreamer(
        *("rtspsrc", f"location={running.url}", "latency=0", "!", "application/x-rtp,media=video", "!"),
        *("rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "video/x-raw,format=I420", "!"),
        *("identity", "eos-after=42"),
        file=tmp_path / "pictures",
    )
    assert played >= 40 * 320 * 240 * 3 // 2, errors


async def test_gstreamer_plays_the_sound(running, tmp_path):
    played, errors = await gstreamer(
        *("rtspsrc", f"location={running.url}", "protocols=tcp", "!", "application/x-rtp,media=audio", "!"),
        *("rtpmp4gdepay", "!", "aacparse", "!", "avdec_aac", "!", "identity", "eos-after=42"),
        file=tmp_path / "sound",
    )
    samples_in_a_frame, least_bytes_in_a_sample = 1024, 2
    assert played >= 40 * samples_in_a_frame * least_bytes_in_a_sample, errors


class Locked:
    """Lets in who knows the digest of ada's password; as strict as a DVRServer."""

    def __init__(self, camera):
        self._camera = camera
        self.live, self.footage = camera.live, camera.footage
        self.algorithms = set()

    async def authorise(self, request):
        authority = digest.DigestAuthority("vigil", b"secret")
        if given := request.headers.get("Authorization"):
            read = Authorization.parse(given)
            verdict = authority.verify(
                read,
                request.method,
                request.uri,
                time.time(),
                lambda _user, name: digest.ha1("ada", "vigil", "right", name),
            )
            if verdict.ok:
                self.algorithms.add(read.algorithm)
                return read.username
        raise UnauthorisedError("who are you?", authority.challenges(time.time()))

    async def describe(self, path, query, who):
        return self.live.formats

    def open(self, path, query, who):
        return self.live


@contextlib.asynccontextmanager
async def locked(make_camera, serving):
    """A camera of ours behind a digest."""
    camera = make_camera()
    async with serving(Locked(camera)) as served:
        task = asyncio.create_task(camera.run())
        try:
            yield served
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_ffprobe_passes_the_digest(make_camera, serving):
    need("ffprobe")
    async with locked(make_camera, serving) as served:
        address = served.url.replace("rtsp://", "rtsp://ada:right@")
        status, _, errors = await run("ffprobe", "-v", "error", "-rtsp_transport", "tcp", address)
    assert status == 0, errors
    assert served.algorithms


async def test_gstreamer_passes_the_digest(make_camera, serving, tmp_path):
    async with locked(make_camera, serving) as served:
        played, errors = await gstreamer(
            *("rtspsrc", f"location={served.url}", "user-id=ada", "user-pw=right", "!"),
            *("application/x-rtp,media=video", "!", "rtph264depay", "!", "identity", "eos-after=20"),
            file=tmp_path / "video",
        )
    assert played > 0, errors
    assert served.algorithms


@contextlib.asynccontextmanager
async def gst_camera(*credentials):
    """A camera made of gst-rtsp-server; gives its address."""
    need(SYSTEM_PYTHON)
    process = await asyncio.create_subprocess_exec(
        SYSTEM_PYTHON, str(GST_CAMERA), *credentials, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        if not line:
            _, errors = await process.communicate()
            if os.environ.get("CI") == "true":
                pytest.fail(errors.decode())
            pytest.skip("gst-rtsp-server is not installed")
        yield f"rtsp://127.0.0.1:{int(line)}/camera"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("credentials", [(), ("ada", "right")], ids=["open", "digest"])
async def test_our_client_plays_a_gstreamer_camera(collector, eventually, credentials):
    async with gst_camera(*credentials) as url:
        username, password = credentials or ("", "")
        task = asyncio.create_task(play(url, collector, username=username, password=password))
        # The first sender report comes within five seconds.
        await eventually(
            lambda: task.done() or any(unit.track == 0 and unit.camera_time_us for unit in collector.units),
            timeout_s=30,
        )
        assert not task.done(), task.exception()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RtspClientError):
            await task
    (formats,) = collector.formats
    assert isinstance(formats[0], H264Format)
    assert (formats[0].width, formats[0].height) == (320, 240)
    pictures = [unit for unit in collector.units if unit.track == 0]
    assert pictures[0].key
    assert {pictures[index].key for index in range(len(pictures)) if index % 10} == {False}
    assert len(pictures) > 10
    assert abs(pictures[-1].camera_time_us - pictures[-1].received_us) < 1_000_000
    if len(formats) > 1:
        assert isinstance(formats[1], AACFormat)
        assert any(unit.track == 1 for unit in collector.units)


async def test_a_gstreamer_camera_refuses_the_wrong_password(collector):
    async with gst_camera("ada", "right") as url:
        with pytest.raises(RtspUnauthorisedError):
            await play(url, collector, username="ada", password="wrong")
