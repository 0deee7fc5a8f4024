"""What a desktop application remembers between its starts: addresses, the last user of each, pinned certificates.

One JSON file of the person's own, mode 0600. Passwords and tokens are never in it.
"""

import json
import os
from pathlib import Path

from pydantic import Field, ValidationError

from broker.model.base import Value
from broker.process import logger
from broker.trust.keyfile import write_private

MOST_SITES = 12
log = logger(__name__)


class KnownSite(Value):
    """A site that somebody has signed in to from here."""

    address: str
    """As it was typed."""
    user: str = ""


class Remembered(Value):
    """The content of the file."""

    sites: tuple[KnownSite, ...] = ()
    """The last used first."""
    certificates: dict[str, str] = Field({})
    """Host and port to the PEM of the certificate that somebody has compared and accepted."""
    scheme: str = "system"
    """light, dark, or as the desktop has it."""


def configuration_dir() -> Path:
    """Where a person's settings are (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(base) / "vigil" if base.startswith("/") else Path.home() / ".config" / "vigil"


class Sites:
    """The file, read once and written on each change. A damaged one is begun anew: it holds nothing that is missed."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or configuration_dir() / "desktop.json"
        self._kept = Remembered()
        try:
            self._kept = Remembered.model_validate_json(self._path.read_bytes(), extra="ignore")
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            log.warning("what was remembered of sites cannot be read", path=str(self._path), reason=str(error))

    @property
    def known(self) -> tuple[KnownSite, ...]:
        """Sites, the last used first."""
        return self._kept.sites

    @property
    def scheme(self) -> str:
        """The appearance that was chosen."""
        return self._kept.scheme

    def user_of(self, address: str) -> str:
        """Who signed in there last."""
        return next((site.user for site in self._kept.sites if site.address == address), "")

    def used(self, address: str, user: str) -> None:
        """Somebody has signed in."""
        others = tuple(site for site in self._kept.sites if site.address != address)
        self._keep(sites=(KnownSite(address=address, user=user), *others)[:MOST_SITES])

    def certificate(self, place: str) -> str | None:
        """The accepted certificate of a host and port, PEM."""
        return self._kept.certificates.get(place)

    def accept(self, place: str, pem: str) -> None:
        """Somebody has compared this certificate's fingerprint and trusts it from now on."""
        self._keep(certificates={**self._kept.certificates, place: pem})

    def choose_scheme(self, scheme: str) -> None:
        """Remember the appearance."""
        self._keep(scheme=scheme)

    def _keep(self, **changes: object) -> None:
        self._kept = self._kept.model_copy(update=changes)
        try:
            write_private(self._path, json.dumps(self._kept.model_dump(mode="json"), indent=1).encode())
        except OSError as error:  # the application works without; it only asks again next time
            log.warning("what is remembered of sites cannot be written", path=str(self._path), reason=str(error))
