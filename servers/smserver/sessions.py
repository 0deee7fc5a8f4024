"""Sign-in, sessions and their tokens. The database knows whether a session lives; tokens only say which it is."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from broker import outbox
from broker.codec import envelope
from broker.database import now
from broker.model import messages as m
from broker.model.access import Access
from broker.trust.passwords import hash_password, needs_rehash, verify_password
from broker.trust.tokens import LIFETIME, TokenIssuer
from servers.smserver import audit, events, tables, throttle
from servers.smserver.audit import REDACTED, Author, Deed
from servers.smserver.configuration import SOURCE
from servers.smserver.errors import RefusedError, SignInError, ThrottledError
from servers.smserver.settings import SMServerGroup
from servers.smserver.site import load_access
from servers.smserver.store import Store
from servers.smserver.tables import credential, refresh_token, session

WRONG = "The user name or the password is wrong."
"""One sentence for both, so that nobody learns which names exist."""

SHORTEST_PASSWORD = 10

HASHES_AT_ONCE = 4
"""Each takes 64 MB and a core for a moment; a flood of sign-ins must not take all memory."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client gets at sign-in and at each refresh."""

    access_token: str
    expires_in: int
    refresh_token: str
    session_id: str
    access: Access


class Sessions:
    """Begins, renews and ends sessions. All of it blocks: call it in threads only.

    `committed` is called after each commit that announces something.
    """

    def __init__(
        self, store: Store, issuer: TokenIssuer, settings: SMServerGroup, committed: Callable[[], None]
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._settings = settings
        self._committed = committed
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)

    def sign_in(self, user_id: str, password: str, author: Author) -> Tokens:
        """Begin a session.

        Raises:
            SignInError: wrong user or password, or a disabled user.
            ThrottledError: too many wrong ones before.
        """
        brakes = throttle.brakes_for(user_id, author.address, self._settings)
        with self._store.write() as connection:
            wait_s = throttle.count_try(connection, brakes, self._settings)
            if not wait_s:
                hashed = _password_hash(connection, user_id)
        if wait_s:
            raise ThrottledError("There were too many wrong passwords.", retry_after_s=wait_s)
        right = self._verify(hashed, password)
        with self._store.write() as connection:
            access = load_access(connection, user_id) if right else None
            if access is None or _password_hash(connection, user_id) != hashed:
                audit.record(connection, author, Deed(action="refused sign-in", kind="user", object_id=user_id[:63]))
            else:
                throttle.forgive(connection, brakes)
                if hashed and needs_rehash(hashed):
                    _store_hash(connection, user_id, hash_password(password))
                tokens = self._begin(connection, access, author)
        if access is None:
            raise SignInError(WRONG)
        return tokens

    def refresh(self, token: str, author: Author) -> Tokens:
        """Renew a session with its refresh token, which is void afterwards. An old one ends the session.

        Raises:
            SignInError: the token is unknown or void, or the session is over.
        """
        with self._store.write() as connection:
            at = now(connection)
            digest = _digest(token)
            row = connection.execute(
                sa.select(refresh_token.c.session_id, refresh_token.c.used_at)
                .where(refresh_token.c.digest == digest)
                .with_for_update()
            ).one_or_none()
            living = _living(connection, row.session_id, at) if row else None
            access = load_access(connection, living.user_id) if living else None
            reused = row is not None and row.used_at is not None
            if row and living and reused:
                # Two parties hold this chain of tokens, and one of them stole it.
                self._end(connection, [living.id], living.user_id, author, action="refresh token reused", at=at)
            elif row and living and access:
                connection.execute(sa.update(refresh_token).where(refresh_token.c.digest == digest).values(used_at=at))
                tokens = self._issue(connection, access, living.id, at)
        if reused:
            self._committed()
        if reused or access is None:
            raise SignInError("This session is over.", remedy="Sign in again.")
        return tokens

    def end(self, session_id: str, author: Author) -> None:
        """Sign out: no token of the session is good any more, anywhere."""
        with self._store.write() as connection:
            at = now(connection)
            living = _living(connection, session_id, at)
            if living:
                self._end(connection, [living.id], living.user_id, author, action="sign out", at=at)
        self._committed()

    def access_of(self, user_id: str, session_id: str) -> Access | None:
        """What the user of a living session may do; None when the session or the user is gone."""
        with self._store.read() as connection:
            living = _living(connection, session_id, now(connection))
            return load_access(connection, user_id) if living and living.user_id == user_id else None

    def change_password(self, user_id: str, old: str, new: str, author: Author, session_id: str) -> None:
        """Change the caller's own password; their other sessions end.

        Raises:
            RefusedError: the old one is wrong, or the new one is too short.
            ThrottledError: too many wrong ones before.
        """
        check_password(new, "new")
        brakes = throttle.brakes_for(user_id, author.address, self._settings)
        with self._store.write() as connection:
            wait_s = throttle.count_try(connection, brakes, self._settings)
            hashed = _password_hash(connection, user_id)
        if wait_s:
            raise ThrottledError("There were too many wrong passwords.", retry_after_s=wait_s)
        if not self._verify(hashed, old):
            raise RefusedError("The old password is wrong.", field="old")
        replacement = hash_password(new)
        with self._store.write() as connection:
            throttle.forgive(connection, brakes)
            _store_hash(connection, user_id, replacement)
            self.end_all(connection, user_id, author, but=session_id)
            deed = Deed(action="set password", kind="user", object_id=user_id, after={"password": REDACTED})
            audit.record(connection, author, deed)
        self._committed()

    def end_all(self, connection: Connection, user_id: str, author: Author, *, but: str = "") -> None:
        """End a user's sessions within the caller's transaction, e.g. because the user was disabled."""
        at = now(connection)
        living = connection.execute(
            sa.select(session.c.id)
            .where(session.c.user_id == user_id, session.c.revoked_at.is_(None), session.c.expires_at > at)
            .order_by(session.c.id)
            .with_for_update()
        ).scalars()
        others = [found for found in living if found != but]
        self._end(connection, others, user_id, author, action="end session", at=at)

    def _verify(self, hashed: str | None, password: str) -> bool:
        """Takes its time on purpose, so never inside a transaction."""
        with self._hashing:
            return verify_password(hashed, password)

    def _begin(self, connection: Connection, access: Access, author: Author) -> Tokens:
        at = now(connection)
        session_id = uuid4().hex
        connection.execute(
            sa.insert(session).values(
                id=session_id,
                user_id=access.user.id,
                created_at=at,
                expires_at=at + timedelta(hours=self._settings.session_h),
                address=author.address[:64],
                program=author.program[:200],
            )
        )
        audit.record(connection, author, Deed(action="sign in", kind="session", object_id=session_id))
        return self._issue(connection, access, session_id, at)

    def _issue(self, connection: Connection, access: Access, session_id: str, at: datetime) -> Tokens:
        token = secrets.token_urlsafe(32)
        connection.execute(sa.insert(refresh_token).values(digest=_digest(token), session_id=session_id))
        connection.execute(
            sa.update(session)
            .where(session.c.id == session_id)
            .values(expires_at=at + timedelta(hours=self._settings.session_h))
        )
        return Tokens(
            access_token=self._issuer.access(access.user.id, session_id),
            expires_in=int(LIFETIME["access"].total_seconds()),
            refresh_token=token,
            session_id=session_id,
            access=access,
        )

    @staticmethod
    def _end(
        connection: Connection, session_ids: Sequence[str], user_id: str, author: Author, *, action: str, at: datetime
    ) -> None:
        """Sessions, then events, then the audit trail, as everywhere: locks taken in one order cannot deadlock."""
        if not session_ids:
            return
        connection.execute(sa.update(session).where(session.c.id.in_(session_ids)).values(revoked_at=at))
        revoked = [m.SessionRevoked(session_id=id_, user_id=user_id, at=at) for id_ in session_ids]
        events.tell(connection, [events.Told(fact.kind(), at, fact.model_dump(mode="json")) for fact in revoked])
        outbox.put(connection, tables.outbox, [envelope(fact, source=SOURCE, time=at) for fact in revoked])
        for id_ in session_ids:
            audit.record(connection, author, Deed(action=action, kind="session", object_id=id_))


