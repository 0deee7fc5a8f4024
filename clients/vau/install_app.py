"""`vigil install-app`: puts VAU's trust and the launchers of applications in place, and takes them away again."""

import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.vau.command import default_folder
from clients.vau.errors import VauError

NAMES = {"spotter": "Spotter", "system-manager": "System Manager"}
COMMENTS = {
    "spotter": "Watch live and recorded video, and answer alarms",
    "system-manager": "Configure servers, cameras, alarms and users",
}
FAILED = 1
MARK = "# Written by `vigil install-app`; it replaces and removes this file."
LONGEST_ROOT = 100_000

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect width="64" height="64" rx="14" fill="#2563eb"/>
<path d="M8 32C14 20 22 15 32 15s18 5 24 17c-6 12-14 17-24 17S14 44 8 32z" fill="#fff"/>
<circle cx="32" cy="32" r="10" fill="#1e3a8a"/></svg>
"""


def install_app(
    app: Annotated[list[str] | None, typer.Option(help="spotter, system-manager; none: both.")] = None,
    *,
    server: Annotated[list[str] | None, typer.Option(help="SMServer: HOST, HOST:PORT; again for others.")] = None,
    root: Annotated[Path | None, typer.Option(help="The first root of updates, 1.root.json.")] = None,
    root_sha256: Annotated[
        str, typer.Option(help="Take the root from SMServer if it has this SHA-256.", show_default=False)
    ] = "",
    pin: Annotated[str, typer.Option(help="SHA-256 of the certificate that SMServer shows.")] = "",
    ca: Annotated[Path | None, typer.Option(help="Authorities trusted beside the system's (PEM).")] = None,
    prefix: Annotated[Path, typer.Option(help="Where programs and launchers go.")] = Path("~/.local"),
    remove: Annotated[bool, typer.Option("--remove", help="Take away what was put there, downloads included.")] = False,
) -> None:
    """Let the icons and commands of applications start VAU, which keeps them up to date."""
    applications = app or list(NAMES)
    home = prefix.expanduser().absolute()
    try:
        _require_known(applications)
        if remove:
            for path in _remove(home, applications):
                typer.echo(f"removed {path}")
            return
        command = _command(home, server or [], pin, ca)
        content = _root_of(root, server or [], root_sha256, pin, ca)
        for path in _install(home, applications, command, content):
            typer.echo(f"wrote {path}")
    except VauError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from error
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}.", err=True)
        raise typer.Exit(FAILED) from error
    if str(home / "bin") not in os.environ.get("PATH", "").split(os.pathsep):
        typer.echo(f"{home / 'bin'} is not in PATH; the entries in the menu work without it.", err=True)


def _require_known(applications: list[str]) -> None:
    for one in applications:
        if one not in NAMES:
            raise VauError(f"--app: {one} is none of {', '.join(NAMES)}.")


def _install(home: Path, applications: list[str], command: list[str], root: bytes) -> list[Path]:
    written = [_write(_trust(home), root.decode(), mode=0o644)]
    icon = _write(home / "share" / "icons" / "hicolor" / "scalable" / "apps" / "vigil.svg", ICON, mode=0o644)
    written.append(icon)
    for one in applications:
        line = shlex.join([*command, "--app", one])
        script = f'#!/bin/sh\n{MARK}\nexec {line} "$@"\n'
        program = home / "bin" / f"vigil-{one}"
        written.append(_write(program, script, mode=0o755))
        entry = "\n".join(
            (
                "[Desktop Entry]",
                MARK,
                "Type=Application",
                f"Name=Vigil {NAMES[one]}",
                f"Comment={COMMENTS[one]}",
                f"Exec={_for_desktop(str(program))}",
                f"Icon={icon}",
                "Terminal=false",
                "Categories=AudioVideo;Video;",
                "",
            )
        )
        written.append(_write(home / "share" / "applications" / f"vigil-{one}.desktop", entry, mode=0o644))
    return written


def _remove(home: Path, applications: list[str]) -> list[Path]:
    gone = []
    for one in applications:
        for path in (home / "bin" / f"vigil-{one}", home / "share" / "applications" / f"vigil-{one}.desktop"):
            if path.is_file() and MARK in path.read_text(errors="replace"):
                path.unlink()
                gone.append(path)
        folder = _trust(home).parent
        for path in folder.glob(f"*/{one}"):
            shutil.rmtree(path)
            gone.append(path)
    left = [path for one in NAMES if (path := home / "bin" / f"vigil-{one}").exists()]
    if not left:
        folder = _trust(home).parent
        icon = home / "share" / "icons" / "hicolor" / "scalable" / "apps" / "vigil.svg"
        if icon.exists():
            icon.unlink()
            gone.append(icon)
        if folder.exists():
            shutil.rmtree(folder)
            gone.append(folder)
    return gone


def _trust(home: Path) -> Path:
    """Where the first root lies: in VAU's folder, where it looks for it by itself."""
    folder = default_folder() if home == Path("~/.local").expanduser() else home / "share" / "vigil" / "vau"
    return folder / "root.json"


