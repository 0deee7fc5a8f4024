"""The HTTP clients: pinned webhooks, fresh service tokens, enrolment, TLS of ports."""

import asyncio
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.model.resources import ServerRole
from broker.process import Health, TLSSettings
from broker.trust.egress import EgressPolicy
from broker.trust.enrolment import HEALTH_PART, enrol, stay_in_touch
from broker.trust.errors import EgressRefusedError, PlainRefusedError, TokenRefusedError
from broker.trust.http import ServiceSession, blocking_service_client, service_client, webhook_client
from broker.trust.identity import Identity, asserted_id, check_assertion
from broker.trust.tls import client_context, is_loopback, server_context
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer

LOOPBACK = ip_network("127.0.0.0/8")


class Site:
    """A small SMServer of the standard library: enough for enrolment, service tokens and keys."""

    def __init__(self, folder, port=0):  # noqa: C901 - one method per route
        self.keys = SigningKeys(folder / "signing.json")
        self.seen = []
        self.known = {}
        self.lifetime = 300
        self.secret = "join me"
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                site.seen.append((self.path, body))
                match self.path:
                    case "/api/v1/enrolments" if body["join_secret"] != site.secret:
                        self.say(403, {"title": "Forbidden", "detail": "the join secret is wrong"})
                    case "/api/v1/enrolments":
                        identity = body["identity"]
                        site.known[identity["node_id"]] = identity["signing_key"]
                        server = {"id": identity["node_id"], "name": "n", "role": identity["role"], "later": 1}
                        self.say(200, {"server": server, "jwks": site.keys.jwks()})
                    case "/api/v1/service-tokens":
                        node = asserted_id(body["assertion"])
                        check_assertion(body["assertion"], site.known[node], "smserver")
                        token = TokenIssuer(site.keys).service(node, ServerRole.ENGINE)
                        self.say(200, {"access_token": token, "expires_in": site.lifetime})
                    case _:
                        self.say(204, None)

            def do_GET(self):
                site.seen.append((self.path, self.headers.get("Host")))
                match self.path:
                    case "/.well-known/jwks.json":
                        self.say(200, site.keys.jwks())
                    case "/guarded":
                        self.say(200 if self.authorised() else 401, {})
                    case "/to-private":
                        self.say(302, {}, Location="http://10.0.0.1/")
                    case "/to-itself":
                        self.say(302, {}, Location="/to-itself")
                    case _:
                        self.say(200, {"host": self.headers.get("Host")})

            def authorised(self):
                return self.headers.get("Authorization") == f"Bearer {site.accepted}"

            def say(self, status, body, **headers):
                data = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.accepted = ""
        ThreadingHTTPServer.daemon_threads = True
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path / "site")
    yield site
    site.close()


@pytest.fixture
def engine(tmp_path):
    return Identity.load_or_create(tmp_path / "engine" / "identity.json", "engine-1", ServerRole.ENGINE)


def test_a_webhook_reaches_an_allowed_address_under_its_own_name(site):
    pinned = EgressPolicy([LOOPBACK], resolver=lambda _host, _port: ["127.0.0.1"])
    with webhook_client(pinned) as client:
        answer = client.get(f"http://hooks.example:{site.port}/hook")
    assert answer.json() == {"host": f"hooks.example:{site.port}"}


def test_a_webhook_to_a_refused_address_sends_nothing(site):
    with webhook_client(EgressPolicy()) as client, pytest.raises(EgressRefusedError):
        client.get(site.url + "/hook")
    assert site.seen == []


def test_a_redirect_is_checked_anew(site):
    with webhook_client(EgressPolicy([LOOPBACK])) as client, pytest.raises(EgressRefusedError, match=r"10\.0\.0\.1"):
        client.get(site.url + "/to-private")


def test_redirects_end(site):
    with webhook_client(EgressPolicy([LOOPBACK])) as client, pytest.raises(httpx.TooManyRedirects):
        client.get(site.url + "/to-itself")
    assert len(site.seen) == 4


