"""Makes a release of an application's files: each file goes into the repository under its hash, once."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from broker.model.releases import Release, ReleaseFile, object_path
from clients.release.applications import has_module, python_version
from clients.release.blocks import blocks_of
from clients.release.errors import ReleaseError
from clients.release.repository import Repository

COPIERS = 2


def build(
    repository: Repository,
    files: Mapping[str, Path],
    *,
    application: str,
    version: str,
    module: str,
    arguments: Sequence[str] = (),
    self_contained: bool = False,
    python: str = "",
    progress: Callable[[int], object] = lambda _bytes: None,
) -> Release:
    """Store the files and stage the release; `progress` hears of each file's bytes. Signed later.

    Raises:
        ReleaseError: a name is not valid, the module is missing, or the disk is full.
    """
    if not has_module(dict(files), module):
        raise ReleaseError(
            f"Python would find nothing to run: lib/{module.replace('.', '/')}.py is not in the tree. See --module."
        )

    def one(item: tuple[str, Path]) -> ReleaseFile:
        file = _store(repository, *item)
        progress(file.length)
        return file

    try:
        with ThreadPoolExecutor(COPIERS) as pool:
            listed = tuple(pool.map(one, sorted(files.items())))
        release = Release(
            application=application,
            version=version,
            python=python or python_version(),
            module=module,
            arguments=tuple(arguments),
            self_contained=self_contained,
            files=listed,
        )
        repository.stage(release)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReleaseError(f"{where or 'The release'}: {first['msg'].removeprefix('Value error, ')}.") from error
    except OSError as error:
        raise ReleaseError(f"{error.filename or repository.folder}: {error.strerror}.") from error
    return release


def _store(repository: Repository, name: str, path: Path) -> ReleaseFile:
    with tempfile.TemporaryDirectory(dir=_incoming(repository)) as folder:
        staged = Path(folder) / "file"
        shutil.copyfile(path, staged)  # hash what was stored, even if somebody writes to the original meanwhile
        with staged.open("rb") as stored:
            sha256 = hashlib.file_digest(stored, "sha256").hexdigest()
        file = ReleaseFile(
            path=name,
            length=staged.stat().st_size,
            sha256=sha256,
            executable=os.access(path, os.X_OK),
            blocks=blocks_of(staged),
        )
        place = repository.folder / object_path(sha256)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.chmod(0o644)
            staged.replace(place)
    return file


def _incoming(repository: Repository) -> Path:
    folder = repository.folder / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