def _command(home: Path, server: list[str], pin: str, ca: Path | None) -> list[str]:
    from clients.vau.addresses import parse  # noqa: PLC0415 - pydantic, after wrong options were answered

    if not server:
        raise VauError("--server: say where SMServer is.")
    for one in server:
        try:
            parse(one)
        except ValueError as error:
            raise VauError(f"--server: {error}.") from error
    command = [sys.executable, "-P", "-m", "vigil", "vau", "--folder", str(_trust(home).parent)]
    for one in server:
        command += ["--server", one]
    if pin:
        command += ["--pin", pin.lower().replace(":", "")]
    if ca is not None:
        command += ["--ca", str(ca.absolute())]
    return command


def _root_of(path: Path | None, server: list[str], sha256: str, pin: str, ca: Path | None) -> bytes:
    """The first root: from a file, or from SMServer if its hash is the one that somebody has told the user."""
    from tuf.api.exceptions import RepositoryError  # noqa: PLC0415 - as above
    from tuf.api.metadata import Metadata, Root  # noqa: PLC0415
    from tuf.api.serialization import DeserializationError  # noqa: PLC0415

    content = _file(path) if path is not None else _fetched(server, sha256, pin, ca)
    try:
        root = Metadata[Root].from_bytes(content)
        root.verify_delegate(Root.type, root)
    except (RepositoryError, DeserializationError, ValueError, AttributeError, TypeError) as error:  # of another role
        raise VauError("What was given as root of updates is none: take 1.root.json of the releases.") from error
    return content


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VauError(f"--root: {path} cannot be read: {error.strerror}.") from error


def _fetched(server: list[str], sha256: str, pin: str, ca: Path | None) -> bytes:
    from clients.vau.addresses import parse  # noqa: PLC0415 - as above
    from clients.vau.transport import StatusError, first_that_answers  # noqa: PLC0415

    try:
        addresses = tuple(parse(one, pin.lower().replace(":", "") or None) for one in server)
    except ValueError as error:
        raise VauError(f"--server: {error}.") from error
    transport = first_that_answers(addresses, ca=ca)
    try:
        content = transport.get("/updates/metadata/1.root.json", most=LONGEST_ROOT)
    except StatusError as error:
        raise VauError("SMServer offers no applications yet; its administrator publishes them first.") from error
    finally:
        transport.close()
    found = hashlib.sha256(content).hexdigest()
    if not sha256:
        raise VauError(
            f"The root of updates at SMServer has the SHA-256 {found}. Compare it with what your administrator tells"
            f" you by another way, then add --root-sha256 {found}; or bring the file and name it with --root."
        )
    if found != sha256.lower():
        raise VauError(f"The root of updates at SMServer has another SHA-256 ({found}): somebody may have replaced it.")
    return content


def _write(path: Path, text: str, *, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)
    return path


def _for_desktop(text: str) -> str:
    """A word of an Exec line (Desktop Entry Specification, section "The Exec key")."""
    for special in ("\\", '"', "`", "$"):
        text = text.replace(special, "\\\\" + special if special == "\\" else "\\" + special)
    return '"' + text.replace("%", "%%") + '"'
