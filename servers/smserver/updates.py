"""Announces new releases, however they came into the folder: by upload, or written there by `vigil release publish`."""

import threading
from collections.abc import Callable
from pathlib import Path

from broker import outbox
from broker.codec import envelope
from broker.database import now
from broker.model.messages import UpdateAvailable
from broker.model.releases import Publication
from broker.process import logger
from servers.smserver import audit, documents, events, tables
from servers.smserver.audit import SYSTEM, Author, Deed
from servers.smserver.errors import RefusedError
from servers.smserver.mirror import Listed, Mirror
from servers.smserver.store import Store

log = logger(__name__)

LOOK_S = 2.0
"""How often the folder is looked at."""

SOURCE = "smserver"


class Updates:
    """The mirror, and what the site has been told of it."""

    def __init__(self, folder: Path, store: Store, committed: Callable[[], None]) -> None:
        self.mirror = Mirror(folder)
        self._store = store
        self._committed = committed
        self._seen: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def publish(self, publication: Publication, author: Author) -> dict[str, Listed]:
        """Show new metadata and announce what is new in them.

        Raises:
            RefusedError: they do not hold together, or a file is missing.
            NotReadyError: the database is away; clients see the release, and are told as soon as it is back.
        """
        listed = self.mirror.publish(publication)
        self._announce(listed, author)
        return listed

    def look(self) -> None:
        """Announce what has been put into the folder meanwhile.

        Raises:
            NotReadyError: the database is away; look again later.
        """
        with self._lock:
            stamp = self.mirror.stamp()
            if stamp == self._seen:
                return
            try:
                listed = self.mirror.listed()
            except RefusedError as error:
                log.warning("the folder of updates cannot be read", reason=error.detail)
                self._seen = stamp
                return
            self._announce(listed, SYSTEM)
            self._seen = stamp

    def _announce(self, listed: dict[str, Listed], author: Author) -> None:
        """One transaction: what was announced, its audit record, the event and the message."""
        told = False
        with self._store.write() as connection:
            documents.lock(connection)
            at = now(connection)
            for application, release in sorted(listed.items()):
                name = f"release:{application}"
                before = documents.read(connection, name).body
                after = {"version": release.version, "sha256": release.sha256}
                if before == after:
                    continue
                documents.write(connection, name, after)
                deed = Deed(action="publish", kind="release", object_id=application, before=before or None, after=after)
                audit.record(connection, author, deed)
                message = UpdateAvailable(application=application, version_name=release.version, at=at)
                outbox.put(connection, tables.outbox, [envelope(message, source=SOURCE, time=at)])
                events.tell(connection, [events.Told(message.kind(), at, message.model_dump(mode="json"))])
                told = True
        if told:
            self._committed()
