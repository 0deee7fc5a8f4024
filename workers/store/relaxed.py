"""Transactions whose loss does no harm, so that nobody waits for the disk."""

from typing import Any

from sqlalchemy import Engine, event

from broker.database import open_database


def open_relaxed(engine: Engine, schema: str) -> Engine:
    """A second way into the same database: its commits do not wait for PostgreSQL's disk.

    Only a crash of PostgreSQL itself can lose what was committed within the last half second. It is for what may be
    lost: the claim of an action that carries a key, and the deletion of announcements that the broker has. SQLite
    has no such thing; there it is the engine itself.
    """
    if engine.dialect.name != "postgresql":
        return engine
    relaxed = open_database(engine.url.render_as_string(hide_password=False), schema)

    def connect(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        parameters["options"] = f"{parameters.get('options', '')} -csynchronous_commit=off"

    event.listen(relaxed, "do_connect", connect)
    return relaxed
