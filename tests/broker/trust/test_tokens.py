"""Tokens: what is accepted, and every way to be refused."""

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from broker.model.resources import ServerRole
from broker.trust.encoding import to_text
from broker.trust.errors import KeyFileError, TokenRefusedError
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(tmp_path):
    return SigningKeys(tmp_path / "keys" / "signing.json")


@pytest.fixture
def issuer(keys):
    return TokenIssuer(keys)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checker"


@pytest.fixture
def checker(folder, keys):
    checker = TokenChecker(folder)
    checker.update(keys.jwks(), now=NOW)
    return checker


def test_good_tokens_say_who_they_are_for(checker, issuer):
    access = checker.check(issuer.access("anna", "s1", now=NOW), "access", NOW)
    assert (access.use, access.sub, access.sid, access.role) == ("access", "anna", "s1", None)
    service = checker.check(issuer.service("engine-1", ServerRole.ENGINE, now=NOW), "service", NOW)
    assert (service.sub, service.role) == ("engine-1", ServerRole.ENGINE)
    ticket = checker.check(issuer.ticket("anna", "s1", "door", "node-1", now=NOW), "ticket", NOW)
    assert (ticket.camera, ticket.node, ticket.expires_at) == ("door", "node-1", NOW + timedelta(seconds=60))
    assert len({access.jti, service.jti, ticket.jti}) == 3
    assert ticket.purpose == "live"
    recorded = checker.check(issuer.ticket("anna", "s1", "door", "node-1", purpose="playback", now=NOW), "ticket", NOW)
    assert recorded.purpose == "playback"


@pytest.mark.parametrize("made_for", ["access", "service", "ticket"])
@pytest.mark.parametrize("used_as", ["access", "service", "ticket"])
def test_a_token_serves_one_use_only(checker, issuer, made_for, used_as):
    token = {
        "access": issuer.access("anna", "s1", now=NOW),
        "service": issuer.service("engine-1", ServerRole.ENGINE, now=NOW),
        "ticket": issuer.ticket("anna", "s1", "door", "node-1", now=NOW),
    }[made_for]
    if made_for == used_as:
        assert checker.check(token, used_as, NOW).use == used_as
    else:
        with pytest.raises(TokenRefusedError, match=f"no {used_as} token"):
            checker.check(token, used_as, NOW)


def test_access_and_service_tokens_live_five_minutes_and_tickets_one(checker, issuer):
    for use, token, seconds in (
        ("access", issuer.access("anna", "s1", now=NOW), 300),
        ("service", issuer.service("engine-1", ServerRole.ENGINE, now=NOW), 300),
        ("ticket", issuer.ticket("anna", "s1", "door", "node-1", now=NOW), 60),
    ):
        checker.check(token, use, NOW + timedelta(seconds=seconds - 1))
        with pytest.raises(TokenRefusedError, match="expired"):
            checker.check(token, use, NOW + timedelta(seconds=seconds))


GOOD = {
    "iss": "smserver",
    "use": "access",
    "sub": "anna",
    "sid": "s1",
    "jti": "1",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
}


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"use": "admin"},
        {"use": None},
        {"sub": None},
        {"jti": None},
        {"sid": None},
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": GOOD["iat"] + 10**9},
        {"iat": GOOD["iat"] + 3600, "exp": GOOD["exp"] + 3600},
    ],
)
def test_a_signed_token_with_a_wrong_claim_is_refused(checker, keys, change):
    checker.check(sign(keys, GOOD), "access", NOW)  # the control: unchanged it is good
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(TokenRefusedError):
        checker.check(sign(keys, claims), "access", NOW)


@pytest.mark.parametrize(
    ("use", "change"),
    [
        ("service", {"use": "service", "role": "king"}),
        ("service", {"use": "service"}),
        ("ticket", {"use": "ticket", "camera": "door"}),
        ("ticket", {"use": "ticket", "node": "node-1"}),
    ],
)
def test_a_token_needs_the_claims_of_its_use(checker, keys, use, change):
    with pytest.raises(TokenRefusedError):
        checker.check(sign(keys, {**GOOD, **change}), use, NOW)


def sign(keys, claims):
    key = keys.current
    return jwt.encode({"alg": "Ed25519", "kid": key.kid}, claims, key, algorithms=["Ed25519"])


def test_a_token_of_another_site_is_refused(checker, tmp_path):
    stranger = TokenIssuer(SigningKeys(tmp_path / "other.json"))
    with pytest.raises(TokenRefusedError, match="not signed"):
        checker.check(stranger.access("anna", "s1", now=NOW), "access", NOW)


def test_a_stranger_cannot_borrow_a_key_id(checker, keys):
    key = OKPKey.generate_key("Ed25519", {"kid": keys.current.kid}, private=True)
    token = jwt.encode({"alg": "Ed25519", "kid": key.kid}, GOOD, key, algorithms=["Ed25519"])
    with pytest.raises(TokenRefusedError, match="not signed"):
        checker.check(token, "access", NOW)


def test_the_public_key_is_no_hmac_secret_and_none_is_no_signature(checker, keys):
    public = json.dumps(keys.jwks()["keys"][0]).encode()
    forged = jwt.encode({"alg": "HS256"}, GOOD, OctKey.import_key(public), algorithms=["HS256"])
    header, body = to_text(b'{"alg":"none"}'), to_text(json.dumps(GOOD).encode())
    for token in (forged, f"{header}.{body}.", f"{header}.{body}"):
        with pytest.raises(TokenRefusedError):
            checker.check(token, "access", NOW)


