"""Tokens: SMServer issues them, every server checks them offline.

All are JWTs (RFC 7519) signed with Ed25519. Three uses: `access` of a user, `service` of one of our processes, and
`ticket`, which starts one camera's stream on one node. A node keeps SMServer's public keys and the revoked sessions
on disk, so that it can check while SMServer is silent.
"""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from broker.model.resources import ServerRole
from broker.trust.errors import KeyFileError, TokenRefusedError
from broker.trust.identity import ALGORITHM, LEEWAY
from broker.trust.keyfile import read_or_create_private, write_private

ISSUER = "smserver"
Use = Literal["access", "service", "ticket"]
Purpose = Literal["live", "playback"]
"""What a ticket starts."""

LIFETIME: Mapping[str, timedelta] = {
    "access": timedelta(seconds=300),
    "service": timedelta(seconds=300),
    "ticket": timedelta(seconds=60),
}
GRACE_S = 43_200.0
"""12 hours, the default for which a node does without SMServer."""

CONTACT_WRITE_S = 60.0
"""How often the last sign of life of SMServer is written to disk at most."""


class Claims(NamedTuple):
    """What a good token says."""

    use: Use
    sub: str
    """The user's id, or the node's of a service token."""
    jti: str
    expires_at: datetime
    sid: str = ""
    """The session."""
    role: ServerRole | None = None
    camera: str = ""
    node: str = ""
    purpose: Purpose = "live"
    """Of a ticket: which of the camera's streams it starts."""


class SigningKeys:
    """SMServer's signing keys in a file (0600), made when there is none. The first signs, all are published.

    Raises:
        KeyFileError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        content = read_or_create_private(path, _new_key_set)
        try:
            self._keys = KeySet.import_key_set(json.loads(content))
            self.current = self._keys.keys[0]
        except (ValueError, KeyError, TypeError, IndexError, JoseError) as error:
            raise KeyFileError(f"{path} is not a file of signing keys; put the right one back") from error

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517, section 5)."""
        return dict(self._keys.as_dict(private=False))

    def ed25519(self) -> tuple[Ed25519PrivateKey, tuple[str, ...]]:
        """The key that signs, for documents that are no tokens, and all public keys (hexadecimal), the first first."""
        every = [key.private_key for key in self._keys.keys if isinstance(key, OKPKey)]
        usable = [key for key in every if isinstance(key, Ed25519PrivateKey)]
        publics = (key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex() for key in usable)
        return usable[0], tuple(publics)


class TokenIssuer:
    """Makes tokens; SMServer alone has one."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def access(self, user_id: str, session_id: str, *, now: datetime | None = None) -> str:
        """A user's access token."""
        return self._issue("access", {"sub": user_id, "sid": session_id}, now)

    def service(self, node_id: str, role: ServerRole, *, now: datetime | None = None) -> str:
        """The service token of one of our processes."""
        return self._issue("service", {"sub": node_id, "role": role.value}, now)

    def ticket(
        self,
        user_id: str,
        session_id: str,
        camera_id: str,
        node_id: str,
        *,
        purpose: Purpose = "live",
        now: datetime | None = None,
    ) -> str:
        """A ticket that starts streams of one camera on one node, either live or recorded ones."""
        claims = {"sub": user_id, "sid": session_id, "camera": camera_id, "node": node_id, "purpose": purpose}
        return self._issue("ticket", claims, now)

    def _issue(self, use: Use, claims: dict[str, str], now: datetime | None) -> str:
        at = now or datetime.now(UTC)
        times = {"iat": int(at.timestamp()), "exp": int((at + LIFETIME[use]).timestamp())}
        body = {"iss": ISSUER, "use": use, **claims, "jti": uuid4().hex, **times}
        key = self._keys.current
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, body, key, algorithms=[ALGORITHM])