def forget_sessions(connection: Connection, before: datetime) -> None:
    """Delete sessions that ended long ago, with their tokens."""
    connection.execute(sa.delete(session).where(sa.or_(session.c.expires_at < before, session.c.revoked_at < before)))


def check_password(password: str, field: str) -> None:
    """Raise `RefusedError` for a password that is too short or absurdly long."""
    if not SHORTEST_PASSWORD <= len(password) <= 200:  # noqa: PLR2004 - a bound on work, not a rule to remember
        raise RefusedError(
            f"A password has {SHORTEST_PASSWORD} to 200 characters.", field=field, remedy="Choose a longer one."
        )


def _living(connection: Connection, session_id: str, at: datetime) -> sa.Row[str, str] | None:
    return connection.execute(
        sa.select(session.c.id, session.c.user_id).where(
            session.c.id == session_id, session.c.revoked_at.is_(None), session.c.expires_at > at
        )
    ).one_or_none()


def _password_hash(connection: Connection, user_id: str) -> str | None:
    found = connection.execute(
        sa.select(credential.c.password_hash).where(credential.c.user_id == user_id)
    ).scalar_one_or_none()
    return found or None


def _store_hash(connection: Connection, user_id: str, hashed: str) -> None:
    connection.execute(sa.update(credential).where(credential.c.user_id == user_id).values(password_hash=hashed))


def _digest(token: str) -> str:
    """Tokens are random, so one round of a plain hash keeps them."""
    return hashlib.sha256(token.encode()).hexdigest()
