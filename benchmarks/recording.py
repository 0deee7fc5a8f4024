"""What recording costs beside ffmpeg: eight simulated cameras, 1080p25 H.264 at 4 Mbit/s with AAC, copied to disk.

Ours records with index and sync on, motion detection off, no TLS. The peer is, per camera,

    ffmpeg -rtsp_transport tcp -i rtsp://... -c copy -f segment -segment_time 60 -segment_format mp4 out-%03d.mp4

Both alternate three times; medians count. The pictures on both sides' disks are counted: a run that misses some fails.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import av

from benchmarks.process_tree import cpu_percent
from benchmarks.rows import Row, at_most, machine, median, shown, write
from broker.model.resources import Camera, MotionDetection
from clients.sdk.aio import AsyncClient
from vigil.children import Children, wait_for_health
from vigil.free_ports import free_ports
from vigil.seed import wait_for_node
from vigil.smoke import first_password

CAMERAS, RUNS, WARM_UP_S, MEASURE_S, FPS = 8, 3, 10, 60, 25
LEAST = 0.97 * CAMERAS * FPS * MEASURE_S
GOAL_RATIO = 0.6


def pictures(folder: Path) -> int:
    """Video packets in all MP4 files below a folder; a file still being written counts as far as it goes."""
    total = 0
    for path in folder.rglob("*.mp4"):
        try:
            with av.open(path) as file:
                total += sum(1 for packet in file.demux(video=0) if packet.size)
        except (av.FFmpegError, IndexError):
            continue
    return total


def ours(folder: Path, environment: dict[str, str]) -> tuple[float, int]:
    with Children(folder / "logs", {**environment, "VIGIL_DATA_DIR": str(folder)}) as children:
        assert children.start("migrate", ["-m", "vigil", "migrate"]).wait(60) == 0
        password = first_password(children, "smserver", children.start("smserver", ["-m", "vigil", "smserver"]))
        health_url = f"http://127.0.0.1:{environment['VIGIL_DVRSERVER__OPERATIONS_PORT']}"
        # Cameras can be given only to a node that has joined; without a bus it learns of them at its next start.
        wait_for_health(health_url, children.start("dvrserver", ["-m", "vigil", "dvrserver"]))
        asyncio.run(add_cameras(environment["VIGIL_SMSERVER_URL"], password, environment["VIGIL_SIMULATOR__RTSP_PORT"]))
        children.stop("dvrserver")
        node = children.start("dvrserver", ["-m", "vigil", "dvrserver"])
        wait_for_health(health_url, node)
        percent = cpu_percent([node.pid], warm_up_s=WARM_UP_S, measure_s=MEASURE_S)
    return percent, pictures(folder / "dvrserver")


async def add_cameras(url: str, password: str, rtsp_port: str) -> None:
    async with AsyncClient(url) as client:
        await client.sign_in("admin", password)
        await wait_for_node(client, "node-1")
        for number in range(1, CAMERAS + 1):
            await client.cameras.add(
                Camera(
                    id=f"camera-{number}",
                    name=f"Camera {number}",
                    node_id="node-1",
                    main_url=f"rtsp://127.0.0.1:{rtsp_port}/camera/{number}/main",
                    motion=MotionDetection(enabled=False),
                )
            )


def peer(folder: Path, environment: dict[str, str]) -> tuple[float, int]:
    folder.mkdir()
    running = [
        subprocess.Popen(
            [
                *("ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp"),
                *("-i", f"rtsp://127.0.0.1:{environment['VIGIL_SIMULATOR__RTSP_PORT']}/camera/{number}/main"),
                *("-c", "copy", "-f", "segment", "-segment_time", "60", "-segment_format", "mp4"),
                str(folder / f"{number}-%03d.mp4"),
            ]
        )
        for number in range(1, CAMERAS + 1)
    ]
    try:
        percent = cpu_percent([child.pid for child in running], warm_up_s=WARM_UP_S, measure_s=MEASURE_S)
    finally:
        for child in running:
            child.send_signal(signal.SIGINT)
        for child in running:
            child.wait(20)
    return percent, pictures(folder)


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        environment = {
            **free_ports(),
            "VIGIL_EGRESS__ALLOW": "127.0.0.0/8",
            "VIGIL_SIMULATOR__CLIPS_DIR": str(Path("var/clips").absolute()),
        }
        environment["VIGIL_SMSERVER_URL"] = f"http://127.0.0.1:{environment['VIGIL_SMSERVER__PORT']}"
        cameras = stack.enter_context(Children(folder / "logs", {**environment, "VIGIL_DATA_DIR": str(folder)}))
        simulator = cameras.start("simulator", ["-m", "vigil", "simulator", "--cameras", str(CAMERAS)])
        wait_for_health(f"http://127.0.0.1:{environment['VIGIL_SIMULATOR__CONTROL_PORT']}", simulator, timeout_s=180)
        measured: dict[str, list[tuple[float, int]]] = {"ours": [], "peer": []}
        for run in range(RUNS):
            measured["peer"].append(peer(folder / f"peer-{run}", environment))
            measured["ours"].append(ours(folder / f"ours-{run}", environment))
            print(f"run {run + 1}: ffmpeg {measured['peer'][-1]}, ours {measured['ours'][-1]} (percent, pictures)")
            time.sleep(1)
    for name, runs in measured.items():
        missing = [count for _, count in runs if count < LEAST]
        if missing:
            sys.exit(f"{name}: {missing} pictures on disk, at least {LEAST:.0f} were sent; the figure does not count")
    cost = median(percent for percent, _ in measured["ours"])
    theirs = median(percent for percent, _ in measured["peer"])
    ratio = cost / theirs
    row = at_most("recording.cpu_ratio.8", ratio, "x ffmpeg", GOAL_RATIO)
    row = Row(
        *row[:3],
        peer="ffmpeg -c copy, % of core",
        peer_value=round(theirs, 2),
        ratio=round(ratio, 3),
        goal=row.goal,
        ok=row.ok,
        machine=machine(),
    )
    write("recording", [row, shown("recording.cpu_percent.8", cost, "% of core")])


if __name__ == "__main__":
    main()
