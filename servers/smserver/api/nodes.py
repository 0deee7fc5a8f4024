"""What other servers ask: to join, for a service token, for the configuration, for the public keys."""

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import Field, SecretStr

from broker.model.base import Value
from broker.model.resources import Server
from broker.replica import Snapshot
from broker.trust.identity import PublicIdentity
from servers.net.policy import AnyService, SignedIn, public
from servers.smserver.api.context import Stranger, Using
from servers.smserver.snapshot import changes_of, revision_of

router = APIRouter(tags=["nodes"])
well_known = APIRouter(tags=["nodes"])


class EnrolmentRequest(Value):
    """A process that wants to join."""

    join_secret: SecretStr = Field(max_length=200, description="From the file that SMServer wrote at its first start.")
    identity: PublicIdentity
    control_url: str = Field("", max_length=2000)
    stream_url: str = Field("", max_length=2000)


class Enrolment(Value):
    """A process that has joined."""

    server: Server
    jwks: dict[str, Any] = Field(description="SMServer's public keys (RFC 7517).")


class Assertion(Value):
    """A JWT that the process has signed with its own key (RFC 7523)."""

    assertion: str = Field(max_length=4000)


class ServiceToken(Value):
    """What a process shows to other servers."""

    access_token: str
    expires_in: int


class Revision(Value):
    """The revision of the last change."""

    revision: int


@router.post("/enrolments", operation_id="enrol", dependencies=[Depends(public)])
def enrol(body: EnrolmentRequest, using: Using, author: Stranger) -> Enrolment:
    """Join the site; may be asked again with the same keys."""
    server, jwks = using.nodes.enrol(
        body.join_secret.get_secret_value(), body.identity, body.control_url, body.stream_url, author
    )
    return Enrolment(server=server, jwks=jwks)


@router.post("/service-tokens", operation_id="create_service_token", dependencies=[Depends(public)])
def create_service_token(body: Assertion, using: Using) -> ServiceToken:
    """Exchange a signed assertion for a service token."""
    token, expires_in = using.nodes.service_token(body.assertion)
    return ServiceToken(access_token=token, expires_in=expires_in)


@router.get("/config/snapshot", operation_id="get_snapshot")
def get_snapshot(_caller: AnyService, using: Using) -> Snapshot:
    """The whole configuration at one revision."""
    with using.store.read() as connection:
        return Snapshot.of(revision_of(connection), changes_of(connection))


@router.get("/config/revision", operation_id="get_revision")
def get_revision(_caller: SignedIn, using: Using) -> Revision:
    """The revision of the last change."""
    with using.store.read() as connection:
        return Revision(revision=revision_of(connection))


@well_known.get("/.well-known/jwks.json", operation_id="get_jwks", dependencies=[Depends(public)])
def get_jwks(using: Using) -> dict[str, Any]:
    """SMServer's public keys (RFC 7517)."""
    return using.keys.jwks()
