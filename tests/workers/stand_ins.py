"""What the engine talks to, in small: SMServer's configuration routes, a node that takes orders, a webhook receiver."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from broker.codec import envelope
from broker.model import messages as m
from broker.model.messages import TriggerActivated, TriggerEnded
from broker.model.resources import Alarm, Camera, MotionTrigger, Server, ServerRole
from broker.replica import Snapshot
from broker.transport import Envelope


class Receiver:
    """A real HTTP server that remembers requests; `answer` decides what it says to each."""

    def __init__(self, answer: Callable[[dict], int] = lambda _request: 200) -> None:
        self.requests: list[dict] = []
        self.answer = answer
        self.bodies: dict[str, dict] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = {
                    "method": self.command,
                    "path": self.path,
                    "headers": dict(self.headers.items()),
                    "body": self.rfile.read(length).decode(),
                    "at": time.monotonic(),
                    "wall": time.time(),
                }
                outer.requests.append(request)
                status = outer.answer(request)
                body = json.dumps(outer.bodies.get(self.path, {})).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = _take  # noqa: N815 - http.server's names

            def log_message(self, *_args) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, *_args) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def keys(self) -> list[str]:
        """The idempotency keys in the order in which they came."""
        return [request["headers"].get("Idempotency-Key", "") for request in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiver(answer: Callable[[dict], int] = lambda _request: 200):
    one = Receiver(answer)
    try:
        yield one
    finally:
        one.close()


def site(*alarms: Alarm, node_url: str, cameras: tuple[str, ...] = ("cam-1", "cam-2")) -> Snapshot:
    """A snapshot with one node, some cameras and these alarms."""
    node = Server(id="node-1", name="Node", role=ServerRole.DVRSERVER, control_url=node_url)
    changes: list[m.ConfigurationChange] = [m.ServerConfigured(revision=7, server=node)]
    changes += [
        m.CameraConfigured(
            revision=7,
            camera=Camera(id=id_, name=id_, node_id="node-1", main_url="rtsp://127.0.0.1:1/main"),
        )
        for id_ in cameras
    ]
    changes += [m.AlarmConfigured(revision=7, alarm=alarm) for alarm in alarms]
    return Snapshot.of(7, changes)


class SMServerStandIn(Receiver):
    """Answers enrolment, service tokens and the snapshot; nodes and webhooks may be the same receiver."""

    def __init__(self, *alarms: Alarm) -> None:
        super().__init__()
        engine = Server(id="engine-1", name="Engine", role=ServerRole.ENGINE)
        self.bodies["/api/v1/enrolments"] = {"server": engine.model_dump(mode="json"), "jwks": {"keys": []}}
        self.bodies["/api/v1/service-tokens"] = {"access_token": "token-1", "expires_in": 300}
        self.configure(*alarms)

    def configure(self, *alarms: Alarm) -> None:
        self.bodies["/api/v1/config/snapshot"] = site(*alarms, node_url=self.url).model_dump(mode="json")

    def to(self, prefix: str) -> list[dict]:
        """The requests to a path."""
        return [request for request in self.requests if request["path"].startswith(prefix)]


class Events:
    """Makes trigger events of a node with rising sequence numbers."""

    def __init__(self) -> None:
        self._sequence = count(1)

    def _make(self, cls, source: str, at: datetime | None, boot: int, sequence: int | None) -> Envelope:
        number = next(self._sequence) if sequence is None else sequence
        fact = cls(
            trigger="motion",
            source_id=source,
            node_id="node-1",
            boot=boot,
            sequence=number,
            occurred_at=at or datetime.now(UTC),
        )
        return envelope(
            fact, source="dvrserver/node-1", id=f"node-1.{boot}.{number}", trace_id=f"{boot * 1000 + number:032x}"
        )

    def activated(self, source: str = "cam-1", at=None, boot: int = 1, sequence=None) -> Envelope:
        return self._make(TriggerActivated, source, at, boot, sequence)

    def ended(self, source: str = "cam-1", at=None, boot: int = 1, sequence=None) -> Envelope:
        return self._make(TriggerEnded, source, at, boot, sequence)


def alarm(id_: str = "alarm-1", camera: str = "cam-1", **values: object) -> Alarm:
    return Alarm.model_validate(
        {"id": id_, "name": f"Motion on {camera}", "trigger": MotionTrigger(camera_id=camera), **values}
    )


def until(condition: Callable[[], object], timeout_s: float = 40.0, every_s: float = 0.02) -> object:
    """Wait for something to become true; its value, or a failure after the time."""
    ends = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(every_s)
    return value
