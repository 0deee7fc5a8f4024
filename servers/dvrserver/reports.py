"""What the node says of itself: its state now and then, and health events as they happen.

Best effort by design: the truth about triggers is in the journal, these are news. The newest state replaces
an older one; health events wait in a short memory while the broker is away.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter

from broker.codec import envelope
from broker.model.health import HealthEvent
from broker.model.messages import CameraState, HealthEventReported, NodeStateReported
from broker.model.resources import ServerRole
from broker.process import logger
from broker.transport import Envelope, Publisher

log = logger(__name__)

REMEMBERED = 1000
"""Health events kept for a broker that is away; the oldest go first."""
WINDOW = 100
"""Health events that may wait for their confirms at the same time."""
GOODBYE_S = 0.3
"""How long a node that stops waits for its last words to be heard."""
GATHER_S = 0.1
"""Changes that come together are reported together."""


class Reports:
    """Publishes `NodeStateReported` and `HealthEventReported`."""

    def __init__(
        self,
        publisher: Publisher,
        node_id: str,
        *,
        boot: int,
        operations_url: str,
        revision: Callable[[], int],
        state_s: float,
    ) -> None:
        self._publisher = publisher
        self._node_id = node_id
        self._boot = boot
        self._operations_url = operations_url
        self._revision = revision
        self.cameras: Callable[[], tuple[CameraState, ...]] = tuple
        """Asked for the cameras' states; set by who captures them."""
        self._state_s = state_s
        self._events: deque[Envelope] = deque(maxlen=REMEMBERED)
        self._changed = asyncio.Event()
        self._open: set[asyncio.Future[None]] = set()
        self._state_promise: asyncio.Future[None] | None = None

    def health(self, event: HealthEvent, subject: str = "", detail: str = "") -> None:
        """Report a condition of the system itself."""
        log.info("health event", health_event=event.value, subject=subject, detail=detail)
        message = HealthEventReported(
            node_id=self._node_id, event=event, subject=subject, detail=detail[:500], at=datetime.now(UTC)
        )
        self._events.append(envelope(message, source=self._source))
        self.changed()

    def changed(self) -> None:
        """Report the state soon instead of at the next turn."""
        self._changed.set()

    def state(self) -> NodeStateReported:
        """The node as it is now."""
        return NodeStateReported(
            node_id=self._node_id,
            role=ServerRole.DVRSERVER,
            boot=self._boot,
            revision=self._revision(),
            at=datetime.now(UTC),
            operations_url=self._operations_url,
            cameras=self.cameras(),
        )

    async def run(self) -> None:
        """Report at start, on change and every so often, for ever."""
        while True:
            self._publish()
            try:
                async with asyncio.timeout(self._state_s):
                    await self._changed.wait()
                    await asyncio.sleep(GATHER_S)
            except TimeoutError:
                continue

    async def stopped(self) -> None:
        """Say goodbye, if somebody listens."""
        self.health(HealthEvent.PROCESS_STOPPED)
        self._publish()
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=GOODBYE_S)

    @property
    def _source(self) -> str:
        return f"dvrserver/{self._node_id}"

    def _publish(self) -> None:
        """Hand over what there is to say; nobody waits for the confirms."""
        self._changed.clear()
        if self._state_promise is None or self._state_promise.done():
            self._state_promise = self._publisher.publish(envelope(self.state(), source=self._source))
            self._state_promise.add_done_callback(_heard)
        while self._events and len(self._open) < WINDOW:
            event = self._events.popleft()
            promise = self._publisher.publish(event)
            self._open.add(promise)
            promise.add_done_callback(partial(self._settled, event))

    def _settled(self, event: Envelope, promise: "asyncio.Future[None]") -> None:
        self._open.discard(promise)
        if not _heard(promise):
            # Again at the next turn, in order of time; the oldest go when there are too many.
            self._events = deque(sorted((*self._events, event), key=attrgetter("time")), maxlen=REMEMBERED)


def _heard(promise: "asyncio.Future[None]") -> bool:
    """Whether the broker has taken it; looks at the error, which would be logged as never seen otherwise."""
    return not promise.cancelled() and promise.exception() is None
