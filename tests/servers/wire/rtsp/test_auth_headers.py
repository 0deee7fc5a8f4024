import pytest

from servers.wire.rtsp.auth_headers import Authorization, Challenge
from servers.wire.rtsp.errors import MalformedError

CHALLENGES = [
    ("basic", ('Basic realm="a"',), [Challenge(scheme="basic", realm="a")]),
    (
        "hikvision: no algorithm, a space after the comma",
        ('Digest realm="IP Camera(C1234)", nonce="abc", stale="FALSE"', 'Basic realm="IP Camera(C1234)"'),
        [
            Challenge(scheme="digest", realm="IP Camera(C1234)", nonce="abc"),
            Challenge(scheme="basic", realm="IP Camera(C1234)"),
        ],
    ),
    (
        "axis: qop and SHA-256",
        (
            'Digest realm="AXIS_1", nonce="n", algorithm=SHA-256, qop="auth"',
            'Digest realm="AXIS_1",nonce="m",algorithm=MD5',
        ),
        [
            Challenge(scheme="digest", realm="AXIS_1", nonce="n", algorithm="SHA-256", qop=("auth",)),
            Challenge(scheme="digest", realm="AXIS_1", nonce="m"),
        ],
    ),
    (
        "two challenges in one header",
        ('Basic realm="a, b", Digest realm="c", nonce="d", opaque="e\\"f"',),
        [Challenge(scheme="basic", realm="a, b"), Challenge(scheme="digest", realm="c", nonce="d", opaque='e"f')],
    ),
    (
        "unknown schemes are left out",
        ('NTLM, Digest realm="c", nonce="d"',),
        [Challenge(scheme="digest", realm="c", nonce="d")],
    ),
    (
        "stale",
        ('Digest realm="c", nonce="d", stale=true',),
        [Challenge(scheme="digest", realm="c", nonce="d", stale=True)],
    ),
]


@pytest.mark.parametrize(("texts", "values"), [row[1:] for row in CHALLENGES], ids=[row[0] for row in CHALLENGES])
def test_challenges_are_read_and_written(texts, values):
    assert list(Challenge.parse_all(texts)) == values
    assert list(Challenge.parse_all(tuple(value.serialise() for value in values))) == values


AUTHORIZATIONS = [
    Authorization(scheme="basic", username="Ünal", password="a:b"),
    Authorization(scheme="bearer", token="a.b.c"),
    Authorization(scheme="digest", username='a"b', realm="r", nonce="n", uri="rtsp://h/a,b", response="ab12"),
    Authorization(
        scheme="digest",
        username="a",
        realm="r",
        nonce="n",
        uri="u",
        response="r",
        algorithm="SHA-256",
        qop="auth",
        nc="00000001",
        cnonce="c",
        opaque="o",
    ),
]


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=lambda value: value.scheme)
def test_authorizations_are_read_as_written(value):
    assert Authorization.parse(value.serialise()) == value


@pytest.mark.parametrize("text", ["", "Negotiate abc", "Basic ???", "Basic YQ=="])
def test_other_authorizations_are_refused(text):
    with pytest.raises(MalformedError):
        Authorization.parse(text)


def test_a_password_is_not_shown():
    assert "secret" not in repr(Authorization(scheme="basic", username="a", password="secret"))
