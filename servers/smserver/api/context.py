"""What routes work with: the services behind the application, who asks, and the ETag of what they ask for."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Header, Request, Response
from starlette.requests import HTTPConnection

from broker.model.access import Access
from broker.model.base import Value
from broker.process import Health
from broker.trust.tokens import SigningKeys, TokenIssuer
from servers.net.policy import Administrator, Caller
from servers.smserver.audit import Author
from servers.smserver.configuration import Change, Configuration
from servers.smserver.errors import BlindWriteError, RefusedError
from servers.smserver.events import EventHub
from servers.smserver.nodes import Nodes
from servers.smserver.sessions import Sessions
from servers.smserver.site import AnyResource
from servers.smserver.store import Store
from servers.smserver.updates import Updates

Item = TypeVar("Item")


@dataclass(frozen=True)
class Services:
    """What SMServer consists of, behind its routes."""

    store: Store
    configuration: Configuration
    sessions: Sessions
    nodes: Nodes
    hub: EventHub
    updates: Updates
    keys: SigningKeys
    issuer: TokenIssuer
    health: Health
    committed: Callable[[], None]
    """Call it after a commit that announces something or tells clients something."""


def _services(connection: HTTPConnection) -> Services:
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


Using = Annotated[Services, Depends(_services)]
"""The services, in the signature of a route."""


class Items(Value, Generic[Item]):
    """A list."""

    items: list[Item]


def address_of(connection: HTTPConnection) -> str:
    """From where somebody asks. Only gateways of the site are believed when they say for whom they ask."""
    peer = connection.client.host if connection.client else ""
    said = connection.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
    if said and peer in _services(connection).nodes.gateway_addresses():
        with suppress(ValueError):
            return str(ip_address(said))
    return peer


def author_of(connection: HTTPConnection, user_id: str) -> Author:
    """Who asks, as the audit trail has it."""
    return Author(user_id, address_of(connection), connection.headers.get("User-Agent", ""))


def _stranger(request: Request) -> Author:
    return author_of(request, "anonymous")


Stranger = Annotated[Author, Depends(_stranger)]
"""Somebody who has not signed in yet."""


def access_of(caller: Caller) -> Access:
    """What a signed-in caller may do."""
    assert caller.access is not None, "the policy of this route admits users only"
    return caller.access


class Edit:
    """A change of the configuration by an administrator, and the ETag of its answer."""

    def __init__(self, caller: Administrator, using: Using, connection: HTTPConnection, response: Response) -> None:
        self.using = using
        self.caller = caller
        self.author = author_of(connection, caller.id)
        self._response = response

    def change(self) -> AbstractContextManager[Change]:
        """One transaction; see `Configuration.change`."""
        return self.using.configuration.change(self.author)

    def written(self, change: Change, value: AnyResource) -> AnyResource:
        """Answer with what is stored now."""
        cls = type(value)
        tag(self._response, change.etag(cls, value.id))
        return change.site.find(cls, value.id) or value


AdministratorEdit = Annotated[Edit, Depends(Edit)]
"""The policy `administrator`, with what its routes need."""


# --- ETag and If-Match (RFC 9110, sections 8.8.3 and 13.1.1) ------------------------------------------------------

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match", description='The ETag of what the change builds on, or "*" to overwrite whatever is there.'
    ),
]


def expected(if_match: str | None) -> int | None:
    """The number in an If-Match header; None: overwrite whatever is there.

    Raises:
        BlindWriteError: there is no such header.
    """
    if if_match is None:
        raise BlindWriteError(
            "This change does not say which state it builds on.",
            remedy="Read the resource first and send its ETag as If-Match.",
        )
    tag = if_match.strip().removeprefix("W/").strip('"')
    if tag == "*":
        return None
    return int(tag) if tag.isascii() and tag.isdigit() else -1


def tag(response: Response, number: int) -> None:
    """Put the ETag of a resource on its answer."""
    response.headers["ETag"] = f'"{number}"'


def same_id(path_id: str, body: Any) -> None:
    """Raise `RefusedError` when the body is about something else than the address."""
    if body.id != path_id:
        raise RefusedError(
            f"The address says {path_id}, the body says {body.id}.",
            field="id",
            remedy="An id never changes; delete the resource and add it anew under another one.",
        )
