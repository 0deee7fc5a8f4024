"""How a node learns what it has to do: it joins the site, then follows the configuration, for ever.

Nothing here holds up recording: cameras are captured from the copy on disk before SMServer has answered.
"""

import asyncio
from urllib.parse import urlsplit

from broker.model.resources import Camera
from broker.process import Health, logger
from broker.replica import Replica, Snapshot
from broker.topology import CONFIG, NOTICES, BoundQueue, Exchange, queues_of
from broker.transport import Broker
from broker.trust.egress import DEFAULT_PORTS
from broker.trust.enrolment import enrol, stay_in_touch
from broker.trust.errors import SealError
from broker.trust.http import API, ServiceSession, service_client
from broker.trust.identity import Identity
from broker.trust.sealing import secret_context
from broker.trust.tokens import TokenChecker
from servers.dvrserver.settings import DVRServerSettings

log = logger(__name__)


class Configuration:
    """Enrolment, the replica's feed, and SMServer's keys."""

    def __init__(
        self,
        settings: DVRServerSettings,
        *,
        identity: Identity,
        checker: TokenChecker,
        replica: Replica,
        broker: Broker,
        health: Health,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._checker = checker
        self._replica = replica
        self._broker = broker
        self._health = health
        self._enrolled = asyncio.Event()

    async def run(self, control_url: str, stream_url: str) -> None:
        """Join, then follow. The addresses are what clients dial."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._enrol(control_url, stream_url))
            group.create_task(self._stay_in_touch())
            group.create_task(self._follow())

    async def _enrol(self, control_url: str, stream_url: str) -> None:
        enrolled = await enrol(
            self._identity,
            self._settings.smserver_url,
            self._settings.join_secret_file,
            control_url=control_url,
            stream_url=stream_url,
            health=self._health,
            ca=self._settings.tls.ca,
        )
        await asyncio.to_thread(self._checker.update, enrolled.jwks)
        self._enrolled.set()

    async def _stay_in_touch(self) -> None:
        await stay_in_touch(self._checker, self._settings.smserver_url, health=self._health, ca=self._settings.tls.ca)

    async def _follow(self) -> None:
        queue = queue_from(CONFIG, self._settings)
        session = ServiceSession(self._identity, self._settings.smserver_url, ca=self._settings.tls.ca)
        async with service_client(self._settings.smserver_url, auth=session, ca=self._settings.tls.ca) as client:

            async def fetch() -> Snapshot:
                await self._enrolled.wait()
                answer = (await client.get(f"{API}/config/snapshot")).raise_for_status()
                return Snapshot.model_validate_json(answer.content, extra="ignore")

            subscriber = self._broker.subscriber(queue)
            try:
                await self._replica.follow(subscriber, fetch)
            finally:
                await subscriber.close()
                session.close()


def queue_from(exchange: Exchange, settings: DVRServerSettings) -> BoundQueue:
    """This node's own queue of what comes from an exchange."""
    queues = queues_of("dvrserver", node=settings.dvrserver.node_id, partitions=settings.broker.partitions)
    return next(queue for queue in queues if queue.row.exchange == exchange)


def notices_queue(settings: DVRServerSettings) -> BoundQueue:
    """Where ended sessions are announced to this node."""
    return queue_from(NOTICES, settings)


class MissingSecretError(Exception):
    """A camera's password is not here, or cannot be opened; the sentence says how to mend it."""


def password_of(camera: Camera, replica: Replica, identity: Identity) -> str:
    """The camera's password, opened with this node's key; empty when it needs none.

    Raises:
        MissingSecretError: there should be one.
    """
    if camera.secret_ref is None:
        return ""
    secret = replica.secrets.get(camera.secret_ref)
    if secret is None or secret.node_id != identity.id:
        raise MissingSecretError("the camera's password has not reached this node yet; if that lasts, enter it again")
    try:
        return identity.unseal(secret.sealed, context=secret_context(camera.secret_ref)).decode()
    except (SealError, UnicodeDecodeError) as error:
        raise MissingSecretError(
            "the camera's password was sealed to other keys than this node's; enter it again"
        ) from error


def server_addresses(replica: Replica) -> frozenset[tuple[str, int]]:
    """Hosts and ports of the site's own servers, which the egress policy lets through."""
    found = set()
    for server in replica.servers.values():
        for url in (server.control_url, server.stream_url):
            parts = urlsplit(url)
            if parts.hostname:
                found.add((parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme, 0)))
    return frozenset(found)
