"""Secrets at rest: SMServer keeps them encrypted under a master key that is no part of its database."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from broker.trust.encoding import to_bytes, to_text
from broker.trust.errors import KeyFileError, SealError
from broker.trust.keyfile import read_or_create_private

KEY_LENGTH = 32
NONCE_LENGTH = 12


class Vault:
    """Encrypts small values under the master key in a file, which is made (0600) when there is none.

    Raises:
        KeyFileError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        key = read_or_create_private(path, lambda: os.urandom(KEY_LENGTH))
        if len(key) != KEY_LENGTH:
            raise KeyFileError(f"{path} is not a master key of {KEY_LENGTH} bytes; put the right file back")
        self._cipher = ChaCha20Poly1305(key)

    def encrypt(self, plaintext: bytes, *, context: str) -> str:
        """Text for a column of a database; only `decrypt` with the same context opens it."""
        nonce = os.urandom(NONCE_LENGTH)
        return to_text(nonce + self._cipher.encrypt(nonce, plaintext, context.encode()))

    def decrypt(self, encrypted: str, *, context: str) -> bytes:
        """What was encrypted.

        Raises:
            SealError: under another master key, for another place, or damaged.
        """
        try:
            data = to_bytes(encrypted)
            return self._cipher.decrypt(data[:NONCE_LENGTH], data[NONCE_LENGTH:], context.encode())
        except (ValueError, InvalidTag) as error:
            raise SealError(f"the value kept as {context} cannot be opened with this master key") from error
