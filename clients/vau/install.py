"""Makes the tree of a release: what is on this computer already is linked, the rest comes from SMServer.

Every byte is hashed before it counts: the unchanged files of earlier trees too, since a disk may have damaged them.
A file is finished under another name and then renamed, so that whatever is in `staging/` after a cut is whole;
of a long file the pieces that are there are found again by their hashes.
"""

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path
from threading import Event, Lock
from typing import NamedTuple

from broker.model.releases import Release, ReleaseFile, object_path
from clients.vau.errors import DiskError, RefusedError, UnreachableError, VauError
from clients.vau.place import Place, Tree, moment_of
from clients.vau.transport import StatusError, Transport

AT_ONCE = 6
"""Downloads at a time."""
LONGEST_RUN = 4 << 20
"""Bytes asked for in one request; longer stretches are shared between connections."""
TRIES = 4
"""A cut connection is taken up again so often, with what is still missing."""
RESERVE = 16 << 20
"""Bytes that stay free on the disk."""
PULSE_S = 0.1


class Earlier(NamedTuple):
    """A tree that is here, and what it consists of."""

    folder: Path
    release: Release


class Run(NamedTuple):
    """A stretch of a file that is fetched in one request."""

    file: ReleaseFile
    start: int
    pieces: tuple[tuple[int, str], ...]
    """Length and SHA-256 of each."""

    @property
    def length(self) -> int:
        """Bytes."""
        return sum(length for length, _ in self.pieces)


class Pulse:
    """Hears how a download goes, always in the thread that asked for it."""

    def begin(self, total: int) -> None:
        """So many bytes are to come."""

    def went_on(self, done: int) -> None:
        """So many of them are here."""

    def close(self) -> None:
        """The download is over, well or not."""


class Wanted(NamedTuple):
    """A release that is to be on this computer."""

    tree: Tree
    release: Release
    content: bytes
    """Its list, as it was signed."""


def install(place: Place, wanted: Wanted, transport: Transport, pulse: Pulse) -> None:
    """Make the tree; when this returns it is whole, on the disk, and in its place.

    Raises:
        RefusedError: something that came is not what the list says.
        UnreachableError: the connection was cut; what is here stays for the next time.
        DiskError: the disk is full or cannot be written.
    """
    try:
        _Installation(place, wanted, transport, pulse).make()
    except OSError as error:
        raise _disk_error(error, place, wanted.release) from error


