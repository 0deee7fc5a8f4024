"""A site's updates without SMServer: a publisher with its keys, a mirror over HTTP that can be told to misbehave, and
applications that are a few lines of Python."""

import json
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.model.client_configuration import PAYLOAD_TYPE
from broker.trust.envelopes import public_text, sign_envelope
from clients.release.applications import from_folder
from clients.release.build import build
from clients.release.keys import ROLES, make_key
from clients.release.repository import Repository
from clients.vau.addresses import parse
from clients.vau.install import Pulse
from clients.vau.update import Vau, Wish

WORKS = """
import json, os, pathlib, sys
launch = json.load(open(os.environ["VIGIL_VAU__LAUNCH"]))
with open(os.environ["VIGIL_TEST_REPORT"], "a") as report:
    print(launch["version"], file=report)
pathlib.Path(launch["healthy"]).touch()
"""
FAILS = """
import os, sys
with open(os.environ["VIGIL_TEST_REPORT"], "a") as report:
    print("broken", file=report)
sys.exit(3)
"""
HANGS = """
import os, time
with open(os.environ["VIGIL_TEST_REPORT"], "a") as report:
    print("hangs", file=report)
time.sleep(600)
"""
RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")


class Publisher:
    """Who makes and signs releases."""

    def __init__(self, folder: Path, application: str = "demo") -> None:
        self.folder = folder
        self.application = application
        self.roots = [make_key(folder / f"keys/root-{n}.pem", "") for n in (1, 2, 3)]
        self.keys = {role: make_key(folder / f"keys/{role}.pem", "") for role in ROLES}
        self.repository = Repository(folder / "repository")
        self.repository.create(self.roots, self.keys, 365)

    @property
    def root(self) -> bytes:
        return (self.repository.metadata / "1.root.json").read_bytes()

    @property
    def signers(self):
        return {key.public_key.keyid: key for key in (*self.keys.values(), *self.roots)}

    def release(self, version: str, main: str = WORKS, files: dict[str, bytes] | None = None, *, sign=True, **more):
        """Build and sign a version."""
        tree = self.folder / f"tree-{self.application}-{version}"
        for name, content in {f"lib/{self.application}.py": main.encode(), **(files or {})}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        release = build(
            self.repository,
            from_folder(tree),
            application=self.application,
            version=version,
            module=self.application,
            **more,
        )
        if sign:
            self.sign()
        return release

    def sign(self, **more):
        return self.repository.sign(self.signers, **more)


class CutOff(NamedTuple):
    """An answer that ends after so many bytes, though more were announced."""

    body: bytes
    after: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server.site
        site.requests.append(self.path)
        answer = site.meddle(self.path, site.body(self.path))
        if answer is None or isinstance(answer, int):
            self.send_response(answer or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif isinstance(answer, bytes):
            self._give(answer, len(answer))
        elif isinstance(answer, CutOff):
            self._give(answer.body, answer.after)
            self.close_connection = True
        else:
            self._stream(answer)

    def _give(self, body, most):
        found = RANGE.fullmatch(self.headers.get("Range", ""))
        if found:
            first, last = int(found[1]), min(int(found[2]), len(body) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            body = body[first : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._write(body[:most])

    def _stream(self, chunks):
        found = RANGE.fullmatch(self.headers.get("Range", ""))
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {found[1]}-{found[2]}/*")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            for chunk in chunks:
                self._write(chunk)

    def _write(self, data):
        self.wfile.write(data)
        self.server.site.sent += len(data)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that hangs up is no error here."""


class SiteMirror:
    """Serves a repository as SMServer does. `meddle(path, body)` may answer something else: bytes, a status, or
    an iterator of chunks that need not end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meddle = lambda _path, body: body
        self.requests: list[str] = []
        self.sent = 0
        self.configuration: dict = {}
        self.revision = 1
        self.key = Ed25519PrivateKey.generate()
        self.issue = self._issue
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def body(self, path: str) -> bytes | None:
        if path.startswith("/updates/configuration?nonce="):
            return json.dumps(self.issue(path.rpartition("=")[2])).encode()
        file = self.folder / path.removeprefix("/updates/")
        return file.read_bytes() if file.is_file() else None

    def _issue(self, nonce: str, **more) -> dict:
        issued = {
            "revision": self.revision,
            "issued_at": "2026-11-24T12:00:00Z",
            "nonce": nonce,
            "keys": [public_text(self.key)],
            "configuration": self.configuration,
            **more,
        }
        return sign_envelope(json.dumps(issued).encode(), PAYLOAD_TYPE, self.key)

    def asked_for(self, kind: str) -> list[str]:
        return [path for path in self.requests if f"/updates/{kind}" in path]

    def forget(self) -> None:
        self.requests.clear()
        self.sent = 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Computer:
    """Somebody's computer with VAU on it."""

    def __init__(self, folder: Path, publisher: Publisher, port: int) -> None:
        self.folder = folder
        self.publisher = publisher
        self.port = port
        self.told: list[str] = []
        self.report = folder / "report"
        self.processes = []

    def vau(self, **more) -> Vau:
        wish = {
            "addresses": (parse(f"127.0.0.1:{self.port}"),),
            "application": self.publisher.application,
            "root": self.publisher.root,
            "folder": self.folder / "vau",
            "restart": ("vau",),
            "health_s": 20.0,
            **more,
        }
        return Vau(Wish(**wish), self.told.append, lambda _title: Pulse())

    def start(self, **more) -> Vau:
        """Start the application; its report is in `ran`."""
        vau = self.vau(**more)
        started = vau.run()
        self.processes.append(started.process)
        started.process.wait(20)
        return vau

    def update(self, **more):
        """Everything but the start itself: what would be started."""
        vau = self.vau(**more)
        with vau.place.locked():
            return vau._prepare()

    @property
    def ran(self) -> list[str]:
        return self.report.read_text().split() if self.report.exists() else []
