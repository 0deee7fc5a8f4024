"""Call somebody else's web address about an alarm."""

import json

import httpx

from broker.model.actions import HttpRequestSettings
from broker.trust.errors import EgressRefusedError
from workers import templates
from workers.action import Attempt, Tools, action
from workers.errors import ActionError, TransientActionError

TRY_AGAIN = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS)
"""The answers below 500 that say "later": 408, 425 and 429."""

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Failures before the first byte of the request: surely nothing was performed."""


@action(HttpRequestSettings, keyed=True)
def http_request(attempt: Attempt, settings: HttpRequestSettings, tools: Tools) -> str:
    """Send the request once. The receiver can tell attempts at one action apart from two actions by Idempotency-Key."""
    request = compose(attempt, settings, tools.webhooks)
    request.extensions["timeout"] = httpx.Timeout(attempt.time_limit_s).as_dict()
    try:
        # A redirect is not followed: the address was checked when the alarm was saved, another one was not.
        answer = tools.webhooks.send(request, follow_redirects=False, stream=True)
        answer.close()  # what the body says is of no interest, and it may be endless
    except EgressRefusedError as error:
        raise ActionError(str(error)) from error
    except NEVER_SENT as error:
        raise TransientActionError(f"no connection: {error_of(error)}") from error
    except httpx.TransportError as error:
        raise TransientActionError(f"no answer: {error_of(error)}", in_doubt=True) from error
    return judge(answer)


def compose(attempt: Attempt, settings: HttpRequestSettings, client: httpx.Client) -> httpx.Request:
    """The request of an attempt."""
    fields = templates.values(attempt.raised, action_id=attempt.action_id, attempt=attempt.number)
    if not settings.body:
        body = json.dumps(fields)
    elif "json" in settings.content_type:  # an alarm's name may hold quotes; the body stays JSON all the same
        body = templates.fill(settings.body, {name: json.dumps(value)[1:-1] for name, value in fields.items()})
    else:
        body = templates.fill(settings.body, fields)
    headers = {
        "Idempotency-Key": attempt.action_id,
        "Vigil-Action-Id": attempt.action_id,
        "Vigil-Attempt": str(attempt.number),
        "User-Agent": "Vigil",
    }
    if settings.method == "GET":
        return client.build_request("GET", settings.url, headers=headers)
    headers["Content-Type"] = settings.content_type
    return client.build_request(settings.method, settings.url, headers=headers, content=body.encode())


def judge(answer: httpx.Response) -> str:
    """What an answer means: success, try again, or never."""
    status = answer.status_code
    said = f"HTTP {status} {answer.reason_phrase}".strip()
    if answer.is_success:
        return said
    if answer.is_redirect:
        raise ActionError(
            f"{said}: it sends us elsewhere ({answer.headers.get('location', '')[:200]}); give that address"
        )
    if answer.is_server_error or status in TRY_AGAIN:
        raise TransientActionError(said)
    raise ActionError(said)


def error_of(error: Exception) -> str:
    """What an error of httpx says, or its name when it says nothing."""
    return str(error) or type(error).__name__
