"""What a release of an application consists of. TUF's metadata vouch for one such list per application.

Paths are checked here, once, for all who write files because a list says so: nothing in a release can name a place
outside its own folder, on any system.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from broker.model.base import Value, Word

MOST_FILES = 50_000
LONGEST_FILE = 4 << 30
"""Bytes."""
LONGEST_LIST = 32 << 20
"""Bytes of a release's list: what VAU is ready to read."""

FORBIDDEN = frozenset('\\:*?"<>|')
"""Characters that mean something to one file system or another."""

DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
"""Names that are no files on Windows, whatever follows their first dot."""


def check_path(path: str) -> str:
    """A relative path with `/` between plain names; everything else is a `ValueError` that says what is wrong."""
    if len(path) > 1000:  # noqa: PLR2004 - file systems end near there
        raise ValueError("the path is longer than 1,000 characters")
    for name in path.split("/"):
        if name in ("", ".", ".."):
            raise ValueError(f"{path!r} is no path below the application's folder")
        if len(name.encode()) > 255:  # noqa: PLR2004 - the longest name of common file systems
            raise ValueError(f"{path!r} has a name longer than 255 bytes")
        if not name.isprintable() or FORBIDDEN & set(name) or name[-1] in " .":
            raise ValueError(f"{path!r} has a name that not every system can hold")
        if name.split(".")[0].lower() in DEVICES:
            raise ValueError(f"{path!r} names a device on some systems")
    return path


FilePath = Annotated[str, AfterValidator(check_path)]
"""A path inside an application's folder."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

VersionName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$")]
"""What people call a version, e.g. 1.4.2; a part of a folder's name."""

ModuleName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200)
]


class Block(NamedTuple):
    """A piece of a long file, so that a small change costs little."""

    length: int
    sha256: str


class ReleaseFile(Value):
    """One file of an application."""

    path: FilePath
    length: int = Field(ge=0, le=LONGEST_FILE, description="Bytes.")
    sha256: Sha256
    executable: bool = False
    blocks: tuple[tuple[Annotated[int, Field(gt=0)], Sha256], ...] = Field(
        (), description="Length and SHA-256 of each piece, in order; empty: the file is one piece."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.blocks and sum(length for length, _ in self.blocks) != self.length:
            raise ValueError(f"the pieces of {self.path} are not as long as the file")
        return self

    def pieces(self) -> Iterator[tuple[int, Block]]:
        """Offset and block of each piece; one for a file without blocks, none for an empty file."""
        offset = 0
        for length, sha256 in self.blocks or (((self.length, self.sha256),) if self.length else ()):
            yield offset, Block(length, sha256)
            offset += length


class Release(Value):
    """One version of one application: its files and how Python starts it."""

    application: Word
    version: VersionName
    python: Annotated[str, StringConstraints(pattern=r"^3\.[0-9]{1,2}$")] = Field(
        description="The Python it was built for, e.g. 3.11."
    )
    module: ModuleName = Field(description="What `python -m` runs; found in the folder `lib` of the tree.")
    arguments: tuple[Annotated[str, StringConstraints(max_length=200)], ...] = Field((), max_length=20)
    self_contained: bool = Field(
        default=False, description="Whether `lib` holds all libraries; if not, those of VAU's Python are used too."
    )
    files: tuple[ReleaseFile, ...] = Field(min_length=1, max_length=MOST_FILES)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """No two files that some file system would take for one, and none in the place of a folder."""
        seen: set[str] = set()
        folders: set[str] = set()
        for file in self.files:
            name = file.path.casefold()
            if name in seen:
                raise ValueError(f"{file.path} is there twice")
            seen.add(name)
            while "/" in name:
                name = name.rpartition("/")[0]
                if name in folders:
                    break
                folders.add(name)
        if both := seen & folders:
            raise ValueError(f"{min(both)} is a file and a folder")
        return self

    @property
    def length(self) -> int:
        """Bytes of all files together."""
        return sum(file.length for file in self.files)


def target_path(application: str) -> str:
    """The name under which TUF's metadata list an application's release."""
    return f"{application}/release.json"


def object_path(sha256: str) -> str:
    """Where a file lies below `/updates/`, by its content."""
    return f"objects/{sha256[:2]}/{sha256}"


def list_path(application: str, sha256: str) -> str:
    """Where the list of a release lies below `/updates/` (TUF 1.0, section 6.2: consistent snapshots)."""
    return f"targets/{application}/{sha256}.release.json"


# --- How a release is handed to SMServer ------------------------------------------------------------------------

METADATA_NAME = r"^([1-9][0-9]{0,8}\.(root|targets|snapshot)|timestamp)\.json$"
"""The names of TUF's files, with consistent snapshots (TUF 1.0, section 6.2)."""


class WantedObject(Value):
    """A file that a release needs."""

    sha256: Sha256
    length: int = Field(ge=0, le=LONGEST_FILE)


class WantedObjects(Value):
    """The files that a release needs; of these, SMServer names those it does not have."""

    objects: tuple[WantedObject, ...] = Field(max_length=MOST_FILES)


class MissingObject(Value):
    """A file that SMServer does not have, or not to its end."""

    sha256: Sha256
    received: int = Field(0, ge=0, description="Bytes that are there already.")


class MissingObjects(Value):
    """What is still to be sent."""

    objects: tuple[MissingObject, ...]


class Piece(Value):
    """A run of bytes of a file, in the body of one upload."""

    sha256: Sha256
    length: int = Field(ge=0, le=LONGEST_FILE, description="Of the whole file, in bytes.")
    offset: int = Field(ge=0, description="Where in the file this run begins.")
    size: int = Field(ge=0, description="Bytes of this run; they follow the head in the order of the pieces.")


class UploadHead(Value):
    """The first line of an upload's body: what the bytes behind its line feed are."""

    pieces: tuple[Piece, ...] = Field(min_length=1, max_length=MOST_FILES)


class Publication(Value):
    """New metadata, shown to clients as one step when all files they speak of are there."""

    metadata: dict[Annotated[str, StringConstraints(pattern=METADATA_NAME)], str] = Field(
        min_length=1, max_length=64, description="TUF's files by name, as they were signed."
    )


class Published(Value):
    """What clients find now."""

    releases: dict[Word, str] = Field(description="The version of each application.")
