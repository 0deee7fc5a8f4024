"""`vigil vau`: bring an application up to date, start it, and exit."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.vau.errors import VauError

FAILED = 1
WRONG = 2


def default_folder() -> Path:
    """Where VAU keeps what it downloads: the user's data folder (XDG base directories)."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "vigil" / "vau"


def vau(
    server: Annotated[
        list[str],
        typer.Option(
            help="SMServer: HOST, HOST:PORT or https://HOST:PORT; again for others.", envvar="VIGIL_VAU__SERVER"
        ),
    ],
    app: Annotated[str, typer.Option(help="The application: spotter or system-manager.", envvar="VIGIL_VAU__APP")],
    *,
    root: Annotated[
        Path | None,
        typer.Option(
            help="The trusted root of updates; none: the one of `vigil install-app`.", envvar="VIGIL_VAU__ROOT"
        ),
    ] = None,
    pin: Annotated[
        str | None, typer.Option(help="SHA-256 of the certificate that SMServer shows.", envvar="VIGIL_VAU__PIN")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Authorities trusted beside the system's (PEM).", envvar="VIGIL_VAU__CA")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where versions are kept.", envvar="VIGIL_VAU__FOLDER", show_default=False)
    ] = None,
    offline: Annotated[
        bool, typer.Option(help="Start the last version when no SMServer answers.", envvar="VIGIL_VAU__OFFLINE")
    ] = True,
    health_s: Annotated[
        float,
        typer.Option(
            help="Seconds that a new version has to report that it works.",
            envvar="VIGIL_VAU__HEALTH_S",
            min=1,
            max=3600,
        ),
    ] = 60.0,
    again: Annotated[bool, typer.Option(help="Try a version again that did not work here.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget-server", help="Believe SMServer's key anew, after its keys were changed.")
    ] = False,
) -> None:
    """Bring an application up to date and start it."""
    # Here, so that --help and a wrong option are answered at once.
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from broker.model.base import Word  # noqa: PLC0415
    from broker.model.client_configuration import Fingerprint  # noqa: PLC0415
    from clients.vau.addresses import parse  # noqa: PLC0415
    from clients.vau.progress import for_people, tell  # noqa: PLC0415
    from clients.vau.update import Vau, Wish, forget_server  # noqa: PLC0415

    try:
        TypeAdapter(Word).validate_python(app)
        certificate = TypeAdapter(Fingerprint | None).validate_python(pin and pin.lower().replace(":", ""))
        addresses = tuple(parse(one, certificate) for typed in server for one in typed.split(",") if one.strip())
    except ValidationError as error:
        wrong = "--pin is not the SHA-256 of a certificate" if error.title != "constrained-str" else f"--app: {app!r}"
        tell(f"{wrong}: {error.errors(include_url=False)[0]['msg']}.")
        raise typer.Exit(WRONG) from error
    except ValueError as error:
        tell(f"--server: {error}.")
        raise typer.Exit(WRONG) from error
    home = folder or default_folder()
    if forget:
        forget_server(home, addresses)
    try:
        wish = Wish(
            addresses=addresses,
            application=app,
            root=_root(root or home / "root.json"),
            folder=home,
            restart=_own_command_line(),
            ca=ca,
            offline=offline,
            health_s=health_s,
            again=again,
        )
        Vau(wish, tell, for_people).run()
    except VauError as error:
        tell(str(error))
        raise typer.Exit(FAILED) from error


def _root(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VauError(
            f"The trusted root of updates cannot be read ({path}: {error.strerror}):"
            " put it there with `vigil install-app`, or name it with --root."
        ) from error


def _own_command_line() -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "vigil", "vau", *sys.argv[2:])
