"""The simulator, played by our own client, by ffprobe, and driven over HTTP."""

import asyncio
import json
import os
import signal
import sys
import time
from itertools import pairwise

import av
import httpx
import pytest

from broker.trust.tls import client_context
from clients.simulator import stamp
from clients.simulator.playback import Timer
from clients.simulator.server import Simulator
from servers.net.errors import PortTakenError
from servers.net.rtsp_client import play
from servers.wire.h264 import split
from servers.wire.rtsp.errors import RtspClientError

SMALL = {"rtsp_port": 0, "control_port": 0, "width": 320, "height": 192, "sub_width": 176, "sub_height": 144}


class Recorder:
    """Keeps what a camera sends."""

    def __init__(self):
        self.formats = ()
        self.units = []

    def described(self, formats):
        self.formats = formats

    def received(self, units):
        self.units += units

    def video(self):
        return [unit for unit in self.units if self.formats[unit.track].media == "video"]

    def audio(self):
        return [unit for unit in self.units if self.formats[unit.track].media == "audio"]


async def watch(url, until, *, within_s=15.0, **how):
    """Play until `until(recorder)`; the client's error when it ends before."""
    recorder = Recorder()
    task = asyncio.create_task(play(url, recorder, **how))
    try:
        async with asyncio.timeout(within_s):
            while not until(recorder):
                if task.done():
                    await task
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return recorder


async def until_watched(simulator):
    """Until somebody watches the first camera's main stream."""
    stream = simulator.cameras[0].channels["main"].stream
    async with asyncio.timeout(5):
        while not stream.viewers:  # noqa: ASYNC110 - the server has no such event
            await asyncio.sleep(0.01)


async def test_both_streams_of_every_camera_play(running):
    async with running() as simulator:
        assert len(simulator.cameras) == 2
        for number in (1, 2):
            main = await watch(f"{simulator.rtsp_url}/camera/{number}/main", lambda r: len(r.video()) > 30)
            assert [format_.codec for format_ in main.formats] == ["h264", "aac"]
            assert (main.formats[0].width, main.formats[0].height) == (320, 192)
            assert main.video()[0].key
            assert main.audio()
            sub = await watch(f"{simulator.rtsp_url}/camera/{number}/sub", lambda r: len(r.video()) > 3)
            assert [format_.codec for format_ in sub.formats] == ["h264"]


async def test_time_goes_on_evenly_over_the_seam_of_the_clips(running):
    async with running() as simulator:
        seen = await watch(f"{simulator.rtsp_url}/camera/1/main", lambda r: len(r.video()) > 25 * 3)
    times = [unit.timestamp for unit in seen.video()]
    assert {later - earlier for earlier, later in pairwise(times)} == {3600}
    sound = [unit.timestamp for unit in seen.audio()]
    assert {later - earlier for earlier, later in pairwise(sound)} == {1024}


async def test_pictures_come_at_their_rate(running):
    async with running() as simulator:
        seen = await watch(f"{simulator.rtsp_url}/camera/1/main", lambda r: len(r.video()) > 60)
    video = seen.video()[26:]  # what came in the first burst is older
    took_s = (video[-1].received_us - video[0].received_us) / 1e6
    assert took_s == pytest.approx((len(video) - 1) / 25, abs=0.2)


async def test_sound_and_picture_stay_together(running):
    async with running() as simulator:
        seen = await watch(
            f"{simulator.rtsp_url}/camera/1/main", lambda r: len(r.video()) > 60 and bool(r.units[-1].camera_time_us)
        )
    pictures = [unit.camera_time_us for unit in seen.video() if unit.camera_time_us]
    sounds = [unit.camera_time_us for unit in seen.audio() if unit.camera_time_us]
    assert abs(pictures[-1] - sounds[-1]) < 150_000
    assert abs(pictures[-1] - time.time() * 1e6) < 2_000_000


async def test_motion_begins_and_ends_at_key_frames(running):
    async with (
        running() as simulator,
        httpx.AsyncClient(verify=client_context(), trust_env=False, base_url=simulator.control_url) as control,
    ):
        watching = asyncio.create_task(
            watch(f"{simulator.rtsp_url}/camera/1/main", lambda r: len(r.video()) > 25 * 5, within_s=20)
        )
        await asyncio.sleep(0.5)
        answer = await control.post("/cameras/1/motion", params={"seconds": 1.5})
        assert answer.json()["motion_s"] == pytest.approx(1.5, abs=0.2)
        seen = await watching
        channel = simulator.cameras[0].channels["main"]
    quiet = {frame.data for frame in channel._views.quiet.frames}
    moving = [unit.data not in quiet for unit in seen.video()]
    turns = [n for n in range(1, len(moving)) if moving[n] != moving[n - 1]]
    assert len(turns) == 2
    assert all(seen.video()[turn].key for turn in turns)
    assert turns[1] - turns[0] in (25, 50)


