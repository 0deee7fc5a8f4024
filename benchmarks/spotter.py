"""Spotter: pictures that reach the screen in nine tiles, the longest pause of its GUI thread, and how soon it starts.

Nine simulated cameras of 640 x 360 at 25 pictures a second go through a site on the same machine (`vigil up`, motion
detection on) and are played from 5011 into nine tiles of that size, offscreen. Every picture that is painted counts
once, by its time. A timer of 5 ms in the GUI thread tells the longest pause. A start is from the process to the first
painted sign-in window.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QElapsedTimer, QEventLoop, Qt, QTimer

from benchmarks.rows import Row, at_most, machine, median, shown, write
from clients.desktop.application import Application
from clients.desktop.sites import Sites
from clients.desktop.video.frame import Frame
from clients.spotter.window import MainWindow
from vigil.smoke import started_site

TILES, WIDTH, HEIGHT, FPS = 9, 640, 360, 25
WARM_UP_S, MEASURE_S = 6, 30
LEAST_FPS, LONGEST_PAUSE_MS, START_S = 24, 80, 2
BEAT_MS = 5
STARTS = 5
FIRST_PAINT = """
import sys, time
from clients.desktop.sign_in import SignInWindow
from vigil.__main__ import main

def paint(window, event):
    sys.stdout.write("painted\\n")
    sys.stdout.flush()
    del SignInWindow.paintEvent

SignInWindow.paintEvent = paint
sys.argv = ["vigil", "spotter"]
main()
"""


def wait(seconds: float) -> None:
    """Serve the GUI for so long."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("Spotter did not come so far; no figure is taken")
        wait(0.05)


class Heart:
    """Beats in the GUI thread and remembers the longest pause."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._since = QElapsedTimer()
        self._since.start()
        self._timer = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        self.longest_ms = max(self.longest_ms, self._since.nsecsElapsed() / 1e6)
        self._since.restart()


def tiles(folder: Path, stack: ExitStack) -> tuple[list[float], float, float]:
    """Pictures a second of each tile, the longest pause in ms, and the CPU of Spotter in % of a core."""
    site = started_site(
        stack,
        folder,
        "memory",
        cameras=TILES,
        VIGIL_SIMULATOR__WIDTH=str(WIDTH),
        VIGIL_SIMULATOR__HEIGHT=str(HEIGHT),
        VIGIL_SIMULATOR__FPS=str(FPS),
        VIGIL_SIMULATOR__KBPS="1000",
    )
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    application = Application("Vigil Spotter", MainWindow, sites=Sites(folder / "sites.json"))
    stack.callback(application.close)
    application.start()
    application.sign_in.address.setCurrentText(site.target.api_url.removeprefix("http://"))
    application.sign_in.user.setText(site.target.user)
    application.sign_in.password.setText(site.target.password)
    application.sign_in.submit()
    until(lambda: application.window is not None)
    window = application.window
    assert isinstance(window, MainWindow)
    until(lambda: len(window.site.cameras) == TILES)
    page = window.page
    page.grid.fill = lambda cell, camera_id: window.pictures.show_live(cell, camera_id, "main")
    page.grid.set_cells(TILES)
    for _ in range(3):  # until docks and bars have settled
        wait(0.3)
        across, down = 3 * WIDTH + 4 - page.grid.width(), 3 * HEIGHT + 4 - page.grid.height()
        window.resize(window.width() + across, window.height() + down)
    wait(0.3)
    page.grid.set_cameras(tuple(sorted(window.site.cameras)))
    sizes = {(cell.width(), cell.height()) for cell in page.grid.cells}
    if sizes != {(WIDTH, HEIGHT)}:
        sys.exit(f"tiles are {sizes} instead of {WIDTH} x {HEIGHT}")
    painted: list[set[int]] = [set() for _ in range(TILES)]

    def count(seen: set[int], frame: Frame) -> None:
        if frame.source_size == (WIDTH, HEIGHT):
            seen.add(frame.time_us)

    for cell, seen in zip(page.grid.cells, painted, strict=True):
        cell.painted.connect(lambda frame, seen=seen: count(seen, frame))
    until(lambda: all(painted))
    wait(WARM_UP_S)
    for seen in painted:
        seen.clear()
    heart, began, cpu = Heart(), time.monotonic(), time.process_time()
    wait(MEASURE_S)
    took = time.monotonic() - began
    percent = 100 * (time.process_time() - cpu) / took
    return [len(seen) / took for seen in painted], heart.longest_ms, percent


def start_s(folder: Path) -> float:
    """Seconds from the process to the first paint of the sign-in window; the median of several warm starts."""
    runs = []
    for run in range(STARTS + 1):
        began = time.monotonic()
        spotter = subprocess.Popen(
            [sys.executable, "-c", FIRST_PAINT],
            env={**os.environ, "XDG_CONFIG_HOME": str(folder / "start"), "QT_QPA_PLATFORM": "offscreen"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert spotter.stdout is not None
        line = spotter.stdout.readline()
        took = time.monotonic() - began
        spotter.terminate()
        spotter.wait(20)
        if "painted" not in line:
            sys.exit(f"Spotter did not paint its sign-in window: {line!r}")
        if run:  # the first one warms the disk's cache
            runs.append(took)
    return median(runs)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="vigil-bench-"))
    start = start_s(folder)
    with ExitStack() as stack:
        rates, pause, percent = tiles(folder, stack)
    print("tiles:", " ".join(f"{rate:.1f}" for rate in rates))
    least = min(rates)
    rows = [
        Row(
            "spotter.tiles9_fps_min",
            round(least, 2),
            "fps",
            goal=f">= {LEAST_FPS}",
            ok=least >= LEAST_FPS,
            machine=machine(),
        ),
        at_most("spotter.gui_pause_max_ms", pause, "ms", LONGEST_PAUSE_MS),
        at_most("spotter.start_s", start, "s", START_S),
        shown("spotter.tiles9_cpu_percent", percent, "% of core"),
    ]
    QCoreApplication.processEvents()
    write("spotter", rows)


if __name__ == "__main__":
    main()
