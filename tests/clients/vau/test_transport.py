import hashlib
import ssl

import pytest

from clients.vau import transport
from clients.vau.addresses import folder_name, in_order, parse
from clients.vau.errors import RefusedError, UnreachableError
from clients.vau.transport import Transport, first_that_answers
from tests.certificates import self_signed


@pytest.fixture
def certificate(tmp_path):
    """A certificate of 127.0.0.1 that nobody but itself has signed."""
    return self_signed(tmp_path)


def sha256_of(tls):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(tls.certificate.read_text())).hexdigest()


@pytest.fixture
def secure(mirror, publisher, certificate):
    publisher.release("1.0")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    mirror._server.socket = context.wrap_socket(mirror._server.socket, server_side=True)
    return f"https://127.0.0.1:{mirror.port}"


def test_the_certificate_that_is_known_is_accepted_and_no_other(secure, certificate):
    first_that_answers([parse(secure, sha256_of(certificate))]).close()
    with pytest.raises(RefusedError, match="another certificate"):
        first_that_answers([parse(secure, "0" * 64)])


def test_an_authority_that_is_named_is_trusted_and_an_unknown_one_is_not(secure, certificate):
    first_that_answers([parse(secure)], ca=certificate.certificate).close()
    with pytest.raises(RefusedError, match="unknown certificate"):
        first_that_answers([parse(secure)])


def test_plain_words_to_a_server_that_speaks_tls_are_one_sentence(secure):
    with pytest.raises(UnreachableError, match="No SMServer answers"):
        first_that_answers([parse(secure.replace("https", "http"))])


def test_a_server_that_drips_is_given_up(mirror, monkeypatch):
    monkeypatch.setattr(transport, "PATIENCE_S", 0.2)

    def drip():
        while True:
            yield b"x"

    mirror.meddle = lambda _path, _body: drip()
    monkeypatch.setattr(transport, "CHUNK", 1)
    monkeypatch.setattr(transport, "SLOWEST", 1 << 40)
    with pytest.raises(UnreachableError, match="too slowly"):
        Transport(parse(f"127.0.0.1:{mirror.port}")).get("/updates/x", most=1 << 40)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("vms.example.org", "https://vms.example.org:5008"),
        ("VMS.example.org:443", "https://vms.example.org:443"),
        ("127.0.0.1", "http://127.0.0.1:5008"),
        ("[::1]", "http://[::1]:5008"),
        ("localhost:5008", "http://localhost:5008"),
        ("http://10.0.0.5:5008", "http://10.0.0.5:5008"),
        ("https://127.0.0.1/", "https://127.0.0.1:5008"),
    ],
)
def test_an_address_is_what_people_type(typed, url):
    assert parse(typed).url == url


@pytest.mark.parametrize("typed", ["", "a b", "ftp://x", "http://x/path", "x:99999", "user@x", "x:0"])
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(ValueError, match="is no address"):
        parse(typed)


def test_one_folder_per_site():
    assert folder_name(in_order([parse("Vms.example.org")], None)) == "vms.example.org_5008"
    assert folder_name([parse("[::1]")]) == "_1_5008"
