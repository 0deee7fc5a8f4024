"""Signed documents: DSSE 1.0 envelopes with Ed25519 keys that are known by their 32 bytes."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from broker.trust.errors import EnvelopeRefusedError


def public_text(private: Ed25519PrivateKey) -> str:
    """The public key, hexadecimal."""
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign_envelope(payload: bytes, payload_type: str, private: Ed25519PrivateKey) -> dict[str, Any]:
    """The payload with its type and a signature over both, ready for JSON."""
    key = SSlibKey(public_text(private), "ed25519", "ed25519", {"public": public_text(private)})
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(private, key))
    return dict(envelope.to_dict())


def open_envelope(document: Any, payload_type: str, trusted: Iterable[str]) -> bytes:
    """The payload, if one of the trusted keys has signed it as this type.

    Raises:
        EnvelopeRefusedError: says what is wrong.
    """
    try:
        envelope = Envelope.from_dict(deepcopy(document))  # which writes into what it reads
        keys: list[Key] = [SSlibKey(text, "ed25519", "ed25519", {"public": text}) for text in trusted]
    except (FormatError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise EnvelopeRefusedError("it is no signed envelope") from error
    if envelope.payload_type != payload_type:
        raise EnvelopeRefusedError(f"it is {envelope.payload_type[:100]!r}, not {payload_type!r}")
    try:
        envelope.verify(keys, 1)
    except (VerificationError, ValueError) as error:
        raise EnvelopeRefusedError("no trusted key has signed it") from error
    return envelope.payload


def signers_of(document: Any) -> tuple[str, ...]:
    """The keys that a document says it is signed with; says nothing about whether that is true."""
    try:
        return tuple(Envelope.from_dict(deepcopy(document)).signatures)
    except (FormatError, KeyError, TypeError, ValueError, AttributeError):
        return ()
