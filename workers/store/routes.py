"""Where each camera's node is reached, written by intake from its copy of the configuration, read by actions."""

from collections.abc import Mapping

from sqlalchemy import Engine, delete, select

from broker.model.resources import Camera, Server
from workers.store.upsert import insert_for
from workers.tables import camera_route


def store_routes(
    engine: Engine, cameras: Mapping[str, Camera], servers: Mapping[str, Server], revision: int, *, fresh: bool = False
) -> None:
    """Store the routes of a revision; those of a newer one, stored by another worker, stay.

    Unless the copy is `fresh`, known to be SMServer's own: when SMServer was restored from a backup, its revisions
    go back, and what was stored with higher numbers is of no use any more.
    """
    rows = sorted(
        (camera.id, server.control_url)
        for camera in cameras.values()
        if (server := servers.get(camera.node_id)) is not None and server.control_url
    )
    with engine.begin() as connection:
        insert = insert_for(connection.dialect.name)
        if rows:
            statement = insert(camera_route)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["camera_id"],
                    set_={"control_url": statement.excluded.control_url, "revision": statement.excluded.revision},
                    where=None if fresh else camera_route.c.revision <= statement.excluded.revision,
                ),
                [{"camera_id": camera_id, "control_url": url, "revision": revision} for camera_id, url in rows],
            )
        old = camera_route.c.revision != revision if fresh else camera_route.c.revision < revision
        connection.execute(delete(camera_route).where(old))


def control_url(engine: Engine, camera_id: str) -> str | None:
    """The control address of the node that captures a camera; None when it is not known (yet)."""
    with engine.connect() as connection:
        found = connection.scalar(select(camera_route.c.control_url).where(camera_route.c.camera_id == camera_id))
        return str(found) if found is not None else None