def test_a_token_changed_in_any_part_is_refused(checker, issuer):
    token = issuer.access("anna", "s1", now=NOW)
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(TokenRefusedError):
            checker.check(changed, "access", NOW)


@given(st.text(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(text):
    with pytest.raises(TokenRefusedError):
        SHARED.check(text, "access", NOW)


def test_a_node_without_keys_refuses_all_tokens(folder, issuer):
    checker = TokenChecker(folder)
    assert not checker.ready
    with pytest.raises(TokenRefusedError, match="keys are not known"):
        checker.check(issuer.access("anna", "s1", now=NOW), "access", NOW)


def test_keys_outlive_a_restart(checker, folder, issuer):
    again = TokenChecker(folder)
    assert again.ready
    again.check(issuer.access("anna", "s1", now=NOW), "access", NOW)


def test_an_answer_that_is_no_key_set_changes_nothing(checker, issuer):
    for answer in ({}, {"keys": []}, {"keys": [{"kty": "OKP"}]}, {"keys": "x"}):
        with pytest.raises(KeyFileError):
            checker.update(answer)
    checker.check(issuer.access("anna", "s1", now=NOW), "access", NOW)


def test_a_revoked_session_is_refused_at_once_and_after_a_restart(checker, folder, issuer):
    token, ticket = issuer.access("anna", "s1", now=NOW), issuer.ticket("anna", "s1", "door", "node-1", now=NOW)
    other = issuer.access("anna", "s2", now=NOW)
    checker.revoke("s1", NOW)
    for judge in (checker, TokenChecker(folder)):
        assert judge.is_revoked("s1")
        for use, refused in (("access", token), ("ticket", ticket)):
            with pytest.raises(TokenRefusedError, match="session is over"):
                judge.check(refused, use, NOW)
        judge.check(other, "access", NOW)


def test_revocations_are_forgotten_when_no_token_could_be_accepted_any_more(checker):
    checker.revoke("old", NOW - timedelta(days=2))
    checker.revoke("new", NOW)
    assert not checker.is_revoked("old")
    assert checker.is_revoked("new")


def test_expired_tokens_are_accepted_while_smserver_is_silent_and_no_longer(checker, issuer):
    access = issuer.access("anna", "s1", now=NOW)
    service = issuer.service("engine-1", ServerRole.ENGINE, now=NOW)
    later = NOW + HOUR
    for use, token in (("access", access), ("service", service)):
        with pytest.raises(TokenRefusedError, match="expired"):
            checker.check(token, use, later)
    checker.set_smserver_silent(NOW)
    assert checker.check(access, "access", later).sub == "anna"
    assert checker.check(service, "service", later).sub == "engine-1"
    checker.set_smserver_silent(None, now=later)
    with pytest.raises(TokenRefusedError, match="expired"):
        checker.check(access, "access", later)


def test_grace_ends_after_twelve_hours_of_silence(checker, issuer):
    access = issuer.access("anna", "s1", now=NOW)
    checker.set_smserver_silent(NOW)
    checker.check(access, "access", NOW + 12 * HOUR)
    with pytest.raises(TokenRefusedError, match="expired"):
        checker.check(access, "access", NOW + 12 * HOUR + timedelta(seconds=1))


def test_a_token_that_had_expired_before_the_silence_stays_refused(checker, issuer):
    old = issuer.access("anna", "s1", now=NOW - HOUR)
    checker.set_smserver_silent(NOW)
    with pytest.raises(TokenRefusedError, match="expired"):
        checker.check(old, "access", NOW)


def test_grace_does_not_extend_a_revoked_session(checker, issuer):
    access = issuer.access("anna", "s1", now=NOW)
    checker.revoke("s1", NOW)
    checker.set_smserver_silent(NOW)
    with pytest.raises(TokenRefusedError, match="session is over"):
        checker.check(access, "access", NOW)


def test_a_grace_of_zero_disables_it(folder, keys, issuer):
    strict = TokenChecker(folder, grace_s=0)
    strict.update(keys.jwks(), now=NOW)
    strict.set_smserver_silent(NOW)
    with pytest.raises(TokenRefusedError, match="expired"):
        strict.check(issuer.access("anna", "s1", now=NOW), "access", NOW + timedelta(seconds=300))


def test_a_node_that_restarts_in_the_silence_counts_it_from_the_last_sign_of_life(checker, folder, issuer):
    access = issuer.access("anna", "s1", now=NOW)
    again = TokenChecker(folder)
    again.set_smserver_silent(NOW + 2 * HOUR)
    again.check(access, "access", NOW + 2 * HOUR)
    with pytest.raises(TokenRefusedError, match="expired"):
        again.check(access, "access", NOW + 13 * HOUR)


def test_signing_keys_are_kept_private_and_published_without_their_secret(keys, tmp_path):
    path = tmp_path / "keys" / "signing.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKeys(path).jwks() == keys.jwks()
    assert all("d" not in key and key["kid"] for key in keys.jwks()["keys"])


def test_damaged_signing_keys_are_never_replaced(tmp_path):
    path = tmp_path / "signing.json"
    for content in (b"", b"{}", b'{"keys": []}'):
        path.write_bytes(content)
        with pytest.raises(KeyFileError, match="signing keys"):
            SigningKeys(path)
        assert path.read_bytes() == content


@pytest.fixture(autouse=True, scope="module")
def shared(tmp_path_factory):
    global SHARED  # noqa: PLW0603 - hypothesis and function fixtures do not mix
    folder = tmp_path_factory.mktemp("tokens")
    SHARED = TokenChecker(folder)
    SHARED.update(SigningKeys(folder / "keys.json").jwks())
