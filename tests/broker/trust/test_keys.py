"""Identities, sealed boxes, the vault, passwords and stream secrets."""

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.resources import ServerRole
from broker.trust.encoding import to_bytes, to_text
from broker.trust.errors import KeyFileError, SealError, TokenRefusedError
from broker.trust.identity import Identity, PublicIdentity, asserted_id, check_assertion
from broker.trust.passwords import hash_password, needs_rehash, new_password, verify_password
from broker.trust.sealing import seal
from broker.trust.streams import ha1, new_stream_secret, open_ha1, seal_ha1
from broker.trust.vault import Vault


@pytest.fixture
def node(tmp_path):
    return Identity.load_or_create(tmp_path / "node-1" / "identity.json", "node-1", ServerRole.DVRSERVER)


@pytest.fixture
def other(tmp_path):
    return Identity.load_or_create(tmp_path / "node-2" / "identity.json", "node-2", ServerRole.DVRSERVER)


def test_an_identity_is_made_once_and_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "identity.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(
            threads.map(lambda _: Identity.load_or_create(path, "node-1", ServerRole.DVRSERVER).public(), range(16))
        )
    assert all(public == made[0] for public in made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["identity.json"]


def test_a_public_identity_holds_no_private_key_and_survives_json(node):
    public = node.public()
    assert set(public.signing_key) == {"kty", "crv", "x"} | (set(public.signing_key) & {"kid"})
    assert PublicIdentity.model_validate_json(public.model_dump_json()) == public


def test_an_identity_file_of_somebody_else_is_refused(tmp_path, node):
    with pytest.raises(KeyFileError, match="node-1, not of engine node-1"):
        Identity.load_or_create(tmp_path / "node-1" / "identity.json", "node-1", ServerRole.ENGINE)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"id": "node-1", "signing": {}, "sealing": "", "role": "x"}'])
def test_a_damaged_identity_file_is_refused_and_never_replaced(tmp_path, content):
    path = tmp_path / "identity.json"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="identity file"):
        Identity.load_or_create(path, "node-1", ServerRole.DVRSERVER)
    assert path.read_bytes() == content


def test_an_assertion_proves_who_is_asking(node):
    assertion = node.sign_assertion("smserver")
    assert asserted_id(assertion) == "node-1"
    assert check_assertion(assertion, node.public().signing_key, "smserver") == "node-1"


def test_an_assertion_is_refused_from_another_node_for_another_audience_and_at_another_time(node, other):
    assertion, key = node.sign_assertion("smserver"), node.public().signing_key
    now = datetime.now(UTC)
    for arguments in (
        (assertion, other.public().signing_key, "smserver", now),
        (assertion, key, "dvrserver", now),
        (assertion, key, "smserver", now + timedelta(minutes=5)),
        (assertion, key, "smserver", now - timedelta(minutes=5)),
        ("x.y.z", key, "smserver", now),
    ):
        with pytest.raises(TokenRefusedError):
            check_assertion(*arguments[:3], now=arguments[3])


@pytest.mark.parametrize("text", ["", "a.b", "a.e30.c", "a.bm90IGpzb24.c", "a.W10.c", f"a.{to_text(b'[' * 3000)}.c"])
def test_what_is_no_assertion_names_nobody(text):
    with pytest.raises(TokenRefusedError):
        asserted_id(text)


def test_a_sealed_secret_is_opened_by_its_node_in_its_place_only(node, other):
    sealed = seal(b"hunter2", node.public().sealing_key, context="secret/front-door")
    assert node.unseal(sealed, context="secret/front-door") == b"hunter2"
    with pytest.raises(SealError):
        node.unseal(sealed, context="secret/back-door")
    with pytest.raises(SealError):
        other.unseal(sealed, context="secret/front-door")


def test_sealing_twice_gives_two_different_boxes(node):
    key = node.public().sealing_key
    assert seal(b"hunter2", key, context="c") != seal(b"hunter2", key, context="c")


def test_a_sealed_secret_changed_in_any_byte_or_cut_is_refused(node):
    box = to_bytes(seal(b"hunter2", node.public().sealing_key, context="c"))
    for at in range(len(box)):
        changed = box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]
        with pytest.raises(SealError):
            node.unseal(to_text(changed), context="c")
        with pytest.raises(SealError):
            node.unseal(to_text(box[:at]), context="c")


@given(st.text(max_size=80))
def test_garbage_is_refused_as_a_sealed_value(text):
    with pytest.raises(SealError):
        SHARED.unseal(text, context="c")


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!", to_text(b"\0" * 33)])
def test_sealing_to_something_that_is_no_key_is_refused(key):
    with pytest.raises(SealError):
        seal(b"x", key, context="c")


def test_the_vault_opens_what_it_encrypted_after_a_restart_in_its_place_only(tmp_path):
    path = tmp_path / "keys" / "master"
    encrypted = Vault(path).encrypt(b"hunter2", context="secret/front-door")
    assert "hunter2" not in encrypted
    assert Vault(path).decrypt(encrypted, context="secret/front-door") == b"hunter2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SealError):
        Vault(path).decrypt(encrypted, context="secret/back-door")
    with pytest.raises(SealError):
        Vault(tmp_path / "another").decrypt(encrypted, context="secret/front-door")


def test_a_damaged_master_key_is_never_replaced(tmp_path):
    path = tmp_path / "master"
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError):
        Vault(path)
    assert path.read_bytes() == b"short"


def test_a_password_is_verified_and_its_hash_is_argon2id(dear_passwords):
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert verify_password(hashed, "correct horse")
    assert not verify_password(hashed, "battery staple")
    assert not needs_rehash(hashed)


def test_nobody_has_no_password():
    assert not verify_password(None, "anything")
    assert not verify_password("not a hash", "anything")


def test_new_passwords_differ():
    assert len({new_password() for _ in range(100)}) == 100


def test_ha1_is_what_rfc_7616_says():
    values = ha1("Mufasa", "Circle of Life", realm="http-auth@example.org")
    text = b"Mufasa:http-auth@example.org:Circle of Life"
    assert values == {"SHA-256": hashlib.sha256(text).hexdigest(), "MD5": hashlib.md5(text).hexdigest()}
    assert values["MD5"] == "3d78807defe7de2157e2b0b6573a855f"


def test_a_node_gets_a_users_ha1_and_never_the_secret(node, other):
    secret = new_stream_secret()
    sealed = seal_ha1("anna", secret, node.public().sealing_key)
    opened = open_ha1(node, "anna", sealed)
    assert opened == ha1("anna", secret)
    assert secret not in json.dumps(opened)
    with pytest.raises(SealError):
        open_ha1(node, "bert", sealed)
    with pytest.raises(SealError):
        open_ha1(other, "anna", sealed)


@pytest.fixture(autouse=True, scope="module")
def shared(tmp_path_factory):
    global SHARED  # noqa: PLW0603 - hypothesis and function fixtures do not mix
    SHARED = Identity.load_or_create(tmp_path_factory.mktemp("i") / "i.json", "node-9", ServerRole.DVRSERVER)
