"""Where VAU keeps an application of one site, and what it remembers of it.

<folder>/<site>/<application>/
    lock               held while this folder is changed: two VAUs at once take turns
    state.json         which tree starts; replacing it is the switch from one version to another
    metadata/          TUF's, so that nothing older is ever believed
    trees/             one per version: <version>-<hash>, and beside it the list of its files and its lock
    staging/           the tree that is being made; what is in it is taken up again after a cut
    launches/          what each start told its application, and whether that reported healthy
<folder>/<site>/configuration.json
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from stat import S_ISREG

from pydantic import Field, ValidationError

from broker.model.base import Instant, Value
from broker.model.releases import Release, ReleaseFile, Sha256, VersionName
from broker.trust.keyfile import write_private
from clients.vau.errors import DiskError

KEPT_FAILURES = 10
KEPT_LAUNCHES = 20
FIRST_MOMENT = 1_000_000_000


def moment_of(file: ReleaseFile) -> int:
    """The modification time, in seconds, that VAU gives a file: by its content.

    A file that was changed by anybody else shows; Python's caches, which go by time and length, stay right.
    """
    return FIRST_MOMENT + int(file.sha256[:7], 16)


class Tree(Value):
    """A version that is on this computer, whole."""

    version: VersionName
    sha256: Sha256 = Field(description="Of the list of its files.")

    @property
    def name(self) -> str:
        """Its folder under `trees/`."""
        return f"{self.version}-{self.sha256[:16]}"


class Failed(Value):
    """A version that did not work here."""

    version: str
    sha256: Sha256
    at: Instant
    why: str


class State(Value):
    """What VAU remembers of an application."""

    current: Tree | None = Field(None, description="What starts next.")
    good: Tree | None = Field(None, description="The last one that has reported healthy.")
    tries: int = Field(0, ge=0, description="Starts of the current one without a report.")
    failed: tuple[Failed, ...] = ()

    def has_failed(self, sha256: str) -> Failed | None:
        """Whether this release did not work here."""
        return next((one for one in self.failed if one.sha256 == sha256), None)

    def switched_to(self, tree: Tree) -> "State":
        """A new version is whole and starts next; the last good one stays."""
        return self.model_copy(update={"current": tree, "tries": 0})

    def reported_healthy(self, tree: Tree) -> "State":
        """A version works; if it is the current one, it is the one to come back to."""
        if tree != self.current:
            return self
        failed = tuple(one for one in self.failed if one.sha256 != tree.sha256)
        return self.model_copy(update={"good": tree, "tries": 0, "failed": failed})

    def fell_back(self, tree: Tree, why: str, at: datetime) -> "State":
        """A version does not work: the last good one is current again, where there is one."""
        others = tuple(one for one in self.failed if one.sha256 != tree.sha256)
        failed = (*others, Failed(version=tree.version, sha256=tree.sha256, at=at, why=why))[-KEPT_FAILURES:]
        if tree != self.current:
            return self.model_copy(update={"failed": failed})
        good = self.good if self.good != tree else None
        return self.model_copy(update={"failed": failed, "current": good or tree, "good": good, "tries": 0})


class Place:
    """The folder of one application of one site."""

    def __init__(self, folder: Path, application: str) -> None:
        self.application = application
        self.site = folder
        self.home = folder / application
        self.configuration = folder / "configuration.json"
        self.metadata = self.home / "metadata"
        self.trees = self.home / "trees"
        self.staging = self.home / "staging"
        self.launches = self.home / "launches"
        self._releases: dict[str, Release] = {}

    @contextmanager
    def locked(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Alone in this folder; the system ends the lock with the process, however that ends.

        `waiting` is called once when another VAU has to be waited for.

        Raises:
            DiskError: the folder cannot be made.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DiskError(f"{self.home} cannot be written: {error.strerror}.") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- State ----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What is remembered. A damaged file counts as none: whole trees that are here are found again."""
        try:
            return State.model_validate_json((self.home / "state.json").read_bytes())
        except (OSError, ValidationError):
            return self._found_again()

    def remember(self, state: State) -> None:
        """Keep a state, as one step.

        Raises:
            DiskError: it cannot be kept.
        """
        try:
            write_private(self.home / "state.json", state.model_dump_json().encode())
        except OSError as error:
            raise DiskError(f"{self.home} cannot be written: {error.strerror}.") from error

    def _found_again(self) -> State:
        whole = [tree for path in self.trees.glob("*.json") if (tree := self._tree_of(path)) is not None]
        newest = max(whole, key=lambda tree: self.list_of(tree).stat().st_mtime, default=None)
        return State(current=newest)

    def _tree_of(self, path: Path) -> Tree | None:
        try:
            release = Release.model_validate_json(path.read_bytes())
            tree = Tree(version=release.version, sha256=_sha256(path.read_bytes()))
        except (OSError, ValidationError):
            return None
        return tree if tree.name == path.stem and self.folder_of(tree).is_dir() else None

    # --- Trees ----------------------------------------------------------------------------------------------

    def folder_of(self, tree: Tree) -> Path:
        """Where a tree lies."""
        return self.trees / tree.name

    def list_of(self, tree: Tree) -> Path:
        """The list of its files, as it was signed."""
        return self.trees / f"{tree.name}.json"

    def release_of(self, tree: Tree | None) -> Release | None:
        """What a tree consists of; none when its list is gone or is not the one it was made from."""
        if tree is None:
            return None
        known = self._releases.get(tree.sha256)
        if known is None:
            try:
                content = self.list_of(tree).read_bytes()
                if _sha256(content) != tree.sha256:
                    return None
                known = self._releases[tree.sha256] = Release.model_validate_json(content)
            except (OSError, ValidationError):
                return None
        return known

    def damaged(self, tree: Tree, release: Release) -> list[str]:
        """The files of a tree that are missing, or were changed after VAU wrote them."""
        home = os.fspath(self.folder_of(tree))
        found = []
        for file in release.files:
            try:
                stat = os.lstat(f"{home}/{file.path}")
            except OSError:
                found.append(file.path)
                continue
            if not S_ISREG(stat.st_mode) or stat.st_size != file.length or int(stat.st_mtime) != moment_of(file):
                found.append(file.path)
        return found

    @contextmanager
    def held(self, tree: Tree) -> Iterator[int]:
        """A file descriptor that, while anybody has it open, keeps a tree from being removed."""
        handle = os.open(self.trees / f"{tree.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield handle
        finally:
            os.close(handle)

    def tidy(self, state: State) -> None:
        """Remove trees that nobody needs or runs, and old launches. What cannot be removed stays."""
        keep = {tree.name for tree in (state.current, state.good) if tree is not None}
        with suppress(OSError):
            for path in list(self.trees.iterdir()):
                if path.is_dir() and path.name not in keep:
                    self._remove(path.name)
        with suppress(OSError):
            oldest = sorted(self.launches.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT_LAUNCHES]
            for path in oldest:
                shutil.rmtree(path, ignore_errors=True)

    def _remove(self, name: str) -> None:
        lock = self.trees / f"{name}.lock"
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # an application still runs from it
        finally:
            os.close(handle)
        (self.trees / f"{name}.json").unlink(missing_ok=True)
        shutil.rmtree(self.trees / name, ignore_errors=True)
        lock.unlink(missing_ok=True)

    # --- Launches -------------------------------------------------------------------------------------------

    def reports(self) -> Iterator[str]:
        """The hash of each release that reported healthy although the VAU that started it has not lived to see it."""
        with suppress(OSError):
            for path in self.launches.iterdir():
                if (path / "healthy").exists():
                    with suppress(OSError, ValueError, KeyError):
                        yield str(json.loads((path / "launch.json").read_bytes())["sha256"])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
