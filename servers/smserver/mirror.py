"""The folder that SMServer shows under `/updates/`: a mirror of signed files, of which it makes none itself.

Files are taken in under their hash, in pieces that may come in several requests; metadata become visible as one
step, by the replacement of `timestamp.json`, when every file they speak of is there. SMServer checks what it is
given so that mistakes show before clients see them; what clients trust is the signatures alone.
"""

import hashlib
import os
import re
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from broker.model.releases import (
    LONGEST_LIST,
    MissingObject,
    Piece,
    Publication,
    Release,
    WantedObject,
    list_path,
    object_path,
    target_path,
)
from broker.trust.keyfile import write_private
from servers.smserver.errors import ConflictError, RefusedError

SERVED = re.compile(
    r"metadata/(?:timestamp|[1-9][0-9]{0,8}\.(?:root|targets|snapshot))\.json"
    r"|objects/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|targets/[a-z0-9][a-z0-9_-]{0,62}/[0-9a-f]{64}\.release\.json"
)
"""Every name that is ever given out: with these, no path can lead anywhere else."""


class Listed(NamedTuple):
    """A release that the metadata list now."""

    version: str
    sha256: str


class Mirror:
    """The folder. All of it blocks: call it in threads only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata = folder / "metadata"
        self._incoming = folder / "incoming"
        self._lock = threading.Lock()

    # --- Giving out -----------------------------------------------------------------------------------------

    def find(self, name: str) -> tuple[Path, os.stat_result] | None:
        """The regular file of that name; none for a name that is never given out, a link or a folder."""
        if not SERVED.fullmatch(name):
            return None
        path = self.folder / name
        try:
            found = path.lstat()
        except OSError:
            return None
        return (path, found) if stat.S_ISREG(found.st_mode) else None

    # --- Taking in ------------------------------------------------------------------------------------------

    def missing(self, wanted: Sequence[WantedObject]) -> list[MissingObject]:
        """Which of these files are not here, and how much of them is."""
        found = []
        for one in wanted:
            if not self._has(one.sha256, one.length):
                part = self._part(one.sha256)
                found.append(MissingObject(sha256=one.sha256, received=part.stat().st_size if part.exists() else 0))
        return found

    def take(self, pieces: Sequence[Piece], body: bytes) -> None:
        """Store the bytes of some files; a file whose last byte is here is checked and counts from then on.

        Raises:
            ConflictError: a piece does not begin where the last one ended; ask what is missing, and go on there.
            RefusedError: a file is not what its hash says, or the disk is full.
        """
        if sum(piece.size for piece in pieces) != len(body):
            raise RefusedError("The pieces are not as long as what follows them.", field="pieces")
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        view, start = memoryview(body), 0
        with self._lock:
            for piece in pieces:
                self._append(piece, view[start : start + piece.size])
                start += piece.size

    def _append(self, piece: Piece, data: memoryview) -> None:
        if self._has(piece.sha256, piece.length):
            return
        part = self._part(piece.sha256)
        received = part.stat().st_size if part.exists() else 0
        if piece.offset not in (0, received) or piece.offset + piece.size > piece.length:
            raise ConflictError(
                f"{received} bytes of {piece.sha256} are here; this piece begins at {piece.offset}.",
                field="offset",
                remedy="Ask what is missing and go on there.",
            )
        try:
            with part.open("r+b" if part.exists() else "xb") as file:
                file.truncate(piece.offset)
                file.seek(piece.offset)
                file.write(data)
                if piece.offset + piece.size == piece.length:
                    file.flush()
                    os.fsync(file.fileno())
            if piece.offset + piece.size == piece.length:
                self._complete(part, piece.sha256)
        except OSError as error:
            raise RefusedError(
                f"The file cannot be kept: {error.strerror}.", remedy="Make room on the disk."
            ) from error

    def _complete(self, part: Path, sha256: str) -> None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            part.unlink()
            raise RefusedError(
                f"What came is {found}, not {sha256}.", field="sha256", remedy="Send the file again from its beginning."
            )
        place = self.folder / object_path(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)

    def _part(self, sha256: str) -> Path:
        return self._incoming / f"{sha256}.part"

    def _has(self, sha256: str, length: int) -> bool:
        found = self.find(object_path(sha256))
        return found is not None and found[1].st_size == length

    # --- Publishing -----------------------------------------------------------------------------------------

    def publish(self, publication: Publication) -> dict[str, Listed]:
        """Show new metadata, when they hold together and every file they speak of is here. What is listed then.

        Raises:
            RefusedError: says what does not hold; nothing has changed for clients.
        """
        with self._lock:
            metadata = {name: text.encode() for name, text in publication.metadata.items()}
            listed = self._check(metadata)
            try:
                for application, one in listed.items():
                    self._place_list(application, one.sha256)
                for name in sorted(metadata, key=lambda name: name == "timestamp.json"):  # the switch is last
                    write_private(self._metadata / name, metadata[name])
            except OSError as error:
                raise RefusedError(
                    f"The metadata cannot be kept: {error.strerror}.", remedy="Make room on the disk."
                ) from error
            return listed

    def listed(self) -> dict[str, Listed]:
        """What the visible metadata list; empty when there are none, or when they cannot be read.

        Raises:
            RefusedError: they are damaged.
        """
        if not (self._metadata / "timestamp.json").exists():
            return {}
        return self._check({}, whole=False)

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever other metadata are visible."""
        try:
            found = (self._metadata / "timestamp.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _place_list(self, application: str, sha256: str) -> None:
        place = self.folder / list_path(application, sha256)
        if not place.exists():
            write_private(place, (self.folder / object_path(sha256)).read_bytes())

    def _check(self, new: Mapping[str, bytes], *, whole: bool = True) -> dict[str, Listed]:
        # Here, since SMServer starts a third of a second earlier without it.
        from tuf.api.exceptions import RepositoryError  # noqa: PLC0415
        from tuf.api.serialization import DeserializationError  # noqa: PLC0415

        from servers.smserver.release_metadata import Shown  # noqa: PLC0415

        names = [path.name for path in self._metadata.iterdir()] if self._metadata.is_dir() else []
        try:
            targets = Shown(new, self._kept, names).targets()
        except (RepositoryError, DeserializationError, KeyError, ValueError, AttributeError, TypeError) as error:
            said = str(error) or type(error).__name__
            raise RefusedError(
                f"The metadata do not hold together: {said[:300]}.",
                field="metadata",
                remedy="Sign them again with `vigil release sign`, and publish all of them.",
            ) from error
        found: dict[str, Listed] = {}
        for path, target in targets.items():
            application = path.partition("/")[0]
            if path != target_path(application) or "sha256" not in target.hashes:
                raise RefusedError(f"{path!r} is no release of an application.", field="metadata")
            release = self._release(application, target.hashes["sha256"], target.length)
            if whole:
                self._require(release)
            found[application] = Listed(release.version, target.hashes["sha256"])
        return found

    def _kept(self, name: str) -> bytes | None:
        try:
            return (self._metadata / name).read_bytes()
        except OSError:
            return None

    def _release(self, application: str, sha256: str, length: int) -> Release:
        found = self.find(list_path(application, sha256)) or self.find(object_path(sha256))
        if found is None or found[1].st_size != length or length > LONGEST_LIST:
            raise RefusedError(
                f"The metadata speak of a list of {application} that is not here: {sha256}.",
                field="metadata",
                remedy="Send all files first, then the metadata.",
            )
        content = found[0].read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise RefusedError(f"The list of {application} is not what its hash says.", field="metadata")
        try:
            release = Release.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise RefusedError(f"The list of {application} is none: {first['msg']}.", field="metadata") from error
        if release.application != application:
            raise RefusedError(f"The list of {application} is that of {release.application}.", field="metadata")
        return release

    def _require(self, release: Release) -> None:
        absent = [file.path for file in release.files if not self._has(file.sha256, file.length)]
        if absent:
            raise RefusedError(
                f"{len(absent)} files of {release.application} {release.version} are not here, {absent[0]} among them.",
                field="metadata",
                remedy="Send all files first, then the metadata.",
            )
