"""Both ports of a node inside TLS, and its refusal to speak plainly to others."""

import ssl

import httpx
import pytest

from broker.memory import MemoryBroker
from broker.model import messages as m
from broker.process import Health, TLSSettings
from broker.trust.errors import PlainRefusedError
from broker.trust.tls import server_context
from servers.dvrserver.server import DVRServer
from tests.certificates import self_signed
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import running, settings_of, state_of, watching


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


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


async def test_a_camera_inside_tls_is_captured_when_its_authority_is_trusted(site, certificate, run_node, until):
    async with CameraStand(tls=server_context(certificate, "127.0.0.1", "")) as stand:
        assert stand.url.startswith("rtsps://")
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node(tls=TLSSettings(ca=certificate.ca)) as node:
            await until(running(node))


async def test_a_camera_whose_certificate_nobody_vouches_for_is_told_so(site, certificate, run_node, until):
    """The negative control of the test above."""
    async with CameraStand(tls=server_context(certificate, "127.0.0.1", "")) as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node:
            problem = await until(lambda: state_of(node).problem)
            assert "certificate" in problem
            assert stand.connections == 0
