import pytest

from servers.wire.rtsp import digest
from servers.wire.rtsp.auth_headers import Authorization, Challenge

URI = "rtsp://h/camera/a/main"


def test_the_proof_is_that_of_rfc_7616():
    # RFC 7616, 3.9.1.
    given = Authorization(
        scheme="digest",
        username="Mufasa",
        realm="http-auth@example.org",
        uri="/dir/index.html",
        algorithm="SHA-256",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        qop="auth",
    )
    secret = digest.ha1("Mufasa", "http-auth@example.org", "Circle of Life", "SHA-256")
    expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert digest.response(secret, "GET", given) == expected


def test_the_proof_without_qop_is_that_of_rfc_2069():
    given = Authorization(
        scheme="digest",
        username="Mufasa",
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="/dir/index.html",
    )
    secret = digest.ha1("Mufasa", "testrealm@host.com", "CircleOfLife", "MD5")
    # The erratum of RFC 2069's example.
    assert digest.response(secret, "GET", given) == "1949323746fe6a43ef61f9606e7febea"


def test_the_strongest_challenge_is_taken():
    basic, md5 = Challenge(scheme="basic", realm="r"), Challenge(scheme="digest", realm="r", nonce="n")
    sha = Challenge(scheme="digest", realm="r", nonce="n", algorithm="SHA-256")
    odd = Challenge(scheme="digest", realm="r", nonce="n", algorithm="SHA-512-256")
    assert digest.strongest([basic, md5, sha]) is sha
    assert digest.strongest([basic, odd, md5]) is md5
    assert digest.strongest([odd, basic]) is basic
    assert digest.strongest([odd]) is None


@pytest.fixture
def authority():
    return digest.DigestAuthority("vigil", b"secret", nonce_life_s=300)


def check(authority, password, *, algorithm="SHA-256", now=1000.0, later=1000.0, method="DESCRIBE", uri=URI):
    offered = [
        each
        for each in Challenge.parse_all(authority.challenges(now))
        if each.algorithm.removesuffix("-SESS") == algorithm
    ]
    given = digest.answer(offered[0], "DESCRIBE", URI, username="ada", password=password, cnonce="c", count=1)
    secrets = {("ada", each): digest.ha1("ada", "vigil", "right", each) for each in digest.ALGORITHMS}
    read = Authorization.parse(given.serialise())
    return authority.verify(read, method, uri, later, lambda user, name: secrets.get((user, name)))


@pytest.mark.parametrize("algorithm", digest.ALGORITHMS)
def test_the_right_password_is_accepted(authority, algorithm):
    assert check(authority, "right", algorithm=algorithm).ok


def test_the_wrong_password_is_refused(authority):
    verdict = check(authority, "wrong")
    assert (verdict.ok, verdict.stale) == (False, False)


def test_an_old_nonce_is_stale_but_only_for_who_knows_the_password(authority):
    assert check(authority, "right", later=1301.0).stale
    assert not check(authority, "wrong", later=1301.0).stale


def test_an_answer_for_another_method_or_stream_is_refused(authority):
    assert not check(authority, "right", method="PLAY").ok
    assert not check(authority, "right", uri="rtsp://h/camera/b/main").ok
    assert check(authority, "right", uri=URI + "/trackID=0").ok


def test_a_nonce_of_another_server_is_stale(authority):
    other = digest.DigestAuthority("vigil", b"another secret")
    (challenge, _) = Challenge.parse_all(other.challenges(1000.0))
    given = digest.answer(challenge, "DESCRIBE", URI, username="ada", password="right", cnonce="c", count=1)
    verdict = authority.verify(
        given, "DESCRIBE", URI, 1000.0, lambda _user, name: digest.ha1("ada", "vigil", "right", name)
    )
    assert (verdict.ok, verdict.stale) == (False, True)


def test_basic_is_offered_only_on_request(authority):
    assert not any(value.startswith("Basic") for value in authority.challenges(0.0))
    assert authority.challenges(0.0, basic=True)[-1] == 'Basic realm="vigil"'
