"""What other people's programs make of recorded video, and how near a time in an address they come."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import av
import numpy as np
import pytest

from clients.simulator import stamp
from tests.servers.dvrserver import recorded
from tests.servers.dvrserver.one_node import STREAM_SECRET, Site, run_node
from tests.servers.dvrserver.recorded import FIRST_S, FPS, GAP_S, SECOND_S, SECOND_US, SMALL
from tests.system.programs import require, run

pytestmark = pytest.mark.peers

WIDTH, HEIGHT = SMALL
PICTURE = WIDTH * HEIGHT * 3 // 2


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
async def address(site):
    """`address(4.5, 8)`: the footage of the camera door from 4.5 to 8 seconds, `speed=4` as an option."""
    footage = recorded.write(site)
    origin = datetime.fromtimestamp(footage.start_us / 1e6, UTC)

    def clock(second):
        moment = origin + timedelta(seconds=second)
        return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z"

    async with run_node(site) as node:

        def address(first, last=None, *, speed=None):
            base = node.stream_url.replace("rtsp://", f"rtsp://guard:{STREAM_SECRET}@")
            path = clock(first) + (f"-{clock(last)}" if last is not None else "")
            return f"{base}/camera/door/main/{path}" + (f"?speed={speed}" if speed is not None else "")

        address.footage = footage
        yield address


def seconds_of(pictures, footage):
    """What raw I420 pictures say: seconds after the footage's beginning."""
    luma = np.frombuffer(pictures, dtype=np.uint8).reshape(-1, HEIGHT * 3 // 2, WIDTH)[:, :HEIGHT]
    said = [stamp.read(picture) for picture in luma]
    return [each and round((each.time_us - footage.start_us) / SECOND_US, 3) for each in said]


async def test_ffprobe_sees_picture_and_sound(address):
    require("ffprobe")
    said = await run(
        *("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-count_packets", "-show_streams", "-of", "json"),
        address(2, 4),
    )
    video, audio = json.loads(said)["streams"]
    assert (video["codec_name"], video["width"], video["nb_read_packets"]) == ("h264", WIDTH, "20")
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "16000")
    assert int(audio["nb_read_packets"]) == pytest.approx(31, abs=2)


async def decoded_by_ffmpeg(url, *options):
    return await run(
        *("ffmpeg", "-v", "error", "-xerror", "-rtsp_transport", "tcp", *options, "-i", url),
        *("-an", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"),
    )


async def test_ffmpeg_plays_from_a_time_in_the_address_to_the_end_of_the_range(address):
    require("ffmpeg")
    said = seconds_of(await decoded_by_ffmpeg(address(3.2, 5.2)), address.footage)
    # It begins where decoding can, and ends exactly.
    assert said == [round(3 + number / FPS, 3) for number in range(22)]


async def test_ffmpeg_plays_four_times_as_fast(address):
    require("ffmpeg")
    began = asyncio.get_running_loop().time()
    said = seconds_of(await decoded_by_ffmpeg(address(0, 8, speed=4)), address.footage)
    assert said == [round(number / FPS, 3) for number in range(80)]
    assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize("speed", [-1, -4])
async def test_ffmpeg_plays_backwards(address, speed):
    require("ffmpeg")
    said = seconds_of(await decoded_by_ffmpeg(address(9.5, 4.5, speed=speed)), address.footage)
    assert said == [9.0, 8.0, 7.0, 6.0, 5.0]


async def test_ffmpeg_passes_a_gap_and_follows_the_other_size(address):
    require("ffmpeg")
    content = await run(
        *("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", address(FIRST_S - 1, FIRST_S + GAP_S + 1)),
        *("-an", "-fps_mode", "passthrough", "-vf", f"scale={WIDTH}:{HEIGHT}", "-f", "rawvideo"),
        *("-pix_fmt", "yuv420p", "-"),
    )
    assert len(content) == 20 * PICTURE


async def test_pyav_seeks_in_a_range(address):
    def play():
        with av.open(address(0, FIRST_S), options={"rtsp_transport": "tcp"}) as opened:
            opened.seek(8_000_000)
            found = []
            for frame in opened.decode(video=0):
                found.append(stamp.read(frame.to_ndarray(format="gray")))
                if len(found) == 12:
                    return found
        return found

    said = await asyncio.wait_for(asyncio.to_thread(play), 30)
    times = [(each.time_us - address.footage.start_us) / SECOND_US for each in said if each]
    assert 7.0 <= times[0] <= 8.1
    assert times == sorted(times)


@pytest.mark.parametrize("options", [(), ("onvif-mode=true",), ("onvif-mode=true", "onvif-rate-control=false")])
async def test_gstreamers_rtspsrc_plays_recorded_video_plain_and_in_onvif_mode(address, tmp_path, options):
    require("gst-launch-1.0")
    out = tmp_path / "out.yuv"
    onvif = ("rtponvifparse", "!") if options else ()
    # Without the server's pace it goes on waiting when the server has said goodbye.
    stop = ("identity", "eos-after=26", "!") if "onvif-rate-control=false" in options else ()
    await run(
        *("gst-launch-1.0", "-q", "rtspsrc", f"location={address(2, 5)}", "protocols=tcp", *options),
        *("!", "application/x-rtp,media=video", "!", *onvif, "rtph264depay", "!", "h264parse", "!", "avdec_h264"),
        *("!", "video/x-raw,format=I420", "!", *stop, "filesink", f"location={out}"),
        cancelled=True,
    )
    said = seconds_of(out.read_bytes()[: 30 * PICTURE], address.footage)
    # In its ONVIF mode 1.22 lets go of the first access unit, whatever it is; the pictures after it lean on nothing.
    seen = [second for second in said if second is not None]
    assert seen == [round(seen[0] + number / FPS, 3) for number in range(len(seen))]
    assert len(seen) == 30 if not options else len(seen) >= 15


async def test_a_time_without_footage_is_said_in_the_answer(address):
    require("ffmpeg")
    url = address(FIRST_S + GAP_S + SECOND_S + 60)
    host, port = url.partition("@")[2].partition("/")[0].split(":")
    del host
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"DESCRIBE rtsp://127.0.0.1/camera/door/main/20260131T120000Z RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    assert b"401" in await reader.readline()
    writer.close()
    await run("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-f", "null", "-", status=(1, 8))