async def test_seconds_are_taken_from_body_or_query_and_wrong_ones_are_explained(running):
    async with (
        running() as simulator,
        httpx.AsyncClient(verify=client_context(), trust_env=False, base_url=simulator.control_url) as control,
    ):
        assert (await control.post("/cameras/2/motion", json={"seconds": 3})).json()["motion_s"] == 3
        assert (await control.post("/cameras/2/motion")).json()["motion_s"] == 10
        for wrong in ({"seconds": -1}, {"second": 3}):
            answer = await control.post("/cameras/2/motion", json=wrong)
            assert answer.status_code == 422
            assert answer.json()["remedy"]
        for missing in ("0", "3", "x", "-1"):
            assert (await control.post(f"/cameras/{missing}/motion")).status_code == 404
        listed = (await control.get("/cameras")).json()["items"]
        assert [(camera["id"], camera["motion_s"] > 0) for camera in listed] == [("1", False), ("2", True)]
        assert (await control.get("/health")).json()["ok"]


async def test_a_camera_that_is_away_hangs_up_refuses_and_comes_back(running):
    async with (
        running() as simulator,
        httpx.AsyncClient(verify=client_context(), trust_env=False, base_url=simulator.control_url) as control,
    ):
        url = f"{simulator.rtsp_url}/camera/1/main"
        watching = asyncio.create_task(watch(url, lambda r: False))
        other = asyncio.create_task(watch(f"{simulator.rtsp_url}/camera/2/main", lambda r: len(r.video()) > 60))
        await until_watched(simulator)
        await control.post("/cameras/1/away", params={"seconds": 1.5})
        with pytest.raises(RtspClientError):
            await watching
        with pytest.raises(RtspClientError, match="503"):
            await watch(url, lambda r: bool(r.units))
        await asyncio.sleep(1.5)
        assert (await watch(url, lambda r: bool(r.units))).units
        assert (await other).units


async def test_a_silent_camera_keeps_its_connections_and_speaks_again(running):
    async with (
        running() as simulator,
        httpx.AsyncClient(verify=client_context(), trust_env=False, base_url=simulator.control_url) as control,
    ):
        url = f"{simulator.rtsp_url}/camera/1/main"
        watching = asyncio.create_task(watch(url, lambda r: len(r.video()) > 60))
        await until_watched(simulator)
        await control.post("/cameras/1/away", json={"seconds": 1.5, "silent": True})
        times = [unit.received_us for unit in (await watching).video()]
        assert max(b - a for a, b in pairwise(times)) > 1_000_000


async def test_the_size_changes_at_a_key_frame_without_a_new_connection(running):
    async with (
        running() as simulator,
        httpx.AsyncClient(verify=client_context(), trust_env=False, base_url=simulator.control_url) as control,
    ):
        url = f"{simulator.rtsp_url}/camera/1/main"
        watching = asyncio.create_task(watch(url, lambda r: any(u.format for u in r.units), within_s=30))
        answer = await control.post("/cameras/1/resolution", json={"width": 256, "height": 144}, timeout=30)
        assert answer.status_code == 200
        changed = [unit for unit in (await watching).video() if unit.format]
        assert (changed[0].key, changed[0].format.width, changed[0].format.height) == (True, 256, 144)
        again = await watch(url, lambda r: bool(r.units))
        assert (again.formats[0].width, again.formats[0].height) == (256, 144)


async def test_with_a_password_only_those_who_know_it_watch(running):
    async with running(username="viewer", password="secret") as simulator:
        url = f"{simulator.rtsp_url}/camera/1/sub"
        assert (await watch(url, lambda r: bool(r.units), username="viewer", password="secret")).units
        for who in ({}, {"username": "viewer", "password": "wrong"}, {"username": "x", "password": "secret"}):
            with pytest.raises(RtspClientError):
                await watch(url, lambda r: bool(r.units), **who)


