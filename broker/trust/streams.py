"""Stream secrets: what ordinary players sign in with at a DVRServer, offline and never the login password.

A node gets HA1 values, not the secret (RFC 7616, section 3.4.2): it can check Digest, and Basic by computing HA1
from what it is sent.
"""

import hashlib
import json

from broker.trust.errors import SealError
from broker.trust.identity import Identity
from broker.trust.passwords import new_password
from broker.trust.sealing import ha1_context, seal

REALM = "vigil"


def new_stream_secret() -> str:
    """A new secret, shown once."""
    return new_password(24)


def ha1(user: str, secret: str, *, realm: str = REALM) -> dict[str, str]:
    """H(user:realm:secret) by algorithm: `{"SHA-256": …, "MD5": …}`, in hexadecimal."""
    text = f"{user}:{realm}:{secret}".encode()
    return {
        "SHA-256": hashlib.sha256(text).hexdigest(),
        "MD5": hashlib.md5(text, usedforsecurity=False).hexdigest(),  # old players know nothing else (RFC 7616)
    }


def seal_ha1(user: str, secret: str, sealing_key: str) -> str:
    """The HA1 values of a user's stream secret, sealed to one node."""
    return seal(json.dumps(ha1(user, secret)).encode(), sealing_key, context=ha1_context(user))


def open_ha1(identity: Identity, user: str, sealed: str) -> dict[str, str]:
    """The HA1 values that were sealed to this node.

    Raises:
        SealError: they were not, or they are of another user.
    """
    values = json.loads(identity.unseal(sealed, context=ha1_context(user)))
    if not isinstance(values, dict):
        raise SealError(f"the sealed stream secret of {user} is no set of HA1 values")
    return {str(name): str(value) for name, value in values.items()}
