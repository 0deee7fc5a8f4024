"""The whole configuration at one revision, as replicas fetch it when they start or have missed a change."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from broker.model import messages as m
from servers.smserver.configuration import configured
from servers.smserver.site import KINDS, load_site
from servers.smserver.tables import counter, secret


def revision_of(connection: Connection) -> int:
    """The revision of the last change."""
    return int(connection.execute(sa.select(counter.c.value).where(counter.c.name == "revision")).scalar_one())


def changes_of(connection: Connection) -> list[m.ConfigurationChange]:
    """All that is configured, each as the change that announced it last, in the order of `CONFIGURATION`."""
    site = load_site(connection)
    lanes = site.lanes()
    order = list(KINDS)
    found = [
        configured(connection, stored.value, stored.revision, lanes)
        for (_, _), stored in sorted(site.stored.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]
    sealed = connection.execute(sa.select(secret).where(secret.c.sealed != "").order_by(secret.c.ref))
    return found + [
        m.SecretSealed(revision=row.revision, secret_ref=row.ref, node_id=row.node_id, sealed=row.sealed)
        for row in sealed
    ]


def snapshot_of(connection: Connection) -> dict[str, Any]:
    """The snapshot as it travels: `broker.replica.Snapshot`. Call it in one reading transaction."""
    return {
        "revision": revision_of(connection),
        "changes": [
            {"kind": change.kind(), "version": change.version, "body": change.model_dump(mode="json")}
            for change in changes_of(connection)
        ],
    }
