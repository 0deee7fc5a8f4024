"""Files with secrets: mode 0600, written whole or not at all, made once even when two processes start together."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by `data`, readable by its owner only; after a crash it is the old or the new one."""
    staged = _stage(path, data)
    try:
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def read_or_create_private(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a file, made if there is none. Whoever comes second gets what the first one made."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        staged = _stage(path, make())
    try:
        os.link(staged, path)
    except FileExistsError:
        pass  # another process was faster; its file counts
    finally:
        staged.unlink(missing_ok=True)
    return path.read_bytes()


def create_private(path: Path) -> None:
    """Make an empty file if there is none, for who fills it itself: SQLite gives its other files the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _stage(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
