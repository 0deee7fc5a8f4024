"""Both ports of a node inside TLS, and its refusal to speak plainly to others."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.memory import MemoryBroker
from broker.model import messages as m
from broker.process import Health, TLSSettings
from broker.trust.errors import PlainRefusedError
from servers.dvrserver.server import DVRServer
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import running, settings_of, watching


@pytest.fixture
def certificate(tmp_path):
    """A certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TLSSettings(certificate=certificate, key=private)


async def test_with_a_certificate_both_ports_speak_tls(site, certificate, run_node, until):
    context = ssl.create_default_context(cafile=certificate.certificate)
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node(tls=certificate) as node:
            assert node.control_url.startswith("https://")
            assert node.stream_url.startswith("rtsps://")
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                assert (await client.get(node.control_url + "/api/v1/health")).status_code == 200
            await until(running(node))
            async with watching(node, tls=context) as viewer:
                await until(lambda: viewer.units)


async def test_a_node_refuses_to_speak_plainly_beyond_this_machine_and_leaves_nothing_open(site):
    node = DVRServer(settings_of(site, host="0.0.0.0"), MemoryBroker(site.hub), Health("dvrserver"))
    with pytest.raises(PlainRefusedError, match="VIGIL_DVRSERVER__HOST"):
        await node.start()
    await node.close()