class TokenChecker:
    """Checks tokens offline. Safe to use from any thread.

    `directory` holds SMServer's public keys and the revoked sessions; they outlive a restart. Expired tokens are
    refused, but for the grace rule: while SMServer is silent, a token that was good when the silence began is
    accepted for `grace_s` seconds from then (0: never), unless its session is known to be revoked.
    """

    def __init__(self, directory: Path, *, grace_s: float = GRACE_S) -> None:
        self._jwks_path = directory / "jwks.json"
        self._state_path = directory / "sessions.json"
        self._grace = timedelta(seconds=grace_s)
        self._lock = threading.Lock()
        self._jwks: dict[str, Any] = _read_json(self._jwks_path)
        self._keys = _key_set(self._jwks)
        state = _read_json(self._state_path)
        self._revoked: dict[str, float] = {str(k): float(v) for k, v in state.get("revoked", {}).items()}
        self._heard_at: float | None = state.get("heard_at")
        self._heard_on_disk = self._heard_at or 0.0
        self._silent_since: float | None = None

    @property
    def ready(self) -> bool:
        """Whether SMServer's keys are known; without them every token is refused."""
        return self._keys is not None

    def update(self, jwks: dict[str, Any], *, now: datetime | None = None) -> None:
        """SMServer has answered with its public keys: keep them and end the silence.

        Raises:
            KeyFileError: these are no keys.
        """
        keys = _key_set(jwks)
        if keys is None:
            raise KeyFileError("SMServer sent no usable keys")
        with self._lock:
            if jwks != self._jwks:
                write_private(self._jwks_path, json.dumps(jwks).encode())
                self._jwks, self._keys = jwks, keys
        self.set_smserver_silent(None, now=now)

    def set_smserver_silent(self, since: datetime | None, *, now: datetime | None = None) -> None:
        """Say since when SMServer has not answered, or with none that it does.

        A silence that began while this process was down counts from the last sign of life before that.
        """
        with self._lock:
            if since is not None:
                began = since.timestamp()
                self._silent_since = began if self._heard_at is None else min(began, self._heard_at)
                return
            self._silent_since = None
            self._heard_at = (now or datetime.now(UTC)).timestamp()
            if self._heard_at - self._heard_on_disk >= CONTACT_WRITE_S:
                self._write_state()

    def revoke(self, session_id: str, at: datetime | None = None) -> None:
        """Refuse all tokens of a session from now on, after a restart too."""
        with self._lock:
            self._revoked[session_id] = (at or datetime.now(UTC)).timestamp()
            keep = (self._grace + LIFETIME["access"] + timedelta(hours=1)).total_seconds()
            oldest = self._revoked[session_id] - keep
            self._revoked = {sid: when for sid, when in self._revoked.items() if when >= oldest}
            self._write_state()

    def is_revoked(self, session_id: str) -> bool:
        """Whether the session is known to be over."""
        with self._lock:
            return session_id in self._revoked

    def check(self, token: str, use: Use, now: datetime | None = None) -> Claims:
        """What a token says, if it is good for this use.

        Raises:
            TokenRefusedError: it is not; says why.
        """
        keys = self._keys
        if keys is None:
            raise TokenRefusedError("SMServer's keys are not known here yet")
        claims = _believe(token, keys, use)
        at = now or datetime.now(UTC)
        if claims.sid and self.is_revoked(claims.sid):
            raise TokenRefusedError("its session is over")
        if at >= claims.expires_at and not self._in_grace(claims.expires_at, at):
            raise TokenRefusedError("it has expired")
        if claims.expires_at - LIFETIME[use] > at + LEEWAY:
            raise TokenRefusedError("it is from the future; are the clocks right?")
        return claims

    def _in_grace(self, expired_at: datetime, now: datetime) -> bool:
        with self._lock:
            since = self._silent_since
        if since is None:
            return False
        began = datetime.fromtimestamp(since, UTC)
        return expired_at >= began and now - began <= self._grace and bool(self._grace)

    def _write_state(self) -> None:
        state = {"heard_at": self._heard_at, "revoked": self._revoked}
        write_private(self._state_path, json.dumps(state).encode())
        self._heard_on_disk = self._heard_at or 0.0


def _believe(token: str, keys: KeySet, use: Use) -> Claims:
    """The claims of a token with a good signature and the right use, whatever the time is."""
    try:
        said = jwt.decode(token, keys, algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError, UnicodeError) as error:
        raise TokenRefusedError("it is not signed by SMServer") from error
    if said.get("iss") != ISSUER:
        raise TokenRefusedError("it is not from SMServer")
    if said.get("use") != use:
        raise TokenRefusedError(f"it is no {use} token")
    try:
        expires, issued = said["exp"], said["iat"]
        if not isinstance(expires, int) or not isinstance(issued, int) or expires - issued > 2 * 300:
            raise TokenRefusedError("its times are not believable")
        claims = Claims(
            use=use,
            sub=str(said["sub"]),
            jti=str(said["jti"]),
            expires_at=datetime.fromtimestamp(expires, UTC),
            sid=str(said.get("sid", "")),
            role=ServerRole(said["role"]) if use == "service" else None,
            camera=str(said.get("camera", "")),
            node=str(said.get("node", "")),
            purpose=_purpose(said.get("purpose", "live")),
        )
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise TokenRefusedError("a claim is missing or malformed") from error
    if use != "service" and not claims.sid:
        raise TokenRefusedError("it names no session")
    if use == "ticket" and not (claims.camera and claims.node):
        raise TokenRefusedError("it names no camera or no node")
    return claims


def _purpose(said: object) -> Purpose:
    match said:
        case "live" | "playback":
            return said
    raise ValueError("a purpose that is not known here")


def _new_key_set() -> bytes:
    key = OKPKey.generate_key("Ed25519", {"use": "sig"}, private=True, auto_kid=True)
    return json.dumps(KeySet([key]).as_dict(private=True), indent=2).encode()


def _key_set(jwks: dict[str, Any]) -> KeySet | None:
    if not jwks.get("keys"):
        return None
    try:
        return KeySet.import_key_set(jwks)  # type: ignore[arg-type] # a mapping checked by the library itself
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        return {}  # written whole, so damage is the disk's; SMServer sends it anew
    return content if isinstance(content, dict) else {}
