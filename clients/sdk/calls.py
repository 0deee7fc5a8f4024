"""Every question that SMServer answers on 5008, once. `Client` and `AsyncClient` ask them."""

from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter

from broker.model.base import Instant
from broker.model.layouts import Layout
from broker.model.log import AlarmEvent, AuditRecord, HealthRecord
from broker.model.messages import AlarmState, NodeStateReported
from clients.sdk.call import Call, nothing, value_of
from clients.sdk.values import Items, Me, SignedIn, StreamSecret, StreamTicket, Versioned

R = TypeVar("R", bound=BaseModel)


def sign_in(user: str, password: str) -> Call[SignedIn]:
    """Begin a session."""
    body = {"user": user, "password": password}
    return Call(method="POST", path="/sign-in", body=body, read=value_of(SignedIn), signed=False)


def refresh(refresh_token: str) -> Call[SignedIn]:
    """Renew a session's tokens. The refresh token is used up by it."""
    body = {"refresh_token": refresh_token}
    return Call(method="POST", path="/sessions/refresh", body=body, read=value_of(SignedIn), signed=False)


def sign_out() -> Call[None]:
    """End the session everywhere."""
    return Call(method="DELETE", path="/sessions/current", read=nothing)


def me() -> Call[Me]:
    """The signed-in user, with what the profile shows."""
    return Call(method="GET", path="/me", read=value_of(Me))


def stream_secret() -> Call[StreamSecret]:
    """Make a new stream secret for ordinary players; the old one is void."""
    return Call(method="POST", path="/me/stream-secret", read=value_of(StreamSecret))


def change_password(old: str, new: str) -> Call[None]:
    """Change the user's own password."""
    return Call(method="POST", path="/me/password", body={"old": old, "new": new}, read=nothing)


def stream_ticket(
    camera_id: str, stream: Literal["main", "sub"] = "main", purpose: Literal["live", "playback"] = "live"
) -> Call[StreamTicket]:
    """The right to start one stream, live or recorded."""
    body = {"camera_id": camera_id, "stream": stream, "purpose": purpose}
    return Call(method="POST", path="/stream-tickets", body=body, read=value_of(StreamTicket))


def alarm_events(
    *,
    state: AlarmState | None = None,
    alarm_id: str | None = None,
    before: Instant | str | None = None,
    limit: int = 100,
) -> Call[tuple[AlarmEvent, ...]]:
    """The alarm log, newest first."""
    query = _query(state=state, alarm_id=alarm_id, before=before, limit=limit)
    return Call(method="GET", path="/alarm-events", query=query, read=lambda r: value_of(Items[AlarmEvent])(r).items)


def alarm_event(event_id: str) -> Call[AlarmEvent]:
    """One alarm event."""
    return Call(method="GET", path=f"/alarm-events/{event_id}", read=value_of(AlarmEvent))


def acknowledge(event_id: str) -> Call[None]:
    """Take notice of an alarm event; `AlarmAcknowledged` follows on the event stream."""
    return Call(method="POST", path=f"/alarm-events/{event_id}/acknowledge", read=nothing)


def audit(
    *,
    before: Instant | None = None,
    before_id: int | None = None,
    user_id: str | None = None,
    kind: str | None = None,
    object_id: str | None = None,
    limit: int = 100,
) -> Call[tuple[AuditRecord, ...]]:
    """The audit trail, newest first; `before_id` gives the page after the record of that id."""
    query = _query(before=before, before_id=before_id, user_id=user_id, kind=kind, object_id=object_id, limit=limit)
    read = value_of(Items[AuditRecord])
    return Call(method="GET", path="/audit", query=query, read=lambda r: read(r).items)


def health_events(*, before: Instant | None = None, limit: int = 100) -> Call[tuple[HealthRecord, ...]]:
    """What the system said about its own condition, newest first."""
    query = _query(before=before, limit=limit)
    read = value_of(Items[HealthRecord])
    return Call(method="GET", path="/health-events", query=query, read=lambda r: read(r).items)


