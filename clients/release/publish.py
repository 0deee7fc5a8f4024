"""Hands a signed repository to SMServer: files first, metadata last, so that clients see all of it or nothing."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from broker.model.releases import Piece, Published, WantedObject, list_path, object_path, target_path
from clients.release.errors import ReleaseError
from clients.release.repository import Repository
from clients.sdk import Client, update_calls

REQUEST = 3 << 20
"""Bytes of files in one upload; SMServer takes bodies of up to 4 MiB."""
MOST_PIECES = 500


class Part(NamedTuple):
    """A run of bytes of a file."""

    piece: Piece
    path: Path


def to_folder(
    repository: Repository, folder: Path, *, progress: Callable[[int, int], object] = lambda _done, _total: None
) -> dict[str, str]:
    """Write the repository into SMServer's folder of updates; a running SMServer announces it by itself.

    Raises:
        ReleaseError: nothing is signed, a file is missing, or the folder cannot be written.
    """
    files = _signed_files(repository)
    missing = [(name, path) for name, path in files.items() if not _same_length(folder / name, path)]
    total, done = sum(path.stat().st_size for _, path in missing), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(mkdtemp(dir=folder, prefix="incoming-"))
        try:
            for name, path in missing:
                _place(path.read_bytes(), staging / "file", folder / name)
                done += path.stat().st_size
                progress(done, total)
            for name, content in _metadata(repository):
                _place(content, staging / "file", folder / "metadata" / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise ReleaseError(f"{error.filename or folder}: {error.strerror}.") from error
    return {application: release.version for application, release in repository.releases().items()}


def to_server(
    repository: Repository, client: Client, *, progress: Callable[[int, int], object] = lambda _done, _total: None
) -> Published:
    """Upload what SMServer does not have, going on where an earlier upload was cut, then publish.

    Raises:
        ReleaseError: nothing is signed, or a file is missing.
        SdkError: SMServer does not take it; says why.
    """
    files = {path.name.removesuffix(".release.json"): path for path in _signed_files(repository).values()}
    wanted = [WantedObject(sha256=sha256, length=path.stat().st_size) for sha256, path in files.items()]
    missing = client.do(update_calls.missing_objects(wanted)).objects
    parts = [part for one in missing for part in _parts(one.sha256, files[one.sha256], one.received)]
    total, done = sum(part.piece.size for part in parts), 0
    for batch in _batches(parts):
        client.do(update_calls.upload_objects([part.piece for part in batch], b"".join(map(_bytes, batch))))
        done += sum(part.piece.size for part in batch)
        progress(done, total)
    metadata = {name: content.decode() for name, content in _metadata(repository)}
    return client.do(update_calls.publish_updates(metadata))


def _place(content: bytes, staged: Path, place: Path) -> None:
    """Write a file that everybody may read, for SMServer is perhaps somebody else; whole or not at all."""
    with staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.chmod(0o644)
    place.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(place)


def _signed_files(repository: Repository) -> dict[str, Path]:
    """The files that the signed metadata speak of, by their place below `/updates/`."""
    targets, releases = repository.targets(), repository.releases()
    if targets is None or not releases:
        raise ReleaseError("Nothing is signed yet: build a release, then run `vigil release sign`.")
    found: dict[str, Path] = {}
    for application, release in releases.items():
        for file in release.files:
            name = object_path(file.sha256)
            found[name] = repository.folder / name
        name = list_path(application, targets.targets[target_path(application)].hashes["sha256"])
        found[name] = repository.folder / name
    for name, path in found.items():
        if not path.is_file():
            raise ReleaseError(f"{name} is missing in {repository.folder}: build the release again, and sign it.")
    return found


def _metadata(repository: Repository) -> Iterator[tuple[str, bytes]]:
    """All that is needed to follow the chain, the timestamp last."""
    timestamp, targets = repository.timestamp(), repository.targets()
    assert timestamp is not None, "nothing is published before it was signed"
    assert targets is not None, "the same"
    roots = sorted(path.name for path in repository.metadata.glob("*.root.json"))
    numbered = (f"{targets.version}.targets.json", f"{timestamp.snapshot_meta.version}.snapshot.json")
    for name in (*roots, *numbered, "timestamp.json"):
        yield name, (repository.metadata / name).read_bytes()


def _parts(sha256: str, path: Path, received: int) -> Iterator[Part]:
    length = path.stat().st_size
    offset = min(received, length)
    while True:
        size = min(REQUEST, length - offset)
        yield Part(Piece(sha256=sha256, length=length, offset=offset, size=size), path)
        offset += size
        if offset >= length:
            return


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    batch: list[Part] = []
    for part in parts:
        size = sum(one.piece.size for one in batch) + part.piece.size
        if batch and (size > REQUEST or len(batch) >= MOST_PIECES):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def _bytes(part: Part) -> bytes:
    with part.path.open("rb") as file:
        file.seek(part.piece.offset)
        return file.read(part.piece.size)


def _same_length(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size
    except OSError:
        return False
