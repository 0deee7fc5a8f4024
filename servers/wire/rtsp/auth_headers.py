"""WWW-Authenticate and Authorization (RFC 7235, RFC 7616, RFC 6750), read and written like those of headers.py."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Self

from servers.wire.rtsp.errors import MalformedError

_PAIR = re.compile(r'\s*([A-Za-z0-9_\-*]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*)\s*,?')
_SCHEMES = ("digest", "basic", "bearer")


def _parameters(value: str) -> dict[str, str]:
    found = {}
    for name, argument in _PAIR.findall(value):
        if argument.startswith('"'):
            argument = re.sub(r"\\(.)", r"\1", argument[1:-1])  # noqa: PLW2901 - the unquoted form of the same
        found[name.lower()] = argument
    return found


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One value of WWW-Authenticate."""

    scheme: str
    """digest, basic or bearer."""
    realm: str
    nonce: str = ""
    algorithm: str = "MD5"
    """MD5 or SHA-256, perhaps with -sess."""
    qop: tuple[str, ...] = ()
    stale: bool = False
    opaque: str = ""

    @classmethod
    def parse_all(cls, values: tuple[str, ...]) -> tuple[Self, ...]:
        """Read all headers of this name; each may hold several challenges, those of unknown schemes are left out."""
        challenges = []
        for value in values:
            parts = re.split(rf"(?:^|,)\s*({'|'.join(_SCHEMES)})(?=\s|,|$)", value, flags=re.IGNORECASE)
            for scheme, rest in zip(parts[1::2], parts[2::2], strict=False):
                fields = _parameters(rest)
                challenges.append(
                    cls(
                        scheme=scheme.lower(),
                        realm=fields.get("realm", ""),
                        nonce=fields.get("nonce", ""),
                        algorithm=fields.get("algorithm", "MD5").upper(),
                        qop=tuple(word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip()),
                        stale=fields.get("stale", "").lower() == "true",
                        opaque=fields.get("opaque", ""),
                    )
                )
        return tuple(challenges)

    def serialise(self) -> str:
        """The header's value."""
        if self.scheme != "digest":
            return f"{self.scheme.capitalize()} realm={_quoted(self.realm)}"
        parts = [f"realm={_quoted(self.realm)}"]
        if self.qop:
            parts.append(f"qop={_quoted(', '.join(self.qop))}")
        parts += [f"algorithm={self.algorithm}", f"nonce={_quoted(self.nonce)}"]
        if self.opaque:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Authorization:
    """The value of Authorization."""

    scheme: str
    """digest, basic or bearer."""
    username: str = ""
    password: str = ""
    """Of basic."""
    token: str = ""
    """Of bearer."""
    realm: str = ""
    nonce: str = ""
    uri: str = ""
    response: str = ""
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str = ""

    def __repr__(self) -> str:
        return f"Authorization(scheme={self.scheme!r}, username={self.username!r})"

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the header."""
        scheme, _, rest = value.strip().partition(" ")
        scheme, rest = scheme.lower(), rest.strip()
        match scheme:
            case "basic":
                username, password = _basic(rest)
                return cls(scheme=scheme, username=username, password=password)
            case "bearer":
                return cls(scheme=scheme, token=rest)
            case "digest":
                fields = _parameters(rest)
                return cls(
                    scheme=scheme,
                    username=fields.get("username", ""),
                    realm=fields.get("realm", ""),
                    nonce=fields.get("nonce", ""),
                    uri=fields.get("uri", ""),
                    response=fields.get("response", "").lower(),
                    algorithm=fields.get("algorithm", "MD5").upper(),
                    qop=fields.get("qop", "").lower(),
                    nc=fields.get("nc", ""),
                    cnonce=fields.get("cnonce", ""),
                    opaque=fields.get("opaque", ""),
                )
        raise MalformedError("Authorization is neither Digest nor Basic nor Bearer")

    def serialise(self) -> str:
        """The header's value."""
        match self.scheme:
            case "basic":
                return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()
            case "bearer":
                return "Bearer " + self.token
        parts = [
            f"username={_quoted(self.username)}",
            f"realm={_quoted(self.realm)}",
            f"nonce={_quoted(self.nonce)}",
            f"uri={_quoted(self.uri)}",
            f"response={_quoted(self.response)}",
        ]
        # Devices that know only RFC 2069 stumble over an algorithm they did not name; MD5 is what they mean.
        if self.algorithm != "MD5":
            parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts += [f"qop={self.qop}", f"nc={self.nc}", f"cnonce={_quoted(self.cnonce)}"]
        if self.opaque:
            parts.append(f"opaque={_quoted(self.opaque)}")
        return "Digest " + ", ".join(parts)


def _basic(value: str) -> tuple[str, str]:
    try:
        username, colon, password = b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        raise MalformedError("Authorization: Basic does not hold a user name and a password") from None
    if not colon:
        raise MalformedError("Authorization: Basic does not hold a user name and a password")
    return username, password
