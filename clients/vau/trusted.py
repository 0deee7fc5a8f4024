"""Which release is the latest: python-tuf's client workflow (TUF 1.0, section 5) over our transport.

What an attacker who owns SMServer or the line could do, and what stops it, is told in docs/design/updates.md.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import ValidationError
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from broker.model.releases import LONGEST_LIST, Release, list_path, target_path
from clients.vau.errors import DiskError, NothingOfferedError, RefusedError, UnreachableError, VauError
from clients.vau.transport import StatusError, Transport

LONGEST_METADATA = 2_000_000
"""Bytes of any metadata; TUF's own limits per role are lower."""

CONFIG = UpdaterConfig(
    max_root_rotations=64, root_max_length=100_000, timestamp_max_length=16_000, snapshot_max_length=100_000
)


class Latest(NamedTuple):
    """The release that the metadata list."""

    version: str
    sha256: str
    length: int
    """Bytes of its list of files."""


class _Fetcher(FetcherInterface):
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = urlsplit(url).path
        try:
            chunks = self._transport.stream(path, most=LONGEST_METADATA)
            first = next(chunks, b"")
        except StatusError as error:
            raise DownloadHTTPError(str(error), error.status) from error
        yield first
        yield from chunks


class Trusted:
    """The metadata of one site's updates, kept in a folder so that nothing older is ever believed again."""

    def __init__(self, folder: Path, transport: Transport, root: bytes) -> None:
        self._folder = folder
        self._transport = transport
        self._root = root

    def latest(self, application: str) -> Latest:
        """The latest release of an application, by metadata whose every check has passed.

        Raises:
            RefusedError: a check has failed; says which.
            NothingOfferedError: there are no metadata, or none of this application.
            UnreachableError: the connection was cut.
            DiskError: metadata cannot be kept.
        """
        url = self._transport.address.url
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            updater = Updater(
                str(self._folder),
                f"{url}/updates/metadata/",
                fetcher=_Fetcher(self._transport),
                config=CONFIG,
                bootstrap=self._root,
            )
            updater.refresh()
            target = updater.get_targetinfo(target_path(application))
        except (RepositoryError, DownloadError) as error:
            raise _explained(error, url, application) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # Whatever a library makes of bytes that somebody may have chosen: the last version starts all the same.
            raise RefusedError(f"What SMServer at {url} shows is damaged ({type(error).__name__}).") from error
        except OSError as error:
            raise DiskError(f"{self._folder} cannot be written: {error.strerror}.") from error
        if target is None:
            raise NothingOfferedError(
                f"SMServer at {url} has no release of {application}:"
                " its administrator publishes one with `vigil release publish`."
            )
        custom: Any = target.unrecognized_fields.get("custom") or {}
        sha256 = target.hashes.get("sha256", "")
        return Latest(str(custom.get("version", "")), sha256, target.length)

    def list_of(self, application: str, latest: Latest) -> bytes:
        """The list of a release's files, not longer than it was signed; `checked_list` says what it is.

        Raises:
            RefusedError: it is too long.
            UnreachableError: the connection was cut.
        """
        if latest.length > LONGEST_LIST:
            raise RefusedError(f"The list of {application} is longer than {LONGEST_LIST} bytes.")
        path = "/updates/" + list_path(application, latest.sha256)
        try:
            return self._transport.get(path, most=latest.length)
        except StatusError as error:
            raise UnreachableError(
                f"SMServer at {self._transport.address.url} does not give out {path} (status {error.status})."
            ) from error


def checked_list(content: bytes, application: str, sha256: str) -> Release:
    """The release that these bytes list, if they are the ones that this hash means and of this application.

    Raises:
        RefusedError: they are not.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RefusedError(f"The list of {application} is not the one that was signed.")
    try:
        release = Release.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise RefusedError(f"The list of {application} cannot be used: {problem}.") from error
    if release.application != application:
        raise RefusedError(f"What is listed as {application} is {release.application}.")
    return release


def _explained(error: RepositoryError | DownloadError, url: str, application: str) -> VauError:
    cause = error.__cause__
    if isinstance(cause, VauError):
        return cause
    at = f"SMServer at {url}"
    kind: type[VauError] = RefusedError
    match error:
        case ExpiredMetadataError():
            sentence = (
                f"What {at} says of {application}'s versions has expired, as when somebody holds back newer ones:"
                " its administrator renews it with `vigil release sign` and `publish`. Is this computer's clock right?"
            )
        case BadVersionNumberError():
            sentence = f"{at} shows older versions than this computer has seen before; they are not used."
        case UnsignedMetadataError():
            sentence = f"What {at} shows is not signed by those whom this computer trusts; it is not used."
        case DownloadLengthMismatchError():
            sentence = f"{at} sends more than there can be; what came is not used."
        case DownloadHTTPError(status_code=404):
            kind = NothingOfferedError
            sentence = (
                f"{at} offers no applications yet: its administrator publishes them with `vigil release publish`."
            )
        case DownloadHTTPError():
            kind = UnreachableError
            sentence = f"{at} does not give out its versions (status {error.status_code})."
        case DownloadError():
            kind = UnreachableError
            sentence = f"The connection to {at} was cut."
        case _:
            sentence = f"What {at} shows is damaged ({str(error)[:200]}); it is not used."
    return kind(sentence)
