"""What the applications of this project consist of, and how their trees are gathered from the installed distribution.

A tree has one folder, `lib`, which holds everything that Python imports: this project's packages, and (unless left
out) the libraries that the application needs. VAU's own Python runs it, so a tree holds no interpreter.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from clients.release.errors import ReleaseError

DESKTOP = (
    "av",
    "cryptography",
    "httpx",
    "joserfc",
    "numpy",
    "prometheus-client",
    "pydantic",
    "pydantic-settings",
    "pyside6-addons",
    "rich",
    "structlog",
    "typer",
    "tzdata",
    "websockets",
)
"""The libraries of the desktop applications; what these need themselves is found."""

OUR_PLACES = ("broker", "clients", "servers/__init__.py", "servers/net", "servers/wire", "vigil/__init__.py")
"""What clients may import, and `vigil/__main__.py`, which finds the application's command."""


class Builtin(NamedTuple):
    """An application of this project."""

    module: str
    arguments: tuple[str, ...]
    libraries: tuple[str, ...]


BUILTIN = {
    "spotter": Builtin("vigil", ("spotter",), DESKTOP),
    "system-manager": Builtin("vigil", ("system-manager",), DESKTOP),
}

LEFT_OUT = re.compile(r"(^|/)(__pycache__|tests?|\.[^/]*)(/|$)|\.py[co]$")


def gather(application: str, *, libraries: bool) -> dict[str, Path]:
    """The files of one of this project's applications, by their place in the tree.

    Raises:
        ReleaseError: there is no such application, or a library is not installed.
    """
    if application not in BUILTIN:
        raise ReleaseError(
            f"{application} is none of this project's applications ({', '.join(BUILTIN)}): give its folder."
        )
    files: dict[str, Path] = {}
    for place in (*OUR_PLACES, "vigil/__main__.py"):
        for name, path in _ours(place):
            files[f"lib/{name}"] = path
    if libraries:
        for name in sorted(_closure(BUILTIN[application].libraries)):
            for inside, path in _files_of(_distribution(name)):
                files.setdefault(f"lib/{inside}", path)
    return files


def from_folder(folder: Path) -> dict[str, Path]:
    """The files of an application's folder, by their place in the tree.

    Raises:
        ReleaseError: there is nothing in it, or a link leads out of it.
    """
    home = folder.resolve()
    if not home.is_dir():
        raise ReleaseError(f"{folder} is no folder.")
    files: dict[str, Path] = {}
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if "__pycache__" in name.split("/") or not path.is_file():
            continue
        if not path.resolve().is_relative_to(home):
            raise ReleaseError(f"{name} is a link that leads out of {folder}: put the file itself there.")
        files[name] = path
    if not files:
        raise ReleaseError(f"{folder} is empty.")
    return files


def has_module(files: dict[str, Path], module: str) -> bool:
    """Whether `python -m module` finds something to run in the tree."""
    inside = "lib/" + module.replace(".", "/")
    return f"{inside}.py" in files or f"{inside}/__main__.py" in files


def _ours(place: str) -> Iterator[tuple[str, Path]]:
    package, _, rest = place.partition("/")
    spec = find_spec(package)
    assert spec is not None, "these packages are installed with this one"
    assert spec.origin, "they are no namespace packages"
    home = Path(spec.origin).parent
    start = home / rest if rest else home
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        name = path.relative_to(home.parent).as_posix()
        if path.is_file() and not LEFT_OUT.search(name):
            yield name, path


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise ReleaseError(
            f"The library {name} is not installed here: install Vigil with its desktop extra,"
            " or leave libraries out with --no-libraries."
        ) from error


def _closure(names: tuple[str, ...]) -> set[str]:
    """These distributions and what they need, as far as it is installed: what is for other systems is not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        needs = _distribution(name).requires or []
        found.add(name)
        for need in needs:
            wanted = re.match(r"[A-Za-z0-9._-]+", need)
            if wanted is None or "extra ==" in need:
                continue
            try:
                distribution(wanted[0])
            except PackageNotFoundError:
                continue
            waiting.append(wanted[0])
    return found


def _files_of(library: Distribution) -> Iterator[tuple[str, Path]]:
    for file in library.files or ():
        name = file.as_posix()
        path = Path(str(library.locate_file(file)))
        if ".." in file.parts or file.is_absolute() or LEFT_OUT.search(name) or not path.is_file():
            continue  # scripts outside site-packages, caches, tests
        yield name, path


def python_version() -> str:
    """The Python for which compiled libraries of this environment are made, e.g. 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
