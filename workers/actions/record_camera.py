"""Protect a camera's footage around an alarm: an order to its node, opened at the start and closed at the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from broker.model.actions import RecordCameraSettings
from workers.action import Attempt, Tools, action
from workers.actions.http_request import error_of
from workers.errors import ActionError, TransientActionError
from workers.store.lifecycle import END_SUFFIX

LOCKED_OUT = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
UNKNOWN_YET = (httpx.codes.NOT_FOUND, *LOCKED_OUT)
"""Answers that change when node and engine have learnt of each other, so they are worth another attempt."""


@action(RecordCameraSettings, exactly_once=True, keyed=True)
def record_camera(attempt: Attempt, settings: RecordCameraSettings, tools: Tools) -> str:
    """Ask the camera's node to keep the footage. The order has one id at both ends; asking twice changes nothing."""
    base = tools.control_url(settings.camera_id)
    if base is None:
        raise TransientActionError(f"no node is known for the camera {settings.camera_id}")
    order_id = order_of(attempt.action_id)
    try:
        answer = tools.servers.put(
            f"{base.rstrip('/')}/api/v1/orders/{order_id}",
            json=compose(attempt, settings),
            timeout=attempt.time_limit_s,
        )
    except httpx.TransportError as error:
        raise TransientActionError(f"the camera's node at {base} does not answer: {error_of(error)}") from error
    except httpx.HTTPStatusError as error:  # raised by the session when SMServer refuses a token
        raise TransientActionError(f"SMServer gives no service token: HTTP {error.response.status_code}") from error
    if answer.is_success:
        return ""
    why = f"the camera's node at {base} answers {answer.status_code}: {answer.text[:200]}"
    if answer.is_server_error or answer.status_code in UNKNOWN_YET:
        raise TransientActionError(why)
    raise ActionError(why)


def order_of(action_id: str) -> str:
    """The order's id: the one of the action at the alarm's start."""
    return action_id.removesuffix(END_SUFFIX)


def compose(attempt: Attempt, settings: RecordCameraSettings) -> dict[str, Any]:
    """The order: from before the trigger until after the alarm, without an end while the alarm is active."""
    ended_at = attempt.condition_ended_at
    return {
        "camera_id": settings.camera_id,
        "start": _text(attempt.raised.occurred_at - timedelta(seconds=settings.pre_s)),
        "end": None if ended_at is None else _text(ended_at + timedelta(seconds=settings.post_s)),
        "reason": f"{attempt.raised.alarm_name} ({attempt.raised.alarm_event_id})",
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
