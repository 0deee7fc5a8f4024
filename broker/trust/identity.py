"""Who a process is: an Ed25519 key to sign with and an X25519 key to which secrets are sealed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from broker.model.base import Value, Word
from broker.model.resources import ServerRole
from broker.trust.encoding import to_bytes, to_text
from broker.trust.errors import KeyFileError, SealError, TokenRefusedError
from broker.trust.keyfile import read_or_create_private
from broker.trust.sealing import open_sealed, seal

ALGORITHM = "Ed25519"
"""EdDSA on Curve25519, by its fully specified name (RFC 9864)."""

ASSERTION_LIFETIME = timedelta(seconds=60)
LEEWAY = timedelta(seconds=30)
"""How far the clocks of two machines may be apart."""


class PublicIdentity(Value):
    """What others know of a process: its public keys."""

    node_id: Word
    role: ServerRole
    signing_key: dict[str, str]
    """An Ed25519 JWK (RFC 8037)."""
    sealing_key: str
    """An X25519 public key, base64url."""


def check_identity(identity: PublicIdentity) -> None:
    """See that the public keys are keys, before anything is to be sealed to them or believed because of them.

    Raises:
        KeyFileError: they are not.
    """
    try:
        seal(b"", identity.sealing_key, context="check")
        key = OKPKey.import_key(dict(identity.signing_key))
        if key.curve_name != "Ed25519":
            raise KeyFileError(f"the signing key of {identity.node_id} is no Ed25519 key")
    except (SealError, JoseError, ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"the public keys of {identity.node_id} are none") from error


class Identity:
    """The keys of one process. Make one with `load_or_create`."""

    def __init__(self, node_id: str, role: ServerRole, signing: OKPKey, sealing: X25519PrivateKey) -> None:
        self.id = node_id
        self.role = role
        self._signing = signing
        self._sealing = sealing

    @classmethod
    def load_or_create(cls, path: Path, node_id: str, role: ServerRole) -> Self:
        """The identity kept in a file (0600), made if there is none.

        Raises:
            KeyFileError: the file is damaged or holds the keys of another process.
        """
        content = read_or_create_private(path, lambda: _new(node_id, role))
        try:
            kept = json.loads(content)
            signing = OKPKey.import_key(kept["signing"])
            sealing = X25519PrivateKey.from_private_bytes(to_bytes(kept["sealing"]))
            owner = (kept["id"], ServerRole(kept["role"]))
        except (ValueError, KeyError, TypeError, JoseError) as error:
            raise KeyFileError(f"{path} is not an identity file; put the right one back or delete it") from error
        if owner != (node_id, role):
            raise KeyFileError(f"{path} holds the keys of {owner[1]} {owner[0]}, not of {role} {node_id}")
        return cls(node_id, role, signing, sealing)

    def public(self) -> PublicIdentity:
        """What others may know."""
        return PublicIdentity(
            node_id=self.id,
            role=self.role,
            signing_key={k: str(v) for k, v in self._signing.as_dict(private=False).items()},
            sealing_key=to_text(self._sealing.public_key().public_bytes_raw()),
        )

    def sign_assertion(self, audience: str) -> str:
        """A JWT of a minute's life that proves who is asking (RFC 7523, section 3)."""
        now = datetime.now(UTC)
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFETIME).timestamp()),
            "jti": uuid4().hex,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._signing, algorithms=[ALGORITHM])

    def unseal(self, sealed: str, *, context: str) -> bytes:
        """What was sealed to this process in this context.

        Raises:
            SealError: it was not.
        """
        return open_sealed(sealed, self._sealing, context=context)


def asserted_id(assertion: str) -> str:
    """Who an assertion says it is from: not proven, only good for finding the key for `check_assertion`.

    Raises:
        TokenRefusedError: it is no JWT.
    """
    try:
        claims = json.loads(to_bytes(assertion.split(".")[1]))
        return str(claims["sub"])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise TokenRefusedError("it is no assertion") from error


def check_assertion(assertion: str, signing_key: dict[str, str], audience: str, *, now: datetime | None = None) -> str:
    """Who proved to be asking.

    Raises:
        TokenRefusedError: the signature, the audience or the time is wrong.
    """
    try:
        claims = jwt.decode(assertion, OKPKey.import_key(dict(signing_key)), algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError) as error:
        raise TokenRefusedError("the assertion is not signed by this node") from error
    at = (now or datetime.now(UTC)).timestamp()
    _require(claims, "aud", audience)
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise TokenRefusedError("the assertion has no times")
    if expires - issued > ASSERTION_LIFETIME.total_seconds() or issued > at + LEEWAY.total_seconds():
        raise TokenRefusedError("the assertion's times are not believable; are the clocks right?")
    if expires + LEEWAY.total_seconds() < at:
        raise TokenRefusedError("the assertion has expired; are the clocks right?")
    subject = claims.get("sub")
    if not isinstance(subject, str) or claims.get("iss") != subject:
        raise TokenRefusedError("the assertion does not say who it is from")
    return subject


def _require(claims: dict[str, Any], name: str, expected: str) -> None:
    if claims.get(name) != expected:
        raise TokenRefusedError(f"its {name} is not {expected}")


def _new(node_id: str, role: ServerRole) -> bytes:
    signing = OKPKey.generate_key("Ed25519", private=True)
    sealing = X25519PrivateKey.generate()
    kept = {
        "id": node_id,
        "role": role.value,
        "signing": signing.as_dict(private=True),
        "sealing": to_text(sealing.private_bytes_raw()),
    }
    return json.dumps(kept, indent=2).encode()
