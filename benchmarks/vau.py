"""What a start through VAU costs: seconds when nothing is new, and bytes when one percent of 200 MB has changed.

The application is of the shape that a desktop application in Python has: half of its bytes in a few long libraries,
the rest in 1,560 files of 2 kB to 2 MB; all of it random, so that nothing can be gained by compression. One percent
changes in two ways: as whole files that were replaced (1 % of the bytes, in files of all lengths but the longest),
and scattered over the long files (20 places of 100 kB, every second one an insertion that moves what follows). The
worse of the two is the figure. Bytes are counted by a relay between VAU and SMServer: answers on 5008 with their
headers, metadata and configuration included.

A start is timed from the outside, from the command to its end: interpreter, imports, lock, contact, metadata,
configuration, a look at each of the application's files, and its start. The application itself is not waited for.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server, socket

from benchmarks.rows import at_most, median, shown, write
from clients.release.applications import from_folder
from clients.release.build import build
from clients.release.keys import ROLES, make_key
from clients.release.publish import to_folder
from clients.release.repository import Repository
from vigil.free_ports import free_ports

RUNS = 15
TOTAL = 200_000_000
LONG, SHORT = 4, 1_500
MAIN = """
import json, os, pathlib
pathlib.Path(json.load(open(os.environ["VIGIL_VAU__LAUNCH"]))["healthy"]).touch()
"""


class Relay:
    """Passes connections on and counts the bytes of the answers."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._target = port
        self._lock = threading.Lock()
        self._listening = create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            server = create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket, target: socket, counted: bool) -> None:  # noqa: FBT001 - one of two directions
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if counted:
                    with self._lock:
                        self.bytes += len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(SHUT_RDWR)


class Site:
    """SMServer with a folder of updates, and a publisher."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        self.environment = {**os.environ, **free_ports(), "VIGIL_DATA_DIR": str(self.folder / "data")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        port = int(self.environment["VIGIL_SMSERVER__PORT"])
        subprocess.run([sys.executable, "-m", "vigil", "migrate"], env=self.environment, check=True)
        server = subprocess.Popen([sys.executable, "-m", "vigil", "smserver"], env=self.environment)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        self.relay = Relay(port)
        while True:
            with suppress(OSError):
                create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        self.repository = Repository(self.folder / "releases")
        roots = [make_key(self.folder / f"keys/root-{number}.pem", "") for number in (1, 2, 3)]
        self.keys = {role: make_key(self.folder / f"keys/{role}.pem", "") for role in ROLES}
        self.repository.create(roots, self.keys, 365)

    def publish(self, version: str, tree: Path) -> None:
        """Build, sign and show a version."""
        build(self.repository, from_folder(tree), application="bench", version=version, module="bench")
        self.repository.sign({key.public_key.keyid: key for key in self.keys.values()})
        to_folder(self.repository, self.folder / "data" / "updates")

    def vau(self, computer: str) -> float:
        """Start the application on a computer; the seconds it took."""
        command = [sys.executable, "-P", "-m", "vigil", "vau", "--app", "bench"]
        command += ["--server", f"127.0.0.1:{self.relay.port}", "--folder", str(self.folder / computer)]
        command += ["--root", str(self.repository.metadata / "1.root.json")]
        began = time.monotonic()
        subprocess.run(command, env=self.environment, check=True)
        spent = time.monotonic() - began
        time.sleep(0.3)  # the application itself ends meanwhile, and is no load on the next start
        return spent


def application(tree: Path) -> None:
    """200 MB of files."""
    source = random.Random(5008)
    lengths = [TOTAL // 2 // LONG] * LONG + [source.randint(2_000, 60_000) for _ in range(SHORT)]
    left = TOTAL - sum(lengths)
    while left > 0:
        lengths.append(min(left, source.randint(500_000, 2_000_000)))
        left -= lengths[-1]
    for number, length in enumerate(lengths):
        path = tree / "lib" / f"package{number % 40}" / f"file{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(length))
    (tree / "lib" / "bench.py").write_text(MAIN)


def replace_files(tree: Path) -> int:
    """Whole files with other content, until one percent has changed; the bytes that changed."""
    source, changed = random.Random(1), 0
    files = sorted(path for path in tree.rglob("*.bin") if path.stat().st_size < 2_000_000)
    source.shuffle(files)
    for path in files:
        length = path.stat().st_size
        if changed + length <= TOTAL // 100:
            path.write_bytes(source.randbytes(length))
            changed += length
    return changed


def scatter(tree: Path) -> int:
    """One percent of all bytes in 20 places of the long files; the bytes that changed."""
    source, places, piece = random.Random(2), 20, TOTAL // 100 // 20
    files = sorted(tree.rglob("*.bin"), key=lambda path: path.stat().st_size)[-LONG:]
    for number in range(places):
        path = files[number % LONG]
        data = path.read_bytes()
        at = source.randrange(len(data) - piece)
        after = at if number % 2 else at + piece
        path.write_bytes(data[:at] + source.randbytes(piece) + data[after:])
    return piece * places


def main() -> None:
    with ExitStack() as stack:
        site = Site(stack)
        tree = site.folder / "tree"
        application(tree)
        site.publish("1.0", tree)
        first = site.vau("computer")
        whole = site.relay.bytes
        starts = sorted(site.vau("computer") for _ in range(RUNS))
        print("starts with nothing new:", " ".join(f"{run:.2f}" for run in starts))
        before = site.relay.bytes
        site.vau("computer")
        nothing = site.relay.bytes - before
        shares = {}
        for version, name, change in (("1.1", "files", replace_files), ("1.2", "scattered", scatter)):
            changed = change(tree)
            site.publish(version, tree)
            before = site.relay.bytes
            site.vau("computer")
            came = site.relay.bytes - before
            shares[name] = came / TOTAL * 100
            print(f"{name}: {changed:,} of {TOTAL:,} bytes changed, {came:,} bytes came over 5008")
    write(
        "vau",
        [
            at_most("vau.start_s", median(starts), "s", 0.7),
            shown("vau.start_p90_s", starts[int(0.9 * len(starts))], "s"),
            at_most("vau.delta_percent", max(shares.values()), "%", 3),
            *(shown(f"vau.delta_{name}_percent", share, "%") for name, share in shares.items()),
            shown("vau.first_start_s", first, "s"),
            shown("vau.first_percent", whole / TOTAL * 100, "%"),
            shown("vau.nothing_new_kb", nothing / 1000, "kB"),
        ],
    )


if __name__ == "__main__":
    main()
