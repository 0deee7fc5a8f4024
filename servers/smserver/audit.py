"""The audit trail: append-only rows, each chained to the one before by its digest."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.database import now
from servers.smserver.tables import audit, counter


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks, from where, with which program."""

    user_id: str
    address: str = ""
    program: str = ""


SYSTEM = Author("system")
"""SMServer itself, at its first start. No user can have signed in as it: see `rules`."""

REDACTED = "(secret)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done. `before` and `after` never hold a secret: a changed one is shown as `REDACTED`."""

    action: str
    kind: str
    object_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def record(connection: Connection, author: Author, deed: Deed) -> None:
    """Append a row within the caller's transaction, whose fate it shares."""
    # The counter's row is locked first, so that the chain has one end.
    ending = connection.execute(
        sa.update(counter)
        .where(counter.c.name == "audit")
        .values(value=counter.c.value + 1)
        .returning(counter.c.value, counter.c.digest)
    ).one()
    row = {
        "id": ending.value,
        "at": now(connection),
        "user_id": author.user_id[:63],
        "address": author.address[:64],
        "program": author.program[:200],
        "action": deed.action,
        "kind": deed.kind,
        "object_id": deed.object_id[:63],
        "before": deed.before,
        "after": deed.after,
    }
    digest = digest_of(ending.digest, row)
    connection.execute(sa.insert(audit).values(**row, digest=digest))
    connection.execute(sa.update(counter).where(counter.c.name == "audit").values(digest=digest))


def digest_of(previous: str, row: dict[str, Any]) -> str:
    """The digest that chains a row to the one before."""
    text = json.dumps({**row, "at": row["at"].isoformat()}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def broken_at(connection: Connection) -> int | None:
    """The first row that was altered, removed or slipped in; None when the chain is whole."""
    previous, expected = "", 1
    for row in connection.execute(sa.select(audit).order_by(audit.c.id)).mappings():
        values = {name: row[name] for name in row if name != "digest"}
        if row["id"] != expected or digest_of(previous, values) != row["digest"]:
            return int(expected)
        previous, expected = row["digest"], expected + 1
    ending = connection.execute(sa.select(counter).where(counter.c.name == "audit")).one()
    return None if (ending.value, ending.digest) == (expected - 1, previous) else int(expected)
