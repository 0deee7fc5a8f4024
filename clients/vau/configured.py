"""The client configuration as the site has signed it: fetched at each start, kept for when SMServer is away."""

import json
import secrets
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from broker.model.base import Value
from broker.model.client_configuration import PAYLOAD_TYPE, ClientConfiguration, IssuedConfiguration
from broker.trust.envelopes import open_envelope, signers_of
from broker.trust.errors import EnvelopeRefusedError
from broker.trust.keyfile import write_private
from clients.vau.errors import RefusedError, UnreachableError
from clients.vau.transport import StatusError, Transport

LONGEST = 256 << 10
"""Bytes."""


class Kept(Value):
    """What this computer knows of a site's configuration."""

    revision: int = -1
    keys: tuple[str, ...] = Field((), description="SMServer's public keys that are trusted here, hexadecimal.")
    configuration: ClientConfiguration | None = None


class Fetched(NamedTuple):
    """A fetched configuration, and whether it differs from what was known."""

    kept: Kept
    new: bool


def load(path: Path) -> Kept:
    """What was kept; nothing when there is none or it is damaged, which the next contact mends."""
    try:
        return Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Kept()


def fetch(transport: Transport, path: Path, known: Kept) -> Fetched:
    """Ask for the configuration, check it, and keep it.

    The key with which it is signed is believed at the first contact, unless one was given; later only a key that is
    already known, or that a known one has announced.

    Raises:
        RefusedError: it is not signed by the key that is known, is old, or says something that it must not.
        UnreachableError: there is none to be had.
        OSError: it cannot be kept.
    """
    nonce = secrets.token_hex(16)
    url = transport.address.url
    try:
        document = json.loads(transport.get(f"/updates/configuration?nonce={nonce}", most=LONGEST))
    except StatusError as error:
        raise UnreachableError(f"SMServer at {url} gives no configuration (status {error.status}).") from error
    except ValueError as error:
        raise RefusedError(f"What SMServer at {url} gives as configuration is none.") from error
    issued = _checked(document, known, nonce, url)
    kept = Kept(revision=issued.revision, keys=issued.keys, configuration=issued.configuration)
    if kept != known:
        write_private(path, kept.model_dump_json().encode())
    return Fetched(kept, new=kept.configuration != known.configuration)


def _checked(document: object, known: Kept, nonce: str, url: str) -> IssuedConfiguration:
    trusted = known.keys or _signers(document)
    try:
        payload = open_envelope(document, PAYLOAD_TYPE, trusted)
        issued = IssuedConfiguration.model_validate_json(payload)
    except EnvelopeRefusedError as error:
        raise RefusedError(
            f"The configuration of SMServer at {url} is not signed by the SMServer that this computer knows:"
            " ask its administrator; if its keys are new, run `vigil vau --forget-server`."
        ) from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise RefusedError(f"The configuration of SMServer at {url} is not used: {where}: {problem['msg']}.") from error
    if issued.nonce != nonce:
        raise RefusedError(f"The configuration of SMServer at {url} is an old one; it is not used.")
    if issued.revision < known.revision:
        raise RefusedError(f"The configuration of SMServer at {url} is older than what this computer has seen.")
    return issued


def _signers(document: object) -> tuple[str, ...]:
    """At the first contact: who says that it has signed."""
    return tuple(key for key in signers_of(document) if len(key) == 64 and not set(key) - set("0123456789abcdef"))  # noqa: PLR2004 - digits of 32 bytes
