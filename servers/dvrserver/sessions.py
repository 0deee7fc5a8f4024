"""Ended sessions: their tokens are refused from now on, and what they have open is closed."""

import asyncio
from functools import partial
from typing import Any

from broker.model.messages import SessionRevoked
from broker.process import logger
from broker.transport import Broker
from broker.trust.tokens import TokenChecker
from servers.dvrserver.configuration import notices_queue
from servers.dvrserver.settings import DVRServerSettings
from servers.net.rtsp_server import RtspServer

log = logger(__name__)

BATCH = 100


async def follow_sessions(
    settings: DVRServerSettings, broker: Broker, checker: TokenChecker, streams: RtspServer
) -> None:
    """Hear of ended sessions, for ever. A notice is done with once the revocation is on disk."""
    subscriber = broker.subscriber(notices_queue(settings))
    try:
        async for batch in subscriber.batches(BATCH):
            for delivery in batch:
                message = delivery.envelope.message
                if isinstance(message, SessionRevoked):
                    await asyncio.to_thread(checker.revoke, message.session_id, message.at)
                    ended = streams.end_where(partial(_belongs, message.session_id), "the session is over")
                    log.info("session is over", session_id=message.session_id, streams_ended=ended)
                delivery.done()
    finally:
        await subscriber.close()


def _belongs(session_id: str, who: Any) -> bool:
    return bool(who.session_id == session_id)
