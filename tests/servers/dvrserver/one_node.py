"""A small site as one node sees it, the node itself, and what a test needs to play with them. Also for tests/system."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

from broker.codec import decode, envelope
from broker.memory import Hub, MemoryBroker
from broker.model import messages as m
from broker.model.resources import Camera, Profile, Right, Server, ServerRole, User
from broker.process import Health, TLSSettings
from broker.replica import Replica, Snapshot
from broker.trust.identity import Identity
from broker.trust.sealing import seal, secret_context
from broker.trust.streams import seal_ha1
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerSettings
from servers.net.rtsp_client import play

STREAM_SECRET = "correct-horse-battery"
DEADLINE_S = 20.0
QUICK = {
    "control_port": 0,
    "stream_port": 0,
    "operations_port": 0,
    "camera_timeout_s": 1.0,
    "reconnect_min_s": 0.05,
    "reconnect_max_s": 0.2,
    "refused_retry_s": 0.2,
    "sync_s": 0.2,
    "state_s": 0.5,
    "decoder_processes": 1,
}


class Site:
    """What SMServer would have told the node `node-1`: cameras door and vault, users admin, guard and clerk."""

    def __init__(self, folder):
        self.data_dir = folder / "data"
        self.node_dir = self.data_dir / "dvrserver" / "node-1"
        self.node_dir.mkdir(parents=True)
        keys = SigningKeys(folder / "signing.json")
        self.secret = STREAM_SECRET
        self.issuer = TokenIssuer(keys)
        self.checker = TokenChecker(self.node_dir)
        self.checker.update(keys.jwks())
        self.identity = Identity.load_or_create(self.node_dir / "identity.json", "node-1", ServerRole.DVRSERVER)
        self.replica = Replica.open(self.node_dir / "replica.json")
        self.replica.reset(Snapshot.of(7, self._changes()))
        self.hub = Hub()

    def _changes(self):
        both = frozenset({Right.LIVE, Right.PLAYBACK})
        sealed = seal_ha1("guard", STREAM_SECRET, self.identity.public().sealing_key)
        yield m.ServerConfigured(revision=7, server=Server(id="engine-1", name="Engine", role=ServerRole.ENGINE))
        for id_ in ("door", "vault"):
            yield m.CameraConfigured(revision=7, camera=self.camera(id_, enabled=False))
        for profile in (
            Profile(id="all", name="All", rights=both, everything=True),
            Profile(id="door", name="Door", rights=both, camera_ids=frozenset({"door"})),
            Profile(id="deaf", name="No rights", camera_ids=frozenset({"door"})),
        ):
            yield m.ProfileConfigured(revision=7, profile=profile)
        yield m.UserConfigured(revision=7, user=User(id="admin", name="Admin", profile_id="all"))
        guard = User(id="guard", name="Guard", profile_id="door")
        yield m.UserConfigured(revision=7, user=guard, stream_ha1={"node-1": sealed})
        yield m.UserConfigured(revision=7, user=User(id="clerk", name="Clerk", profile_id="deaf"))

    def camera(self, id_, **fields):
        """A camera of this node."""
        given = {"name": id_.title(), "node_id": "node-1", "main_url": f"rtsp://192.0.2.1/{id_}/main", **fields}
        return Camera(id=id_, **given)

    @property
    def next_revision(self):
        return self.replica.revision + 1

    def seal(self, secret_ref, password):
        """A camera's password as SMServer sends it to the node."""
        key = self.identity.public().sealing_key
        return seal(password.encode(), key, context=secret_context(secret_ref))

    def before_start(self, make, **fields):
        """A change that the node finds on its disk: `before_start(m.CameraConfigured, camera=…)`."""
        assert self.replica.apply(make(revision=self.next_revision, **fields))

    async def announce(self, make, **fields):
        """A change that reaches a running node over the broker."""
        change = make(revision=self.next_revision, **fields)
        assert self.replica.apply(change, save=False)
        await self._publish(change)

    async def revoke(self, session_id, user_id="guard"):
        """The end of a sign-in, told over the broker."""
        await self._publish(m.SessionRevoked(session_id=session_id, user_id=user_id, at=datetime.now(UTC)))

    async def _publish(self, message):
        while not self._subscribed():  # noqa: ASYNC110 - the hub has no event for it
            await asyncio.sleep(0.01)
        broker = MemoryBroker(self.hub)
        # In memory a promise is kept when a reader has settled; here nobody waits for that.
        broker.publisher("test").publish(envelope(message, source="smserver")).add_done_callback(
            lambda promise: promise.cancelled() or promise.exception()
        )

    def _subscribed(self):
        return {"dvrserver.config.node-1.v1", "dvrserver.notices.node-1.v1"} <= self.hub._queues.keys()

    def said(self, kind):
        """What the node has reported so far, of one kind, oldest first."""
        found = [
            decode(item.encoded.headers, item.encoded.body).message for item in self.hub.items("smserver.state.v1")
        ]
        return [message for message in found if isinstance(message, kind)]

    def triggers(self):
        """Triggers that the node has published, in order."""
        queues = [queue for queue in self.hub._queues if queue.startswith("engine.triggers.")]
        items = [item for queue in queues for item in self.hub.items(queue)]
        found = [decode(item.encoded.headers, item.encoded.body) for item in items]
        return sorted(found, key=lambda envelope: (envelope.message.boot, envelope.message.sequence))

    def token(self, user_id="admin", session_id="s1"):
        return self.issuer.access(user_id, session_id)


def settings_of(site, *, tls=None, **settings):
    """A node's settings; SMServer never answers at their address."""
    return DVRServerSettings(
        data_dir=site.data_dir,
        tls=tls or TLSSettings(),
        smserver_url="http://127.0.0.1:9",
        egress={"allow": "127.0.0.0/8"},
        dvrserver={**QUICK, **settings},
    )


@asynccontextmanager
async def run_node(site, **settings):
    """A DVRServer in this process, with the site's memory broker."""
    async with AsyncExitStack() as stack:
        health = Health("dvrserver")
        broker = MemoryBroker(site.hub, health=health)
        await broker.start()
        stack.push_async_callback(broker.close)
        node = DVRServer(settings_of(site, **settings), broker, health)
        stack.push_async_callback(node.close)
        await node.start()
        yield node


async def until(condition, deadline_s=DEADLINE_S):
    """Wait until it is true, or fail with what it said last."""
    end = time.monotonic() + deadline_s
    while not (last := condition()):
        assert time.monotonic() < end, f"still {last!r}"
        await asyncio.sleep(0.02)
    return last


class Watching:
    """A viewer: collects what comes."""

    def __init__(self):
        self.formats, self.units = (), []

    def described(self, formats):
        self.formats = formats

    def received(self, units):
        self.units += units


@asynccontextmanager
async def watching(node, path="/camera/door/main", user="guard", password=STREAM_SECRET, tls=None):
    """Watch for as long as the block lasts; `task` ends when the node ends the stream."""
    viewer = Watching()
    played = play(node.stream_url + path, viewer, username=user, password=password, tls=tls)
    viewer.task = asyncio.create_task(played)
    try:
        yield viewer
    finally:
        viewer.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await viewer.task


def state_of(node, camera_id="door"):
    """What the node says of a camera."""
    return next(state for state in node.state().cameras if state.camera_id == camera_id)


def running(node, camera_id="door"):
    """A condition for `until`: the camera gives pictures."""
    return lambda: state_of(node, camera_id).condition is m.CameraCondition.RUNNING
