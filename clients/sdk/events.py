"""The event stream: what happened at the site, as it happens, without gaps."""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, ValidationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from broker.model import messages
from broker.model.base import Instant, Value
from broker.process import logger
from clients.sdk.errors import (
    NotSignedInError,
    ServerTroubleError,
    ThrottledError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clients.sdk.session import Session

MISSED = "EventsMissed"
"""The kind of an event of this module's own: the server no longer has all that happened since the cut. Read the
whole anew; its `id` is that of the last event that there is."""

REFUSED = frozenset({1008, 4401, 4403})
"""Close codes with which the server says that the token is not good (RFC 6455, 7.4.1: policy violation)."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
MAX_FRAME = 1 << 20

OnConnection = Callable[[bool, str], None]
"""Told whether the event stream is connected, and if not why, in a sentence."""

log = logger(__name__)


def ignore(connected: bool, reason: str) -> None:  # noqa: FBT001 - the shape of `OnConnection`
    """Nobody wants to know."""
    del connected, reason


class Event(Value):
    """One thing that happened. Ids count up; `since` resumes after one."""

    id: int
    kind: str = Field(description="The class of the message, e.g. AlarmRaised.")
    time: Instant
    data: dict[str, Any]

    def message(self) -> messages.Message | None:
        """The message in it, or none when this program is older than its kind."""
        cls = getattr(messages, self.kind, None)
        if not (isinstance(cls, type) and issubclass(cls, messages.Message)):
            return None
        try:
            return cls.model_validate(self.data, extra="ignore")
        except ValidationError:
            return None


async def follow(
    session: Session,
    renew: Callable[[str | None], Awaitable[bool]],
    tls: ssl.SSLContext | None,
    since: int | None,
    on_connection: OnConnection = ignore,
) -> AsyncGenerator[Event, None]:
    """Events for ever, across lost connections: after each, the stream resumes where it was cut.

    A server that is away, or troubled, while the session is due to be renewed is waited for like a cut.

    Raises:
        NotSignedInError: the session is over.
    """
    wait = FIRST_WAIT_S
    while True:
        code: int | None = None
        token = session.access_token
        reason = "the server closed the event stream"
        try:
            await renew(None)
            token = session.access_token
            async with connect(session.events_url(), ssl=tls, max_size=MAX_FRAME, proxy=None) as socket:
                await socket.send(json.dumps({"access_token": token, "since": since}))
                async for frame in socket:
                    body = json.loads(frame)
                    wait = FIRST_WAIT_S
                    if "id" in body:
                        event = Event.model_validate(body, extra="ignore")
                        since = event.id
                        yield event
                    elif "hello" in body:
                        last = int(body["hello"]["last"])
                        if since is not None and body["hello"].get("missed"):
                            yield Event(id=last, kind=MISSED, time=datetime.now(UTC), data={})
                        since = last if since is None else since
                        on_connection(True, "")
                code = socket.close_code
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else None
            reason = str(error)
        except (UnreachableError, UnexpectedAnswerError, ServerTroubleError, ThrottledError) as error:
            reason = str(error)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        log.info("event stream cut", reason=reason)
        on_connection(False, reason)
        if code in REFUSED and not await renew(token):
            raise NotSignedInError(401, "The session is over", "sign in again to follow events")
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections, guards nothing
        wait = min(wait * 2, LONGEST_WAIT_S)
