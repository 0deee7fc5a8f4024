"""The first start: somebody must be able to sign in, and nodes must be able to join."""

from pathlib import Path

import sqlalchemy as sa

from broker.model.resources import Profile, Right, User
from broker.trust.keyfile import read_or_create_private
from broker.trust.passwords import hash_password, new_password
from servers.smserver.audit import SYSTEM
from servers.smserver.configuration import Configuration
from servers.smserver.store import Store
from servers.smserver.tables import resource

FIRST_USER = "admin"
FIRST_PROFILE = "administrators"


def first_administrator(store: Store, configuration: Configuration) -> str | None:
    """Make the first administrator if the site has no user yet; returns the password, which is kept nowhere."""
    with store.read() as connection:
        if _users(connection):
            return None
    password = new_password()
    hashed = hash_password(password)
    with configuration.change(SYSTEM) as change:
        if _users(change.connection):  # another process was faster
            return None
        profile = Profile(id=FIRST_PROFILE, name="Administrators", rights=frozenset(Right), everything=True)
        if change.site.find(Profile, FIRST_PROFILE) is None:
            change.create(profile)
        change.create(User(id=FIRST_USER, name="Administrator", profile_id=FIRST_PROFILE))
        change.set_password_hash(FIRST_USER, hashed)
    return password


def join_secret(path: Path) -> None:
    """Write the secret that admits nodes, if there is none (0600)."""
    read_or_create_private(path, _new_join_secret)


def _new_join_secret() -> bytes:
    return f"{new_password(32)}\n".encode()


def _users(connection: sa.Connection) -> int:
    return connection.execute(
        sa.select(sa.func.count()).select_from(resource).where(resource.c.kind == "user")
    ).scalar_one()
