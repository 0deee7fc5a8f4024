"""`vigil release`: make, sign and publish releases of applications."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from clients.release.errors import ReleaseError
from clients.release.keys import ROLES, load_keys, make_key
from clients.release.repository import DAYS, ROOT_KEYS, Repository

PASSPHRASE = "VIGIL_RELEASE_PASSPHRASE"  # noqa: S105 - the variable's name
FAILED = 1

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Make, sign and publish releases of applications, on a machine that keeps the signing keys.",
)
console = Console()
complaints = Console(stderr=True, soft_wrap=True)

Folder = Annotated[Path, typer.Option("--repository", help="The folder of releases.")]
Keys = Annotated[list[Path], typer.Option("--keys", help="A key file, or a folder of them; again for others.")]
REPOSITORY = Path("releases")


@app.command()
def keygen(
    folder: Annotated[Path, typer.Argument(help="A new folder for the keys. Keep it away from SMServer, and copies.")],
    repository: Folder = REPOSITORY,
    days: Annotated[int, typer.Option(help="Days for which the root is good.", min=1, max=7300)] = DAYS["root"],
) -> None:
    """Make the keys and the first root. VIGIL_RELEASE_PASSPHRASE encrypts the key files."""
    with _explained():
        passphrase = os.environ.get(PASSPHRASE, "")
        place = Repository(repository)
        if (repository / "metadata").exists():
            raise ReleaseError(f"{repository} has a root already. A new one is made by `vigil release rotate`.")
        roots = [make_key(folder / f"root-{number}.pem", passphrase) for number in range(1, ROOT_KEYS + 1)]
        others = {role: make_key(folder / f"{role}.pem", passphrase) for role in ROLES}
        place.create(roots, others, days)
    _say(f"{ROOT_KEYS} root keys and the keys of {', '.join(ROLES)} are in {folder}.")
    _say(f"The first root is {repository / 'metadata' / '1.root.json'}: `vigil install-app --root` brings it to users.")
    if not passphrase:
        _say(f"The key files are not encrypted; set {PASSPHRASE} before `keygen` if they leave this machine.")
    _say("Two of the three root keys are needed for a new root only: store them apart, offline.")


@app.command()
def build(
    application: Annotated[str, typer.Argument(help="spotter, system-manager, or the name of another application.")],
    version: Annotated[str, typer.Argument(help="Its version, e.g. 1.4.2.")],
    folder: Annotated[
        Path | None, typer.Argument(help="The application's folder, with `lib` in it; none: the installed Vigil.")
    ] = None,
    *,
    repository: Folder = REPOSITORY,
    module: Annotated[str, typer.Option(help="What `python -m` runs; for an application of your own.")] = "",
    argument: Annotated[list[str] | None, typer.Option(help="An argument for it; again for others.")] = None,
    libraries: Annotated[
        bool, typer.Option(help="Bring the libraries along, so that VAU's Python needs none but its own.")
    ] = True,
) -> None:
    """Make a release of an application; it is signed later."""
    from clients.release import applications  # noqa: PLC0415 - numpy, for this one command
    from clients.release import build as building  # noqa: PLC0415

    with _explained():
        if folder is None:
            files = applications.gather(application, libraries=libraries)
            known = applications.BUILTIN[application]
            module, arguments, whole = known.module, known.arguments, libraries
        else:
            files = applications.from_folder(folder)
            module, arguments, whole = module or application.replace("-", "_"), tuple(argument or ()), False
        total = sum(path.stat().st_size for path in files.values())
        with _bar(f"{application} {version}") as progress:
            task = progress.add_task(f"{application} {version}", total=total)
            release = building.build(
                Repository(repository),
                files,
                application=application,
                version=version,
                module=module,
                arguments=arguments,
                self_contained=whole,
                progress=lambda count: progress.advance(task, count),
            )
    _say(
        f"{application} {version}: {len(release.files)} files, {release.length / 1_000_000:.1f} MB, for Python"
        f" {release.python}. Sign it with `vigil release sign --keys …`."
    )


@app.command()
def sign(
    keys: Keys,
    repository: Folder = REPOSITORY,
    targets_days: Annotated[int, typer.Option(min=1, max=3650)] = DAYS["targets"],
    snapshot_days: Annotated[int, typer.Option(min=1, max=3650)] = DAYS["snapshot"],
    timestamp_days: Annotated[int, typer.Option(min=1, max=3650)] = DAYS["timestamp"],
) -> None:
    """Sign what was built; with nothing built, renew the dates until which all is good."""
    with _explained():
        place = Repository(repository)
        days = {"targets": targets_days, "snapshot": snapshot_days, "timestamp": timestamp_days}
        new = place.sign(load_keys(keys, os.environ.get(PASSPHRASE, "")), days)
        timestamp = place.timestamp()
        assert timestamp is not None, "it was signed just now"
    for application, version in new.items():
        _say(f"{application} {version} is signed.")
    _say(f"Everything is good until {timestamp.expires:%Y-%m-%d}. Publish it with `vigil release publish`.")


@app.command()
def rotate(
    keys: Keys,
    repository: Folder = REPOSITORY,
    replace: Annotated[
        list[str] | None,
        typer.Option(help="targets, snapshot, timestamp, or the file of a root key: replaced by a new key."),
    ] = None,
    into: Annotated[Path | None, typer.Option(help="The folder for new keys.")] = None,
    days: Annotated[int, typer.Option(min=1, max=7300)] = DAYS["root"],
) -> None:
    """Make a new root: good for longer, and with new keys for those that are lost or known to others."""
    with _explained():
        passphrase = os.environ.get(PASSPHRASE, "")
        signers = load_keys(keys, passphrase)
        replaced = {}
        for name in replace or ():
            if into is None:
                raise ReleaseError("Say with --into where the new key is to be.")
            role = name if name in ROLES else "root"
            gone = None if name in ROLES else next(iter(load_keys([Path(name)], passphrase)))
            replaced[role] = (gone, make_key(into / f"{Path(name).stem}.pem", passphrase))
        version = Repository(repository).rotate(signers, replaced, days)
    _say(f"Root {version} is signed. Run `vigil release sign`, then `vigil release publish`.")


@app.command()
def publish(
    repository: Folder = REPOSITORY,
    folder: Annotated[
        Path | None, typer.Option("--to", help="SMServer's folder of updates; none: upload, as an administrator.")
    ] = None,
) -> None:
    """Hand the signed releases to SMServer. VIGIL_SMSERVER_URL says where; VIGIL_USER and VIGIL_PASSWORD who."""
    from clients.cli.session import signed_in  # noqa: PLC0415 - a folder needs nobody to sign in
    from clients.release import publish as publishing  # noqa: PLC0415 - the same

    with _explained():
        place = Repository(repository)
        with _bar("Publishing") as progress:
            task = progress.add_task("Publishing", total=None)

            def went_on(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            if folder is not None:
                versions = publishing.to_folder(place, folder, progress=went_on)
            else:
                progress.stop()
                with signed_in() as client:
                    progress.start()
                    versions = publishing.to_server(place, client, progress=went_on).releases
    for application, version in sorted(versions.items()):
        _say(f"{application} {version} is what clients find now.")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ReleaseError as error:
        complaints.print(str(error), highlight=False, markup=False)
        raise typer.Exit(FAILED) from error


def _bar(_title: str) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=complaints, transient=True)


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
