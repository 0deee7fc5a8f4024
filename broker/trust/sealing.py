"""Sealed boxes: what only one node can open, and only in the place it was made for.

An ephemeral X25519 key agrees on a secret with the node's key, HKDF-SHA256 makes a key of it that is used once,
and ChaCha20-Poly1305 encrypts. The context, such as `secret/front-door`, is authenticated: a camera's password
cannot be moved to another camera's place.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.trust.encoding import to_bytes, to_text
from broker.trust.errors import SealError

FORMAT = b"\x01"
KEY_LENGTH = 32
NONCE_LENGTH = 12
INFO = b"vigil sealed box 1"


def secret_context(secret_ref: str) -> str:
    """The context of a camera's password."""
    return f"secret/{secret_ref}"


def ha1_context(user_id: str) -> str:
    """The context of a user's stream secret."""
    return f"ha1/{user_id}"


def seal(plaintext: bytes, sealing_key: str, *, context: str) -> str:
    """Encrypt to a node's public sealing key (base64url); the node's `Identity.unseal` opens it.

    Raises:
        SealError: the key is none.
    """
    try:
        recipient_bytes = to_bytes(sealing_key)
        recipient = X25519PublicKey.from_public_bytes(recipient_bytes)
    except ValueError as error:
        raise SealError("the sealing key is not an X25519 public key") from error
    ephemeral = X25519PrivateKey.generate()
    sender_bytes = ephemeral.public_key().public_bytes_raw()
    key, nonce = _derive(ephemeral.exchange(recipient), sender_bytes, recipient_bytes)
    return to_text(FORMAT + sender_bytes + ChaCha20Poly1305(key).encrypt(nonce, plaintext, context.encode()))


def open_sealed(sealed: str, key: X25519PrivateKey, *, context: str) -> bytes:
    """What was sealed to this key in this context.

    Raises:
        SealError: it was not, or it is damaged.
    """
    try:
        box = to_bytes(sealed)
        if box[:1] != FORMAT:
            raise SealError("the sealed value has an unknown format")
        sender_bytes = box[1 : 1 + KEY_LENGTH]
        shared = key.exchange(X25519PublicKey.from_public_bytes(sender_bytes))
        derived, nonce = _derive(shared, sender_bytes, key.public_key().public_bytes_raw())
        return ChaCha20Poly1305(derived).decrypt(nonce, box[1 + KEY_LENGTH :], context.encode())
    except (ValueError, InvalidTag) as error:
        raise SealError(f"the sealed value cannot be opened here as {context}") from error


def _derive(shared: bytes, sender: bytes, recipient: bytes) -> tuple[bytes, bytes]:
    """The key and the nonce; both come from a secret that is used once, so the nonce is never used twice."""
    hkdf = HKDF(algorithm=SHA256(), length=KEY_LENGTH + NONCE_LENGTH, salt=sender + recipient, info=INFO)
    material = hkdf.derive(shared)
    return material[:KEY_LENGTH], material[KEY_LENGTH:]
