"""Digest authentication (RFC 7616): SHA-256 and MD5, with and without qop, from both sides."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from servers.wire.rtsp.auth_headers import Authorization, Challenge
from servers.wire.rtsp.errors import MalformedError
from servers.wire.rtsp.uri import StreamUri

ALGORITHMS = ("SHA-256", "MD5")
"""Strongest first: servers offer them in this order and clients take the first they know (RFC 7616, 3.7)."""

NONCE_LIFE_S = 300.0
"""How long an answer to a challenge is accepted; after that the client is asked again, with stale=true."""


def _hash(algorithm: str, text: str) -> str:
    if algorithm == "SHA-256":
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # RFC 2617 knows no other


def ha1(username: str, realm: str, password: str, algorithm: str) -> str:
    """What a server may keep instead of the password: H(username:realm:password)."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def response(secret: str, method: str, answer: Authorization) -> str:
    """The proof that belongs to an Authorization (RFC 7616, 3.4.1); `secret` is the HA1."""
    algorithm = answer.algorithm.removesuffix("-SESS")
    if answer.algorithm.endswith("-SESS"):
        secret = _hash(algorithm, f"{secret}:{answer.nonce}:{answer.cnonce}")
    ha2 = _hash(algorithm, f"{method}:{answer.uri}")
    if answer.qop:
        return _hash(algorithm, f"{secret}:{answer.nonce}:{answer.nc}:{answer.cnonce}:{answer.qop}:{ha2}")
    return _hash(algorithm, f"{secret}:{answer.nonce}:{ha2}")


# --- The client's side --------------------------------------------------------------------------------------------


def strongest(challenges: Sequence[Challenge]) -> Challenge | None:
    """The best challenge that can be answered: SHA-256, MD5, then Basic; none when there is no such."""
    for algorithm in ALGORITHMS:
        for challenge in challenges:
            if challenge.scheme == "digest" and challenge.algorithm.removesuffix("-SESS") == algorithm:
                return challenge
    return next((challenge for challenge in challenges if challenge.scheme == "basic"), None)


def answer(
    challenge: Challenge, method: str, uri: str, *, username: str, password: str, cnonce: str, count: int
) -> Authorization:
    """Answer a challenge for one request; `count` begins at 1 and grows with each use of the same nonce."""
    if challenge.scheme == "basic":
        return Authorization(scheme="basic", username=username, password=password)
    algorithm = challenge.algorithm
    session = algorithm.endswith("-SESS")
    qop = "auth" if "auth" in challenge.qop else ""
    blank = Authorization(
        scheme="digest",
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        algorithm=algorithm,
        qop=qop,
        nc=f"{count:08x}" if qop else "",
        cnonce=cnonce if qop or session else "",
        opaque=challenge.opaque,
    )
    secret = ha1(username, challenge.realm, password, algorithm.removesuffix("-SESS"))
    fields = {name: getattr(blank, name) for name in Authorization.__slots__}
    return Authorization(**{**fields, "response": response(secret, method, blank)})


# --- The server's side --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a server makes of an Authorization."""

    ok: bool
    stale: bool = False
    """The proof was right but the nonce too old: ask again, the user need not be told."""
    reason: str = ""


class DigestAuthority:
    """Issues challenges and checks the answers. Nonces carry their time and a MAC, so nothing is remembered.

    `secret` is random and stays inside the process. An answer can be repeated within NONCE_LIFE_S by who reads the
    connection; such a reader sees the video too. TLS is the remedy for both.
    """

    def __init__(self, realm: str, secret: bytes, *, nonce_life_s: float = NONCE_LIFE_S) -> None:
        self.realm = realm
        self._secret = secret
        self._life_s = nonce_life_s

    def challenges(
        self, now: float, *, stale: bool = False, basic: bool = False, algorithms: Sequence[str] = ALGORITHMS
    ) -> tuple[str, ...]:
        """Values of the WWW-Authenticate headers, strongest first; `basic` only inside TLS. `now` is seconds, UTC."""
        nonce = self._nonce(now)
        offered = [
            Challenge(
                scheme="digest", realm=self.realm, nonce=nonce, algorithm=algorithm, qop=("auth",), stale=stale
            ).serialise()
            for algorithm in algorithms
        ]
        return (*offered, Challenge(scheme="basic", realm=self.realm).serialise()) if basic else tuple(offered)

    def verify(  # noqa: PLR0911 - each way to fail has its reason
        self, given: Authorization, method: str, uri: str, now: float, secret_of: Callable[[str, str], str | None]
    ) -> Verdict:
        """Check a digest; `secret_of(username, algorithm)` gives the HA1 in hex, or none for a user not known here."""
        algorithm = given.algorithm
        if given.scheme != "digest" or algorithm not in ALGORITHMS:
            return Verdict(ok=False, reason="not a digest of a known algorithm")
        if given.realm != self.realm or (given.qop not in ("", "auth")):
            return Verdict(ok=False, reason="the answer belongs to another challenge")
        if not _same_stream(given.uri, uri):
            return Verdict(ok=False, reason="the answer was made for another address")
        # Unknown users take as long as known ones.
        secret = secret_of(given.username, algorithm)
        expected = response(secret or "0" * 32, method, given)
        right = hmac.compare_digest(expected.encode(), given.response.encode())
        if secret is None or not right:
            return Verdict(ok=False, reason="unknown user or wrong password")
        age = self._age(given.nonce, now)
        if age is None:
            return Verdict(ok=False, stale=True, reason="the nonce was not issued here")
        if age > self._life_s:
            return Verdict(ok=False, stale=True, reason="the nonce is too old")
        return Verdict(ok=True)

    def _nonce(self, now: float) -> str:
        stamp = f"{int(now * 1000):x}"
        return f"{stamp}.{self._mac(stamp)}"

    def _age(self, nonce: str, now: float) -> float | None:
        stamp, _, mac = nonce.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(stamp).encode()):
            return None
        return now - int(stamp, 16) / 1000

    def _mac(self, stamp: str) -> str:
        return hmac.new(self._secret, f"{self.realm}|{stamp}".encode(), hashlib.sha256).hexdigest()[:32]


def _same_stream(signed: str, requested: str) -> bool:
    """Whether two addresses mean the same stream: some players sign the aggregate's address for all requests."""
    try:
        return StreamUri.parse(signed).path == StreamUri.parse(requested).path
    except MalformedError:
        return False
