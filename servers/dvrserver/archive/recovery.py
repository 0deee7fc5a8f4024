"""Brings index and files together: after a crash, after the loss of the index, and on demand."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from broker.process import logger
from servers.dvrserver.archive import table
from servers.dvrserver.archive.index import Index, Row
from servers.dvrserver.archive.values import Order, Recovery
from servers.wire.mp4 import Label, Mp4Error, Scan, scan

log = logger(__name__)

SUFFIX = ".mp4"


def files(root: Path) -> Iterator[str]:
    """All segment files from the archive's folder on: camera/stream/day/name.mp4."""
    # Plain strings: a month of eight cameras is a hundred thousand files, and the node waits for this at its start.
    for camera in _folders(root):
        for stream in _folders(root / camera):
            for day in _folders(root / camera / stream):
                folder = f"{camera}/{stream}/{day}"
                names = os.listdir(root / folder)  # noqa: PTH208 - see above
                yield from (f"{folder}/{name}" for name in sorted(names) if name.endswith(SUFFIX))


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as found:
        return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))


def scan_file(path: Path, *, verify_from: int | None = None) -> Scan:
    """What a segment file holds.

    Raises:
        Mp4Error, OSError: It cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        return scan(lambda offset, length: os.pread(fd, length, offset), size, verify_from=verify_from)
    finally:
        os.close(fd)


def row_of(root: Path, path: Path, found: Scan) -> Row | None:
    """The index row of a closed file; none for a file without a single whole fragment."""
    label = found.init.label
    if label is None:
        camera_id, stream = path.parts[-4], path.parts[-3]
        label = Label(camera_id=camera_id, stream=stream)
    if not found.fragments:
        return None
    packed = table.pack_all(found.fragments)
    first, last = found.fragments[0], found.fragments[-1]
    return Row(
        id=f"{label.camera_id}.{label.stream}.{path.stem}",
        camera_id=label.camera_id,
        stream=label.stream,
        start_us=first.time_us,
        end_us=last.time_us + last.duration_us,
        path=str(path.relative_to(root)),
        size=found.end,
        continuous=len(table.spans(packed)) == 1,
        closed=True,
        table=packed,
    )


def open_index(path: Path) -> tuple[Index, bool]:
    """The index, and whether it had to be begun anew because it was lost or damaged."""
    lost = not path.exists()
    try:
        index = Index(path)
        index.unfinished()
    except sqlite3.DatabaseError as error:
        number = next(n for n in range(1, 10_000) if not path.with_suffix(f".damaged{n}").exists())
        log.error("index is damaged and rebuilt from the files", path=str(path), reason=str(error))  # noqa: TRY400 - the reason says it all
        path.rename(path.with_suffix(f".damaged{number}"))
        for name in (f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        return Index(path), True
    return index, lost


def recover(root: Path, index: Index, *, rebuilt: bool) -> Recovery:
    """Complete rows from files newer than the last sync round, cut torn tails off, index what the index lacks."""
    known = index.paths()
    unfinished = {row.path: row for row in index.unfinished()}
    paths = set(known.values())
    on_disk: set[str] = set()
    completed, unreadable, rows, torn = [], [], [], 0
    for relative in files(root):
        on_disk.add(relative)
        if relative in paths and relative not in unfinished:
            continue
        row, cut = _read_back(root, root / relative, unfinished.get(relative))
        torn += cut
        if row is None:
            unreadable.append(relative)
            continue
        rows.append(row)
        completed.append(row.id)
    missing = tuple(sorted(id_ for id_, path in known.items() if path not in on_disk))
    index.store(rows)
    index.remove(missing)
    if rebuilt and rows:
        _protect_all(index, rows)
    return Recovery(
        rebuilt=rebuilt and bool(rows),
        completed=tuple(completed),
        truncated_bytes=torn,
        missing=missing,
        unreadable=tuple(unreadable),
    )


def _read_back(root: Path, path: Path, before: Row | None) -> tuple[Row | None, int]:
    """The row of a file that was being written, and how many bytes of torn tail were cut off."""
    try:
        # What was synced is whole; what came after a power cut may be blocks that were never filled.
        found = scan_file(path, verify_from=before.size if before else 0)
        row = row_of(root, path, found)
        torn = path.stat().st_size - found.end
        if torn and row is not None:
            os.truncate(path, found.end)
        if row is None:
            log.warning("segment without a whole fragment is deleted", path=str(path))
            path.unlink()
    except (Mp4Error, OSError) as error:
        if path.stat().st_size == 0:
            path.unlink()
        log.warning("segment cannot be read", path=str(path), reason=str(error))
        return None, 0
    return row, torn


def _protect_all(index: Index, rows: list[Row]) -> None:
    """Orders cannot be read from footage. Rather keep too much than delete what an alarm needs."""
    for camera_id in {row.camera_id for row in rows}:
        own = [row for row in rows if row.camera_id == camera_id]
        index.protect(
            Order(
                id=f"index-lost.{camera_id}.{max(row.end_us for row in own)}",
                camera_id=camera_id,
                start_us=min(row.start_us for row in own),
                end_us=max(row.end_us for row in own),
                reason="the index was lost with its orders",
            )
        )


def check(root: Path, index: Index) -> list[str]:
    """Compare every closed row with its file; a sentence per difference."""
    problems = []
    known = {path: id_ for id_, path in index.paths().items()}
    for relative in files(root):
        id_ = known.pop(relative, None)
        row = index.find(id_) if id_ is not None else None
        if row is None:
            problems.append(f"{relative} is not in the index")
            continue
        if not row.closed:
            continue
        try:
            found = row_of(root, root / relative, scan_file(root / relative, verify_from=0))
        except (Mp4Error, OSError) as error:
            problems.append(f"{relative} cannot be read: {error}")
            continue
        if found is None or found[:10] != row[:10]:
            problems.append(f"{relative} holds something else than the index says")
    problems += [f"{relative} is missing" for relative in known]
    return problems
