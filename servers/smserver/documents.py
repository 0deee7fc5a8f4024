"""Documents that exist once per site, by name: JSON with a revision that is their ETag."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.database import now
from servers.smserver.tables import counter, document


class Document(NamedTuple):
    """A document as it is now; revision 0 when nobody has written it yet."""

    revision: int
    body: dict[str, Any]


def read(connection: Connection, name: str) -> Document:
    """The document of that name."""
    row = connection.execute(sa.select(document).where(document.c.name == name)).one_or_none()
    return Document(row.revision, dict(row.body)) if row else Document(0, {})


def lock(connection: Connection) -> None:
    """Let nobody else change the site until the end of the transaction."""
    connection.execute(sa.update(counter).where(counter.c.name == "revision").values(value=counter.c.value + 0))


def write(connection: Connection, name: str, body: dict[str, Any]) -> int:
    """Replace a document; returns its new revision.

    The revision is at least the time in seconds: after a database was put back from a copy, the next change counts
    as newer than whatever was seen before.
    """
    before = read(connection, name).revision
    revision = max(before + 1, int(now(connection).timestamp()))
    connection.execute(sa.delete(document).where(document.c.name == name))
    connection.execute(sa.insert(document).values(name=name, revision=revision, body=body))
    return revision
