"""The archive: footage on disk as plain fragmented MP4, with an index that is rebuildable from the files alone.

`writer` collects access units into fragments, `volume` writes and syncs them on threads of its own, `index` is the
SQLite file, `recovery` brings both together after a crash, and `archive` is what the node works with.
"""

from servers.dvrserver.archive.archive import Archive
from servers.dvrserver.archive.cursor import Cursor, Taken
from servers.dvrserver.archive.stretch import Stretch
from servers.dvrserver.archive.values import (
    FragmentPlace,
    Order,
    OrderConflictError,
    RecordingError,
    Recovery,
    Retention,
    SegmentFile,
    Span,
)
from servers.dvrserver.archive.writer import SegmentWriter

__all__ = [
    "Archive",
    "Cursor",
    "FragmentPlace",
    "Order",
    "OrderConflictError",
    "RecordingError",
    "Recovery",
    "Retention",
    "SegmentFile",
    "SegmentWriter",
    "Span",
    "Stretch",
    "Taken",
]
