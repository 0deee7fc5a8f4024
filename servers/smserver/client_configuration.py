"""What the site tells its applications: one document, signed for whoever asks."""

from typing import Any

from sqlalchemy import Connection

from broker.database import now
from broker.model.client_configuration import PAYLOAD_TYPE, ClientConfiguration, IssuedConfiguration
from broker.trust.tokens import SigningKeys
from servers.smserver import audit, documents
from servers.smserver.audit import Author, Deed
from servers.smserver.errors import StaleError

NAME = "client-configuration"


def current(connection: Connection) -> tuple[int, ClientConfiguration]:
    """The revision and what it says; the defaults before anybody has written it."""
    stored = documents.read(connection, NAME)
    return stored.revision, ClientConfiguration.model_validate(stored.body, extra="ignore")


def replace(connection: Connection, value: ClientConfiguration, expected: int | None, author: Author) -> int:
    """Put another one in its place; returns its revision.

    Raises:
        StaleError: it is not the one any more that the caller knows.
    """
    documents.lock(connection)
    revision, before = current(connection)
    if expected is not None and expected != revision:
        raise StaleError(
            "Somebody else has changed the configuration of clients since you read it.",
            remedy="Read it again and apply your change to what you find.",
        )
    if before == value and revision:
        return revision
    deed = Deed(
        action="change",
        kind="clients",
        object_id=NAME,
        before=before.model_dump(mode="json") if revision else None,
        after=value.model_dump(mode="json"),
    )
    audit.record(connection, author, deed)
    return documents.write(connection, NAME, value.model_dump(mode="json"))


def issue(connection: Connection, keys: SigningKeys, nonce: str) -> dict[str, Any]:
    """The signed document for one who asks (DSSE 1.0)."""
    from broker.trust.envelopes import sign_envelope  # noqa: PLC0415 - SMServer starts earlier without it

    private, publics = keys.ed25519()
    revision, configuration = current(connection)
    issued = IssuedConfiguration(
        revision=revision, issued_at=now(connection), nonce=nonce, keys=publics, configuration=configuration
    )
    return sign_envelope(issued.model_dump_json().encode(), PAYLOAD_TYPE, private)
