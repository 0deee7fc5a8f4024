"""How long a start takes: `vigil up` to the first live picture on 5011, and `make demo` from a clean clone."""

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rows import at_most, median, write
from clients.sdk.client import Client
from servers.net.rtsp_client import RtspClientError, play
from servers.wire.media import AccessUnit, Format
from vigil.free_ports import free_ports
from vigil.smoke import started_site

RUNS = 3
FIRST_FRAME_LIMIT_S, DEMO_LIMIT_S = 5, 180


async def first_picture(url: str, user: str, secret: str) -> None:
    """Return when the stream has shown a key frame; ask again until it does."""
    seen = asyncio.Event()

    class Watch:
        def described(self, formats: tuple[Format, ...]) -> None:
            self.formats = formats

        def received(self, units: list[AccessUnit]) -> None:
            if any(unit.key and self.formats[unit.track].media == "video" for unit in units):
                seen.set()

    while not seen.is_set():
        playing = asyncio.create_task(play(url, Watch(), username=user, password=secret))
        waiting = asyncio.create_task(seen.wait())
        await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, waiting):
            task.cancel()
        failed = (await asyncio.gather(playing, return_exceptions=True))[0]
        if not seen.is_set() and not isinstance(failed, RtspClientError):
            raise RuntimeError(f"the stream ended without a picture: {failed!r}")
        if not seen.is_set():
            await asyncio.sleep(0.02)


def first_frame_s() -> float:
    """Seconds from the start of `vigil up`, cameras configured and recorded before, to the first live picture."""
    runs = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        site = started_site(stack, folder, "memory", cameras=4)
        with Client(site.target.api_url) as client:
            client.sign_in(site.target.user, site.target.password)
            secret = client.stream_secret()
            stream = next(server for server in client.me().servers if server.id == "node-1").stream_url
        url = f"{stream}/camera/camera-1/main"
        asyncio.run(first_picture(url, secret.user, secret.secret))
        for _ in range(RUNS):
            site.children.stop("up")
            began = time.monotonic()
            site.children.start("up", ["-m", "vigil", "up"])
            asyncio.run(first_picture(url, secret.user, secret.secret))
            runs.append(time.monotonic() - began)
            print(f"first picture after {runs[-1]:.2f} s")
    return median(runs)


def demo_s() -> float:
    """Seconds from `make demo` in a clean clone with an empty home directory to the printed addresses."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder:
        home, clone = Path(folder) / "home", Path(folder) / "clone"
        home.mkdir()
        subprocess.run(["git", "clone", "-q", ".", str(clone)], check=True)
        environment = {**os.environ, **free_ports(), "HOME": str(home), "VIGIL_SMSERVER_URL": ""}
        environment["VIGIL_SMSERVER_URL"] = f"http://127.0.0.1:{environment['VIGIL_SMSERVER__PORT']}"
        began = time.monotonic()
        demo = subprocess.Popen(
            ["make", "demo"], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert demo.stdout is not None
        try:
            for line in demo.stdout:
                print(f"  {line}", end="")
                if "Make motion" in line:
                    return time.monotonic() - began
            raise RuntimeError(f"make demo ended with status {demo.wait()}")
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(30)


def main() -> None:
    write(
        "start",
        [
            at_most("start.first_frame_s", first_frame_s(), "s", FIRST_FRAME_LIMIT_S),
            at_most("start.demo_s", demo_s(), "s", DEMO_LIMIT_S),
        ],
    )


if __name__ == "__main__":
    main()
