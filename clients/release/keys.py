"""Signing keys of releases: PEM files (PKCS 8), one per key, encrypted under a passphrase where one is given.

They belong on media that are away when nobody signs; SMServer has none of them.
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from broker.trust.keyfile import write_private
from clients.release.errors import ReleaseError

ROLES = ("targets", "snapshot", "timestamp")
"""What is signed beside the root, each with a key of its own."""


def make_key(path: Path, passphrase: str) -> CryptoSigner:
    """A new key in a new file.

    Raises:
        ReleaseError: there is one already.
    """
    if path.exists():
        raise ReleaseError(f"{path} is there already; a key is never overwritten. Give another folder.")
    private = Ed25519PrivateKey.generate()
    sealed = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    write_private(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    return _signer(private)


def load_keys(places: Iterable[Path], passphrase: str) -> dict[str, CryptoSigner]:
    """The keys in these files, and in the *.pem files of these folders, by their TUF key id.

    Raises:
        ReleaseError: a file is no key, or the passphrase is wrong.
    """
    found: dict[str, CryptoSigner] = {}
    for place in places:
        files = sorted(place.glob("*.pem")) if place.is_dir() else [place]
        for path in files:
            signer = _load(path, passphrase)
            found[signer.public_key.keyid] = signer
    if not found:
        raise ReleaseError("There is no key in the given places: name a *.pem file, or a folder that holds some.")
    return found


def _load(path: Path, passphrase: str) -> CryptoSigner:
    try:
        content = path.read_bytes()
        sealed = b"ENCRYPTED" in content
        private = load_pem_private_key(content, passphrase.encode() if sealed and passphrase else None)
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}.") from error
    except TypeError as error:
        raise ReleaseError(f"{path} needs its passphrase: put it into VIGIL_RELEASE_PASSPHRASE.") from error
    except ValueError as error:
        raise ReleaseError(f"{path} is no private key, or the passphrase is another one.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ReleaseError(f"{path} is no Ed25519 key.")
    return _signer(private)


def _signer(private: Ed25519PrivateKey) -> CryptoSigner:
    return CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