@pytest.mark.parametrize("path", ["/camera/3/main", "/camera/0/main", "/camera/1/third", "/camera/1", "/", "/x/1/main"])
async def test_there_are_no_other_streams(running, path):
    async with running() as simulator:
        with pytest.raises(RtspClientError, match="404"):
            await watch(simulator.rtsp_url + path, lambda r: bool(r.units))


async def test_a_stamped_camera_says_its_number_and_the_time_in_the_picture(running):
    async with running(stamp=True, stamp_width=320, stamp_height=180) as simulator:
        for profile in ("main", "sub"):
            seen = await watch(f"{simulator.rtsp_url}/camera/2/{profile}", lambda r: len(r.video()) > 12)
            decoder = av.CodecContext.create("h264", "r")
            stamps = []
            for unit in seen.video():
                data = b"".join(b"\0\0\0\1" + bytes(part) for part in split(unit.data))
                stamps += [stamp.read(frame.to_ndarray()[: frame.height]) for frame in decoder.decode(av.Packet(data))]
            assert all(stamps)
            assert {each.camera for each in stamps} == {2}
            pictures = [each.picture for each in stamps]
            assert pictures == sorted(set(pictures))
            assert all(abs(each.time_us - time.time() * 1e6) < 10e6 for each in stamps)


async def test_a_taken_port_is_named_and_nothing_is_left_behind(running, settings_of):
    async with running() as simulator:
        taken = simulator._control.port
        second = Simulator(settings_of(control_port=taken))
        with pytest.raises(PortTakenError, match="VIGIL_SIMULATOR__CONTROL_PORT"):
            await second.start()
        await second.close()
        third = Simulator(settings_of(rtsp_port=simulator._rtsp.port))
        with pytest.raises(PortTakenError, match="VIGIL_SIMULATOR__RTSP_PORT"):
            await third.start()


async def test_after_the_machine_has_slept_pictures_are_left_out_and_it_goes_on_at_a_key_frame():
    class Channel:
        fps = 20
        stream = None

        def __init__(self):
            self.sent = []

        def send(self, number, due_us):
            self.sent.append(number)

    channel = Channel()
    timer = Timer([channel], [0.0])
    timer.start()
    await asyncio.sleep(0.3)
    before = channel.sent[-1]
    time.sleep(1.5)  # noqa: ASYNC251 - the loop is held up on purpose
    async with asyncio.timeout(5):
        while channel.sent[-1] == before:  # noqa: ASYNC110 - the timer has no such event
            await asyncio.sleep(0.01)
    timer.close()
    assert channel.sent[: before + 1] == list(range(before + 1))
    assert channel.sent[before + 1] == 40


@pytest.mark.peers
@pytest.mark.parametrize("transport", [[], ["-rtsp_transport", "tcp"]])
async def test_ffprobe_plays_it_told_to_use_tcp_or_not(running, transport):
    async with running() as simulator:
        process = await asyncio.create_subprocess_exec(
            *("ffprobe", "-v", "error", *transport, "-read_intervals", "%+2", "-count_packets"),
            *("-show_streams", "-of", "json", f"{simulator.rtsp_url}/camera/1/main"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors
    streams = json.loads(out)["streams"]
    assert [stream["codec_name"] for stream in streams] == ["h264", "aac"]
    assert streams[0]["width"] == 320
    assert int(streams[0]["nb_read_packets"]) >= 25


async def test_as_a_process_it_says_what_is_wrong_and_ends_cleanly(clips_dir, tmp_path):
    environment = {
        **os.environ,
        "VIGIL_DATA_DIR": str(tmp_path),
        **{f"VIGIL_SIMULATOR__{name.upper()}": str(value) for name, value in SMALL.items()},
        "VIGIL_SIMULATOR__CLIPS_DIR": str(clips_dir),
    }
    how = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    command = (sys.executable, "-m", "clients.simulator", "--cameras", "1")
    wrong = await asyncio.create_subprocess_exec(*command, env={**environment, "VIGIL_SIMULATOR__FPS": "0"}, **how)
    said, _ = await asyncio.wait_for(wrong.communicate(), 30)
    assert wrong.returncode == 2
    assert b"VIGIL_SIMULATOR__FPS" in said
    process = await asyncio.create_subprocess_exec(*command, env=environment, **how)
    async with asyncio.timeout(30):
        async for line in process.stdout:
            if b"simulated cameras answer" in line:
                break
    process.send_signal(signal.SIGTERM)
    said, _ = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, said
