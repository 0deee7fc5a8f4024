"""A small site as a node sees it: SMServer's keys, a replica with cameras and users, and the node's identity."""

from types import SimpleNamespace

import pytest

from broker.model import messages as m
from broker.model.resources import Camera, Profile, Right, ServerRole, User
from broker.replica import Replica, Snapshot
from broker.trust.identity import Identity
from broker.trust.streams import seal_ha1
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer

STREAM_SECRET = "correct-horse-battery"


def camera(id_="door", **fields):
    given = {"name": id_.title(), "node_id": "node-1", "main_url": f"rtsp://192.0.2.1/{id_}/main", **fields}
    return Camera(id=id_, **given)


def user(id_, profile_id):
    return User(id=id_, name=id_.title(), profile_id=profile_id)


@pytest.fixture
def site(tmp_path):
    """What SMServer would have told the node `node-1`."""
    keys = SigningKeys(tmp_path / "signing.json")
    checker = TokenChecker(tmp_path / "node")
    checker.update(keys.jwks())
    identity = Identity.load_or_create(tmp_path / "identity.json", "node-1", ServerRole.DVRSERVER)
    replica = Replica.open(tmp_path / "replica.json")
    sealed = seal_ha1("guard", STREAM_SECRET, identity.public().sealing_key)
    both = frozenset({Right.LIVE, Right.PLAYBACK})
    replica.reset(
        Snapshot.of(
            7,
            [
                m.CameraConfigured(revision=7, camera=camera("door")),
                m.CameraConfigured(revision=7, camera=camera("vault")),
                m.ProfileConfigured(revision=7, profile=Profile(id="all", name="All", rights=both, everything=True)),
                m.ProfileConfigured(
                    revision=7, profile=Profile(id="door", name="Door", rights=both, camera_ids=frozenset({"door"}))
                ),
                m.ProfileConfigured(
                    revision=7, profile=Profile(id="deaf", name="No rights", camera_ids=frozenset({"door"}))
                ),
                m.UserConfigured(revision=7, user=user("admin", "all")),
                m.UserConfigured(revision=7, user=user("guard", "door"), stream_ha1={"node-1": sealed}),
                m.UserConfigured(revision=7, user=user("clerk", "deaf")),
            ],
        )
    )
    return SimpleNamespace(
        checker=checker, issuer=TokenIssuer(keys), identity=identity, replica=replica, secret=STREAM_SECRET
    )
