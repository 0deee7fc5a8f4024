"""Layouts: what users have arranged for themselves. No other user sees them, and no other process hears of them."""

from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.database import now
from broker.model.layouts import MAX_LAYOUTS, Layout
from servers.smserver import audit
from servers.smserver.audit import Author, Deed
from servers.smserver.errors import BlindWriteError, ConflictError, NotFoundError, StaleError
from servers.smserver.tables import counter, layout

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(NamedTuple):
    """A layout as it is stored."""

    value: Layout
    revision: int


def every(connection: Connection, user_id: str) -> list[Layout]:
    """All layouts of a user, by name."""
    rows = connection.execute(sa.select(layout.c.body).where(layout.c.user_id == user_id).order_by(layout.c.name))
    return [Layout.model_validate(row.body, extra="ignore") for row in rows]


def find(connection: Connection, user_id: str, name: str) -> Kept:
    """One layout.

    Raises:
        NotFoundError: the user has none of this name.
    """
    found = _find(connection, user_id, name)
    if found is None:
        raise _missing(name)
    return found


def put(
    connection: Connection, author: Author, value: Layout, *, given: bool, expected: int | None
) -> tuple[int, bool]:
    """Store a layout of the author's own; its revision now, and whether it is new.

    `given`: whether the caller says which state it builds on; `expected`: that state, none for whatever is there.

    Raises:
        BlindWriteError: there is one of this name, and the caller does not say that it knows.
        StaleError: it is another one by now, or is gone.
        ConflictError: the user has too many.
    """
    _one_after_the_other(connection)
    before = _find(connection, author.user_id, value.name)
    if before is None and expected is not None:
        raise StaleError(
            f"The layout {value.name} has been deleted.", remedy="Save it without If-Match to add it anew."
        )
    if before is not None and not given:
        raise BlindWriteError(
            f"There already is a layout {value.name}.",
            remedy='Send its ETag as If-Match, or "*" to replace whatever is there.',
        )
    if before is not None and expected is not None and before.revision != expected:
        raise _changed(value.name)
    if before is None and _count(connection, author.user_id) >= MAX_LAYOUTS:
        raise ConflictError(f"There are {MAX_LAYOUTS} layouts, which is the most.", remedy="Delete one of them first.")
    at_us = (now(connection) - _EPOCH) // (_EPOCH.resolution)
    revision = at_us if before is None else max(at_us, before.revision + 1)
    values = {"revision": revision, "body": value.model_dump(mode="json")}
    if before is None:
        connection.execute(sa.insert(layout).values(user_id=author.user_id, name=value.name, **values))
    elif before.value == value:
        return before.revision, False
    else:
        connection.execute(sa.update(layout).where(_row(author.user_id, value.name)).values(**values))
    _record(connection, author, "create" if before is None else "change", value.name)
    return revision, before is None


def remove(connection: Connection, author: Author, name: str, *, expected: int | None) -> None:
    """Delete a layout of the author's own.

    Raises:
        NotFoundError: there is none of this name.
        StaleError: it is another one than expected.
    """
    _one_after_the_other(connection)
    before = find(connection, author.user_id, name)
    if expected is not None and before.revision != expected:
        raise _changed(name)
    connection.execute(sa.delete(layout).where(_row(author.user_id, name)))
    _record(connection, author, "delete", name)


def _find(connection: Connection, user_id: str, name: str) -> Kept | None:
    row = connection.execute(sa.select(layout.c.revision, layout.c.body).where(_row(user_id, name))).one_or_none()
    return None if row is None else Kept(Layout.model_validate(row.body, extra="ignore"), row.revision)


def _row(user_id: str, name: str) -> sa.ColumnElement[bool]:
    return (layout.c.user_id == user_id) & (layout.c.name == name)


def _count(connection: Connection, user_id: str) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(layout.c.user_id == user_id)) or 0


def _one_after_the_other(connection: Connection) -> None:
    """Lock the row that every record of the audit trail needs anyway, so that two windows never save at once."""
    connection.execute(sa.update(counter).where(counter.c.name == "audit").values(value=counter.c.value + 0))


def _record(connection: Connection, author: Author, action: str, name: str) -> None:
    audit.record(connection, author, Deed(action=action, kind="layout", object_id=name))


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"You have no layout {name}.")


def _changed(name: str) -> StaleError:
    return StaleError(
        f"The layout {name} has been changed in another window since it was read.",
        remedy="Read it again and apply your change to what you find.",
    )
