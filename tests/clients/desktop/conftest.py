"""Qt without a screen, and a real SMServer on a thread of its own: the test's thread is the GUI's."""

import asyncio
import os
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.memory import Hub, MemoryBroker
from broker.process import Health, TLSSettings
from clients.desktop.background import Background
from clients.desktop.session import Session
from clients.desktop.sites import Sites
from clients.desktop.trust import Trusted
from clients.sdk import Client
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerGroup, SMServerSettings
from servers.smserver.store import MIGRATIONS, SCHEMA
from tests.databases import migrated

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def make_certificate(folder, name="127.0.0.1"):
    """A certificate that is signed by itself, as TLS settings of a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TLSSettings(certificate=certificate, key=private)


class Served:
    """SMServer on a background thread: start, stop and start it again at the same port."""

    def __init__(self, folder, tls=None, **smserver):
        self.folder = folder
        self.background = Background("smserver")
        self._tls = tls or TLSSettings()
        self._smserver = smserver
        self._stack = None
        self.port = 0
        self.password = ""

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{'https' if self._tls.certificate else 'http'}://{self.address}"

    def start(self, tls=None):
        self._tls = tls or self._tls
        self.background.submit(self._start()).result(60)
        return self

    def stop(self):
        self.background.submit(self._stack.aclose()).result(30)

    def close(self):
        self.stop()
        self.background.close()

    async def _start(self):
        settings = SMServerSettings(
            data_dir=self.folder,
            tls=self._tls,
            smserver=SMServerGroup(port=self.port, operations_port=0, **self._smserver),
        )
        await asyncio.to_thread(migrated, settings.database_url("smserver"), SCHEMA, MIGRATIONS)
        self._stack = AsyncExitStack()
        health = Health("smserver")
        broker = MemoryBroker(Hub(settings.broker.partitions), health=health)
        await broker.start()
        self._stack.push_async_callback(broker.close)
        server = SMServer(settings, broker, health)
        self._stack.push_async_callback(server.close)
        await server.start()
        self.port = int(server.url.rsplit(":", 1)[1])
        self.password = server.first_password or self.password

    def client(self):
        """The SDK, signed in as the first administrator; to be closed."""
        client = Client(self.url, verify=ssl._create_unverified_context() if self._tls.certificate else True)
        client.sign_in("admin", self.password)
        return client


@pytest.fixture
def until(qtbot):
    """`until(condition)`: serve the GUI until it is true."""

    def until(condition, seconds=20):
        qtbot.waitUntil(lambda: bool(condition()), timeout=seconds * 1000)

    return until


@pytest.fixture
def served(tmp_path):
    """A running SMServer."""
    served = Served(tmp_path / "smserver").start()
    yield served
    served.close()


@pytest.fixture
def sites(tmp_path):
    """What the application remembers, in a file of the test's own."""
    return Sites(tmp_path / "config" / "desktop.json")


@pytest.fixture
def session(qapp):
    """A session that is closed at the end."""
    session = Session()
    yield session
    session.close()


@pytest.fixture
def signed_in(served, session, until):
    """The session, signed in as the first administrator."""
    failures = []
    trusted = Trusted(served.url, verify=True, nodes=ssl.create_default_context())
    session.sign_in(trusted, "admin", served.password, lambda _: None, failures.append)
    until(lambda: session.signed_in is not None or failures)
    assert not failures
    return session