def test_a_name_that_answers_differently_the_second_time_is_connected_where_it_was_checked(site):
    asked = []

    def turncoat(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with webhook_client(EgressPolicy([LOOPBACK], resolver=turncoat)) as client:
        assert client.get(f"http://turncoat.example:{site.port}/").status_code == 200
        assert asked == ["turncoat.example"]
        with pytest.raises(EgressRefusedError):
            client.get(f"http://turncoat.example:{site.port}/")


def test_over_tls_the_certificate_must_be_of_the_name_that_was_asked_for(tmp_path):
    certificate, key = certificate_for("hooks.example", tmp_path)
    site = Site(tmp_path / "site")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    anywhere = EgressPolicy([LOOPBACK], resolver=lambda _host, _port: ["127.0.0.1"])
    try:
        with webhook_client(anywhere, ca=certificate) as client:
            assert client.get(f"https://hooks.example:{site.port}/").status_code == 200
            with pytest.raises(httpx.ConnectError, match=r"other.example"):
                client.get(f"https://other.example:{site.port}/")
        with webhook_client(anywhere) as stranger, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get(f"https://hooks.example:{site.port}/")
    finally:
        site.close()


def test_environment_proxies_are_ignored(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with webhook_client(EgressPolicy([LOOPBACK])) as client:
        assert client.get(site.url).status_code == 200
    with blocking_service_client(site.url) as client:
        assert client.get("/").status_code == 200


def test_a_service_token_is_fetched_once_and_put_on_each_request(site, engine):
    site.known["engine-1"] = engine.public().signing_key
    with ServiceSession(engine, site.url) as session, blocking_service_client(site.url, auth=session) as client:
        site.accepted = session.token()
        assert [client.get("/guarded").status_code for _ in range(3)] == [200] * 3
    assert [path for path, _ in site.seen].count("/api/v1/service-tokens") == 1


async def test_a_refused_service_token_is_renewed_once(site, engine):
    site.known["engine-1"] = engine.public().signing_key
    with ServiceSession(engine, site.url) as session:
        first = session.token()
        site.accepted = "something else"
        async with service_client(site.url, auth=session) as client:
            assert (await client.get("/guarded")).status_code == 401
        assert session.token() != first
    assert [path for path, _ in site.seen].count("/guarded") == 2


def test_a_token_about_to_expire_is_renewed_and_the_last_one_serves_while_smserver_is_silent(tmp_path, engine):
    site = Site(tmp_path / "site")
    try:
        site.known["engine-1"] = engine.public().signing_key
        site.lifetime = 60  # as old as renewal asks for
        session = ServiceSession(engine, site.url, store=tmp_path / "token")
        first = session.token()
        second = session.token()
        assert first != second
    finally:
        site.close()
    assert session.token() == second
    session.close()
    with ServiceSession(engine, site.url, store=tmp_path / "token") as restarted:
        assert restarted.token() == second
    with ServiceSession(engine, site.url) as without_store, pytest.raises(httpx.ConnectError):
        without_store.token()


async def test_enrolment_waits_for_the_secret_and_for_smserver_and_says_so(tmp_path, engine):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    health = Health("engine")
    secret = tmp_path / "join-secret"
    task = asyncio.create_task(
        enrol(engine, f"http://127.0.0.1:{port}", secret, control_url="http://127.0.0.1:5009", health=health)
    )
    await until(lambda: "join secret" in str(health.report()))
    secret.write_text("join me\n")
    await until(lambda: "waiting for SMServer" in str(health.report()))
    site = Site(tmp_path / "site", port)
    try:
        enrolled = await asyncio.wait_for(task, 20)
        assert (enrolled.server.id, enrolled.jwks) == ("engine-1", site.keys.jwks())
        assert health.report()["parts"][HEALTH_PART]["ok"]
        assert site.seen[0][1]["control_url"] == "http://127.0.0.1:5009"
    finally:
        site.close()


async def test_a_refused_enrolment_says_why_and_is_tried_again(site, tmp_path, engine):
    health = Health("engine")
    secret = tmp_path / "join-secret"
    secret.write_text("wrong")
    task = asyncio.create_task(enrol(engine, site.url, secret, health=health))
    await until(lambda: "the join secret is wrong" in str(health.report()))
    assert not task.done()
    await stop(task)


async def test_a_node_notices_that_smserver_falls_silent_and_comes_back(tmp_path):
    site = Site(tmp_path / "site")
    checker, health = TokenChecker(tmp_path / "checker"), Health("dvrserver")
    task = asyncio.create_task(stay_in_touch(checker, site.url, health=health, interval_s=0.05))
    try:
        await until(lambda: checker.ready)
        token = TokenIssuer(site.keys).service("engine-1", ServerRole.ENGINE)
        claims = checker.check(token, "service")
        with pytest.raises(TokenRefusedError):
            checker.check(token, "service", claims.expires_at)
        site.close()
        await until(lambda: not health.ok)
        checker.check(token, "service", claims.expires_at)
        site = Site(tmp_path / "site", site.port)
        await until(lambda: health.ok)
        with pytest.raises(TokenRefusedError):
            checker.check(token, "service", claims.expires_at)
    finally:
        await stop(task)
        site.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.11", "::1", "localhost"])
def test_plain_ports_are_for_loopback(host):
    assert is_loopback(host)
    assert server_context(TLSSettings(), host, "VIGIL_SMSERVER__HOST") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.7.1", "vigil.example"])
def test_a_plain_port_beyond_loopback_needs_a_word(host):
    with pytest.raises(PlainRefusedError, match=r"VIGIL_SMSERVER__HOST.*VIGIL_TLS__ALLOW_PLAIN=true"):
        server_context(TLSSettings(), host, "VIGIL_SMSERVER__HOST")
    assert server_context(TLSSettings(allow_plain=True), host, "VIGIL_SMSERVER__HOST") is None


def test_a_certificate_that_cannot_be_read_is_an_error_not_a_plain_port(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        server_context(TLSSettings(certificate=tmp_path / "none.pem"), "127.0.0.1", "VIGIL_SMSERVER__HOST")
    assert client_context() is client_context()


async def until(true, within_s=10.0):
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - the condition is another thread's
            await asyncio.sleep(0.02)


async def stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def certificate_for(name, folder):
    """A self-signed certificate and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