class _Installation:
    def __init__(self, place: Place, wanted: Wanted, transport: Transport, pulse: Pulse) -> None:
        self._place = place
        self._tree, self._release, self._content = wanted
        self._transport = transport
        self._pulse = pulse
        self._staging = place.staging / self._tree.name
        self._files = self._staging / "files"
        self._parts = self._staging / "parts"
        self._stop = Event()
        self._lock = Lock()
        self._done = 0

    def make(self) -> None:
        self._prepare()
        sys.audit("vigil.vau.step", "prepared")
        earlier = self._earlier()
        missing = [file for file in self._release.files if not self._reuse(file, earlier)]
        sys.audit("vigil.vau.step", "reused")
        once = {file.sha256: file for file in missing}
        runs = [run for file in once.values() for run in self._runs(file, earlier)]
        self._check_room(sum(run.length for run in runs))
        self._fetch(runs)
        sys.audit("vigil.vau.step", "fetched")
        for file in missing:
            self._finish(file)
        self._settle()

    # --- What is here already -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._place.staging.mkdir(parents=True, exist_ok=True)
        for other in self._place.staging.iterdir():
            if other != self._staging:  # of a release that is not wanted any more
                shutil.rmtree(other)
        self._parts.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(exist_ok=True)
        wanted = {file.path for file in self._release.files}
        for path in list(self._files.rglob("*")):
            if not path.is_dir() and path.relative_to(self._files).as_posix() not in wanted:
                path.unlink()

    def _earlier(self) -> list[Earlier]:
        """The trees on this computer, and what an interrupted start has left in `staging/`."""
        found = [Earlier(self._files, self._release)]
        for path in sorted(self._place.trees.glob("*.json")):
            with suppress(OSError, ValueError):
                release = Release.model_validate_json(path.read_bytes())
                found.append(Earlier(path.parent / path.name.removesuffix(".json"), release))
        return found

    def _reuse(self, file: ReleaseFile, earlier: Sequence[Earlier]) -> bool:
        """Take a file from an earlier tree, if it is there and is what it should be."""
        target = self._files / file.path
        for one in earlier:
            for known in _same_content(one, file):
                source = one.folder / known.path
                if not _is(source, file):
                    continue
                if source != target:
                    _link(source, target, same_mode=known.executable == file.executable)
                    _link_cache(source, target)
                _settle_file(target, file)
                return True
        target.unlink(missing_ok=True)
        return False

    def _runs(self, file: ReleaseFile, earlier: Sequence[Earlier]) -> Iterable[Run]:
        """Begin a file's part with the pieces that are here; what is to be fetched is left."""
        part = self._parts / file.sha256
        present = _Pieces(part, file) if part.exists() else None
        sources = _SourcePieces(earlier, file)
        wanted: list[tuple[int, str]] = []
        start = 0
        with part.open("r+b" if part.exists() else "xb") as out:
            out.truncate(file.length)
            for offset, block in file.pieces():
                data = None
                if present is not None and present.holds(offset, block.length, block.sha256):
                    here = True
                else:
                    data = sources.find(block.length, block.sha256)
                    here = data is not None
                if data is not None:
                    out.seek(offset)
                    out.write(data)
                full = sum(length for length, _ in wanted) + block.length > LONGEST_RUN
                if wanted and (here or full):
                    yield Run(file, start, tuple(wanted))
                    wanted = []
                if not here:
                    start = start if wanted else offset
                    wanted.append((block.length, block.sha256))
            if wanted:
                yield Run(file, start, tuple(wanted))

    # --- What comes from SMServer ---------------------------------------------------------------------------

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._staging).free
        if needed and free < needed + RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._staging))

    def _fetch(self, runs: Sequence[Run]) -> None:
        if not runs:
            return
        self._pulse.begin(sum(run.length for run in runs))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="vau") as pool:
            waiting = {pool.submit(self._fetch_run, run) for run in runs}
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=PULSE_S, return_when=FIRST_EXCEPTION)
                    self._pulse.went_on(self._done)
                    for future in done:
                        future.result()
            except BaseException:
                self._stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _fetch_run(self, run: Run) -> None:
        pieces, start = list(run.pieces), run.start
        for number in range(TRIES):
            if self._stop.is_set():
                return
            try:
                start = self._receive(run.file, start, pieces)
            except UnreachableError:
                if number == TRIES - 1:
                    raise
                self._stop.wait(0.2 * 2**number)
            if not pieces:
                return
            start = run.start + run.length - sum(length for length, _ in pieces)

    def _receive(self, file: ReleaseFile, start: int, pieces: list[tuple[int, str]]) -> int:
        """Fetch from `start` on; a piece whose hash is right is written and taken off the list."""
        length = sum(size for size, _ in pieces)
        path = "/updates/" + object_path(file.sha256)
        held = bytearray()
        sys.audit("vigil.vau.step", "receiving")
        try:
            with (self._parts / file.sha256).open("r+b") as out:
                for chunk in self._transport.stream(path, most=length, start=start, length=length):
                    if self._stop.is_set():
                        return start
                    held += chunk
                    with self._lock:
                        self._done += len(chunk)
                    while pieces and len(held) >= pieces[0][0]:
                        size, sha256 = pieces[0]
                        if not is_content(memoryview(held)[:size], sha256):
                            raise RefusedError(f"What came as {file.path} is not the file that was signed.")
                        out.seek(start)
                        out.write(bytes(held[:size]))
                        del held[:size], pieces[0]
                        start += size
        except StatusError as error:
            raise UnreachableError(
                f"SMServer at {self._transport.address.url} does not give out {file.path} (status {error.status})."
            ) from error
        finally:
            with self._lock:
                self._done -= len(held)  # of a piece that was cut: it comes again
        return start

    # --- The end --------------------------------------------------------------------------------------------

    def _finish(self, file: ReleaseFile) -> None:
        part = self._parts / file.sha256
        target = self._files / file.path
        if part.exists():
            with part.open("r+b") as whole:
                if not is_content(whole, file.sha256):
                    raise RefusedError(f"What came as {file.path} is not the file that was signed.")
                os.fsync(whole.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        else:  # another file with the same content was finished before
            twin = next(
                one for one in self._release.files if one.sha256 == file.sha256 and _is(self._files / one.path, one)
            )
            _link(self._files / twin.path, target, same_mode=twin.executable == file.executable)
        _settle_file(target, file)

    def _settle(self) -> None:
        """Put the tree in its place. The list comes first, for a tree without one would never be found again."""
        self._place.trees.mkdir(exist_ok=True)
        folder, listed = self._place.folder_of(self._tree), self._place.list_of(self._tree)
        handle, name = tempfile.mkstemp(dir=self._place.trees)
        with os.fdopen(handle, "wb") as file:
            file.write(self._content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(listed)
        sys.audit("vigil.vau.step", "listed")
        if folder.exists():  # damaged: this one takes its place
            shutil.rmtree(self._staging / "old", ignore_errors=True)
            folder.rename(self._staging / "old")
        self._files.rename(folder)
        handle = os.open(self._place.trees, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sys.audit("vigil.vau.step", "placed")
        shutil.rmtree(self._staging, ignore_errors=True)


class _Pieces:
    """The pieces that an interrupted download has left in a part."""

    def __init__(self, part: Path, file: ReleaseFile) -> None:
        self._data = part.read_bytes() if part.stat().st_size == file.length else b""

    def holds(self, offset: int, length: int, sha256: str) -> bool:
        data = memoryview(self._data)[offset : offset + length]
        return len(data) == length and is_content(data, sha256)


class _SourcePieces:
    """Pieces of files on this computer, by their hash; read when asked for."""

    def __init__(self, earlier: Sequence[Earlier], file: ReleaseFile) -> None:
        wanted = {sha256 for _, sha256 in file.blocks}
        self._places: dict[str, list[tuple[Path, int]]] = {}
        for one in earlier if wanted else ():
            for known in one.release.files:
                if known.blocks:
                    for offset, block in known.pieces():
                        if block.sha256 in wanted:
                            self._places.setdefault(block.sha256, []).append((one.folder / known.path, offset))

    def find(self, length: int, sha256: str) -> bytes | None:
        for path, offset in self._places.get(sha256, ()):
            with suppress(OSError), path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
                if is_content(data, sha256):
                    return data
        return None


def is_content(data: bytes | memoryview | BufferedIOBase, sha256: str) -> bool:
    """Whether these bytes, or those of an open file, are the ones that a list means: the check on all that is used."""
    if isinstance(data, bytes | memoryview):
        return hashlib.sha256(data).hexdigest() == sha256
    return hashlib.file_digest(data, "sha256").hexdigest() == sha256


def _same_content(one: Earlier, file: ReleaseFile) -> Iterable[ReleaseFile]:
    return (known for known in one.release.files if known.sha256 == file.sha256)


def _is(path: Path, file: ReleaseFile) -> bool:
    """Whether a file is what the list says, by its hash."""
    try:
        stat = path.lstat()
        if stat.st_size != file.length or path.is_symlink():
            return False
        with path.open("rb") as opened:
            return is_content(opened, file.sha256)
    except OSError:
        return False


def _link(source: Path, target: Path, *, same_mode: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if same_mode:
        with suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return
    temporary = target.with_name(f".{target.name}.vau")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def _link_cache(source: Path, target: Path) -> None:
    """Python's compiled form of an unchanged module stays good: it goes by time and length, which stay."""
    if source.suffix != ".py":
        return
    for cached in source.parent.glob(f"__pycache__/{source.stem}.{sys.implementation.cache_tag}*.pyc"):
        with suppress(OSError):
            into = target.parent / "__pycache__" / cached.name
            into.parent.mkdir(exist_ok=True)
            os.link(cached, into)


def _settle_file(path: Path, file: ReleaseFile) -> None:
    """The mode and the time by which VAU knows its files; nobody writes into them."""
    stat = path.stat()
    mode = 0o555 if file.executable else 0o444
    if stat.st_mode & 0o777 != mode:
        path.chmod(mode)
    if int(stat.st_mtime) != moment_of(file):
        os.utime(path, (moment_of(file), moment_of(file)))


def _disk_error(error: OSError, place: Place, release: Release) -> VauError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskError(
            f"The disk is full: {place.application} {release.version} needs up to"
            f" {(release.length + RESERVE) // 1_000_000 + 1} MB in {place.home}. Make room and start again."
        )
    return DiskError(f"{error.filename or place.home} cannot be written: {error.strerror}.")
