"""Login passwords: argon2id (RFC 9106), and passwords that we make."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that are not mistaken for one another when read aloud."""


def hash_password(password: str) -> str:
    """What is stored instead of the password. Takes some 50 ms of a core on purpose: call it in a thread."""
    return _hasher().hash(password)


def verify_password(hashed: str | None, password: str) -> bool:
    """Whether the password is right. Without a hash (no such user) it takes just as long and says no."""
    try:
        return _hasher().verify(hashed or _hash_of_nobody(), password) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(hashed: str) -> bool:
    """Whether the hash was made with weaker parameters than today's; hash anew after a good sign-in."""
    return _hasher().check_needs_rehash(hashed)


def new_password(length: int = 20) -> str:
    """A password nobody has had before: about 5 bits a character."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    return _hasher().hash(secrets.token_hex())
