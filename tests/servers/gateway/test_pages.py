"""Port 9999: the files, and how little they may do."""

import re
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.memory import Hub, MemoryBroker
from broker.process import Health, TLSSettings
from servers.gateway.pages import shell_of
from servers.gateway.server import Gateway
from servers.gateway.settings import GatewayGroup, GatewaySettings


async def test_the_page_may_load_only_its_own_files_and_talk_only_to_the_data_port(alone, http):
    answer = await http.get(f"{alone.page_url}/")
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    data = urlsplit(alone.data_url).netloc
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == f"'self' http://{data} ws://{data}"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert not any("unsafe" in value for value in policy.values())
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_every_answer_carries_the_headers_errors_too(alone, http):
    for path in ("/nothing", "/config.json", "/vendor/preact.js", "/%2e%2e/secret"):
        answer = await http.get(f"{alone.page_url}{path}")
        assert "content-security-policy" in answer.headers, path


async def test_the_page_learns_where_its_data_is(alone, http):
    answer = await http.get(f"{alone.page_url}/config.json")
    assert answer.json() == {"data_port": urlsplit(alone.data_url).port, "video_stream_type": "Live"}


async def test_a_phone_learns_which_files_to_keep_and_when_they_have_changed(tmp_path, alone, http):
    answer = (await http.get(f"{alone.page_url}/shell.json")).json()
    assert {"/index.html", "/app.js", "/style.css", "/vendor/preact.js"} <= set(answer["files"])
    assert not any("README" in path or "LICENSE" in path for path in answer["files"])
    for path in answer["files"]:
        assert (await http.get(f"{alone.page_url}{path}")).status_code == 200, path
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "app.js").write_text("1")
    before = shell_of(tmp_path / "page")
    assert shell_of(tmp_path / "page") == before
    (tmp_path / "page" / "app.js").write_text("2")
    assert shell_of(tmp_path / "page").version != before.version


async def test_a_host_that_is_none_never_reaches_a_header(alone, http):
    answer = await http.get(f"{alone.page_url}/", headers={"Host": "x; script-src *"})
    assert answer.status_code == 400
    assert "content-security-policy" not in answer.headers


async def test_nothing_outside_the_folder_is_served(alone, http):
    for path in ("/..%2fsdk/client.py", "/%2e%2e/sdk/client.py", "/vendor/..%2f..%2fsdk/client.py"):
        assert (await http.get(f"{alone.page_url}{path}")).status_code == 404


async def test_the_page_has_no_inline_script_or_style(alone, http):
    text = (await http.get(f"{alone.page_url}/")).text
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == text.count('<script type="module" src=')


def certificate(folder):
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TLSSettings(certificate=folder / "certificate.pem", key=folder / "key.pem")


async def test_with_a_certificate_the_page_and_its_data_are_encrypted(tmp_path):
    tls = certificate(tmp_path)
    health = Health("gateway")
    gateway = Gateway(
        GatewaySettings(
            data_dir=tmp_path,
            smserver_url="http://127.0.0.1:1",
            tls=tls,
            gateway=GatewayGroup(host="localhost", page_port=0, data_port=0),
        ),
        MemoryBroker(Hub(2), health=health),
        health,
    )
    await gateway.start()
    try:
        context = ssl.create_default_context(cafile=tls.certificate)
        async with httpx.AsyncClient(verify=context, trust_env=False) as http:
            answer = await http.get(f"{gateway.page_url}/")
            data = urlsplit(gateway.data_url).netloc
            assert f"connect-src 'self' https://{data} wss://{data}" in answer.headers["content-security-policy"]
            assert "strict-transport-security" in answer.headers
            asked = await http.get(f"{gateway.data_url}/api/v1/health", headers={"Origin": gateway.page_url})
            assert asked.headers["access-control-allow-origin"] == gateway.page_url
    finally:
        await gateway.close()


def test_every_module_is_loaded_ahead_by_both_pages():
    folder = GatewaySettings().webclient_path
    modules = {f"/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.js")}
    for page in ("index.html", "m/index.html"):
        text = (folder / page).read_text()
        ahead = set(re.findall(r'(?:modulepreload" href|src)="([^"]+\.js)"', text))
        assert ahead == modules - {"/m/service_worker.js"}, page
