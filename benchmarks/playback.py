"""How long a viewer waits for a moment in the archive: 8 cameras, 1 day and 30 days of index, 1080p25 at 4 Mbit/s.

The index is generated: each camera has one real segment of two minutes on disk, and every row of its index points to
it, so the pictures come from the page cache while the index is as large as 30 days make it. The node is a process of
its own; TLS is off. 200 random moments each, one session a camera; from sending PLAY to having the key frame as one
access unit.
"""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, at_most, percentile, shown, write
from clients.simulator.clips import ClipSpec, VideoClip, prepare
from servers.dvrserver.archive import Archive
from servers.dvrserver.archive.index import Index
from servers.dvrserver.archive.index import Row as Segment
from servers.dvrserver.clip import plan
from servers.net.rtsp_playback import Begun, open_playback
from servers.wire.media import AccessUnit, Format

CAMERAS, SEEKS, DAYS, SEGMENT_S = 8, 200, 30, 120
START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
SPEC = ClipSpec(width=1920, height=1080, fps=25, kbps=4000, loop_s=8, walkers=True)
TABLE = np.dtype(
    [("time", "<i8"), ("offset", "<u8"), ("size", "<u4"), ("duration", "<u4"), ("key", "u1"), ("pad", "V3")]
)
BATCH = 2000


class Stopwatch:
    """A sink that notes when the first picture of a PLAY is there."""

    def __init__(self) -> None:
        self.first: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def described(self, formats: tuple[Format, ...]) -> None:
        """Of no interest."""

    def begun(self, begun: Begun) -> None:
        """Of no interest."""

    def received(self, units: list[AccessUnit]) -> None:
        """The first of them is what is waited for."""
        if not self.first.done() and units[0].key:
            self.first.set_result(time.perf_counter())

    def finished(self) -> None:
        """Of no interest."""


def record(folder: Path, clip: VideoClip) -> None:
    """One segment for each camera."""
    begin = int(START.timestamp()) * SECOND_US
    for camera in range(CAMERAS):
        archive = Archive(folder / "archive", folder / "index.db", segment_s=SEGMENT_S + 1)
        archive.open()
        writer = archive.writer(f"camera-{camera}", "main", (clip.format,))
        for number in range(SEGMENT_S * clip.fps):
            frame = clip.frames[number % len(clip.frames)]
            at = begin + number * SECOND_US // clip.fps
            unit = AccessUnit(track=0, timestamp=number * 3600, key=frame.key, data=frame.data, received_us=at)
            writer.write([unit], [at])
            if number % 500 == 0:
                time.sleep(0.1)  # the disk may take it as it comes
        writer.close()
        archive.close()  # waits until all is on the disk
        assert not archive.dropped


def multiply(folder: Path, days: int) -> None:
    """The rows of so many days, all pointing to the one segment of their camera."""
    index = Index(folder / "index.db")
    for camera in range(CAMERAS):
        first = index.before(f"camera-{camera}", "main", 1 << 62)
        assert first is not None
        entries = np.frombuffer(first.table, dtype=TABLE)
        rows: list[Segment] = []
        for number in range(1, days * 86_400 // SEGMENT_S):
            shift = number * SEGMENT_S * SECOND_US
            moved = entries.copy()
            moved["time"] += shift
            start = first.start_us + shift
            rows.append(
                first._replace(
                    id=f"{first.id}-{number}",
                    start_us=start,
                    end_us=first.end_us + shift,
                    table=moved.tobytes(),
                    closed=True,
                )
            )
            if len(rows) == BATCH:
                index.store(rows)
                rows = []
        index.store(rows)
    index.close()


async def seek(port: int, days: int) -> list[float]:
    """Milliseconds from PLAY to the key frame."""
    found = []
    chosen = random.Random(1)
    watches = []
    for camera in range(CAMERAS):
        watch = Stopwatch()
        watches.append((watch, await open_playback(f"rtsp://127.0.0.1:{port}/camera/camera-{camera}/main", watch)))
    for number in range(SEEKS):
        watch, playback = watches[number % CAMERAS]
        watch.first = asyncio.get_running_loop().create_future()
        moment = START + timedelta(seconds=chosen.uniform(0, days * 86_400 - SEGMENT_S))
        asked = time.perf_counter()
        await playback.play(start=moment)
        found.append((await asyncio.wait_for(watch.first, 10) - asked) * 1000)
        await playback.pause()
    for _, playback in watches:
        await playback.close()
    return found


def measured(folder: Path, days: int) -> tuple[list[float], list[float]]:
    """First pictures and whole timelines, in milliseconds."""
    node = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.playback_node", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert node.stdout is not None
        line = next(line for line in node.stdout if line.strip().isdigit())
        first = asyncio.run(seek(int(line), days))
    finally:
        node.terminate()
        with suppress(subprocess.TimeoutExpired):
            node.wait(10)
    archive = Archive(folder / "archive", folder / "index.db")
    archive.open()
    begin, listed = int(START.timestamp()) * SECOND_US, []
    for number in range(50):
        asked = time.perf_counter()
        archive.timeline(f"camera-{number % CAMERAS}", begin, begin + days * 86_400 * SECOND_US)
        listed.append((time.perf_counter() - asked) * 1000)
    archive.close()
    return first, listed


def clips(folder: Path) -> float:
    """How many times as fast as real time an hour is laid out and read."""
    archive = Archive(folder / "archive", folder / "index.db")
    archive.open()
    begin = int(START.timestamp()) * SECOND_US
    asked = time.perf_counter()
    found = plan(archive, "camera-0", "main", begin, begin + 3600 * SECOND_US)
    assert found is not None
    for copy in found.copies:
        with copy.path.open("rb") as file:
            file.seek(copy.offset)
            left = copy.size
            while left > 0 and (piece := file.read(min(left, 256 * 1024))):
                left -= len(piece)
    speed = 3600 / (time.perf_counter() - asked)
    archive.close()
    return speed


def main() -> None:
    rows: list[Row] = []
    p95 = {}
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as name:
        folder = Path(name)
        (clip,) = prepare([SPEC], Path("var/bench-clips"))
        record(folder, clip)
        for days in (1, DAYS):
            multiply(folder, days)
            first, listed = measured(folder, days)
            p95[days] = percentile(first, 0.95)
            if days == 1:
                rows.append(shown("playback.first_frame_p95_ms.1d", p95[days], "ms"))
                continue
            rows.append(shown("playback.first_frame_p50_ms", percentile(first, 0.5), "ms"))
            rows.append(at_most("playback.first_frame_p95_ms", p95[days], "ms", 20))
            rows.append(at_most("playback.slope_30d_1d", p95[DAYS] / p95[1], "", 1.5))
            rows.append(at_most("playback.list_30d_p99_ms", percentile(listed, 0.99), "ms", 50))
        rows.append(shown("playback.clip_speed", clips(folder), "x real time"))
    write("playback", rows)


if __name__ == "__main__":
    main()