def node_states() -> Call[tuple[NodeStateReported, ...]]:
    """What each process last said of itself."""
    read = value_of(Items[NodeStateReported])
    return Call(method="GET", path="/node-states", read=lambda r: read(r).items)


class ResourceCalls(Generic[R]):
    """The five questions about one kind of resource."""

    def __init__(self, path: str, cls: type[R]) -> None:
        self._path = path
        self._cls = cls

    def list(self) -> Call[tuple[R, ...]]:
        """All that the user sees."""
        items: TypeAdapter[Items[R]] = TypeAdapter(Items[self._cls])  # type: ignore[name-defined] # a run-time class
        return Call(
            method="GET",
            path=self._path,
            read=lambda response: items.validate_json(response.content, extra="ignore").items,
        )

    def get(self, resource_id: str) -> Call[R]:
        """One of them."""
        return Call(method="GET", path=f"{self._path}/{resource_id}", read=value_of(self._cls))

    def fetch(self, resource_id: str) -> Call[Versioned[R]]:
        """One of them with its revision, which a change may name."""
        read = value_of(self._cls)
        return Call(
            method="GET",
            path=f"{self._path}/{resource_id}",
            read=lambda response: Versioned(read(response), response.headers.get("ETag", "").strip('"')),
        )

    def add(self, resource: R, *, password: str | None = None) -> Call[R]:
        """A new one. Cameras and users take a password, which nobody can read again."""
        return Call(method="POST", path=self._path, body=_body(resource, password), read=value_of(self._cls))

    def replace(self, resource: R, *, password: str | None = None, revision: str | None = None) -> Call[R]:
        """Change it as a whole; with a revision only if it still has that one (`ChangedMeanwhileError`).

        Without one it overwrites whatever is there.
        """
        return Call(
            method="PUT",
            path=f"{self._path}/{resource.id}",  # type: ignore[attr-defined] # every resource has an id
            body=_body(resource, password),
            headers={"If-Match": "*" if revision is None else f'"{revision}"'},
            read=value_of(self._cls),
        )

    def remove(self, resource_id: str, *, revision: str | None = None) -> Call[None]:
        """Delete it; with a revision only if it still has that one."""
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        return Call(method="DELETE", path=f"{self._path}/{resource_id}", headers=headers, read=nothing)


class LayoutCalls:
    """The questions about the user's own layouts."""

    def list(self) -> Call[tuple[Layout, ...]]:
        """All of them, by name."""
        read = value_of(Items[Layout])
        return Call(method="GET", path="/me/layouts", read=lambda r: read(r).items)

    def get(self, name: str) -> Call[Layout]:
        """One of them."""
        return Call(method="GET", path=_layout(name), read=value_of(Layout))

    def fetch(self, name: str) -> Call[Versioned[Layout]]:
        """One of them with its revision, which a change may name."""
        return Call(method="GET", path=_layout(name), read=_versioned_layout)

    def save(self, layout: Layout, *, revision: str | None = None) -> Call[Versioned[Layout]]:
        """Add it, or replace the one of its name; with a revision only if it still has that one."""
        return Call(
            method="PUT",
            path=_layout(layout.name),
            body=layout.model_dump(mode="json"),
            headers={"If-Match": "*" if revision is None else f'"{revision}"'},
            read=_versioned_layout,
        )

    def remove(self, name: str, *, revision: str | None = None) -> Call[None]:
        """Delete it; with a revision only if it still has that one."""
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        return Call(method="DELETE", path=_layout(name), headers=headers, read=nothing)


def _layout(name: str) -> str:
    return f"/me/layouts/{quote(name, safe='')}"


def _versioned_layout(response: httpx.Response) -> Versioned[Layout]:
    return Versioned(value_of(Layout)(response), response.headers.get("ETag", "").strip('"'))


def _body(resource: BaseModel, password: str | None) -> dict[str, Any]:
    body: dict[str, Any] = resource.model_dump(mode="json")
    if password is not None:
        body["password"] = password
    return body


def _query(**given: Any) -> dict[str, str]:
    def text(value: Any) -> str:
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    return {name: text(value) for name, value in given.items() if value is not None}
