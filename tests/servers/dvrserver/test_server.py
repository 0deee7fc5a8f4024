import asyncio

import pytest

from broker.model import messages as m
from broker.model.health import HealthEvent
from broker.model.messages import CameraCondition
from servers.net.rtsp_client import RtspRefusedError, RtspUnauthorisedError, play
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import Watching, running, state_of, watching


async def test_a_camera_is_captured_from_the_copy_on_disk_and_watched_while_smserver_is_away(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node, watching(node) as viewer:
            await until(lambda: len(viewer.units) >= 15)
            assert viewer.units[0].key
            assert (viewer.formats[0].width, viewer.formats[0].height) == (320, 240)
            assert state_of(node).condition is CameraCondition.RUNNING
            assert state_of(node).recording


def events(site, camera_id="door"):
    return [event.event for event in site.said(m.HealthEventReported) if event.subject == camera_id]


async def test_a_camera_that_goes_away_and_comes_back_is_recorded_again_and_its_viewer_stays(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node, watching(node) as viewer:
            await until(lambda: len(viewer.units) >= 5)
            await stand.away()
            await until(lambda: "nothing listens" in state_of(node).problem)
            assert state_of(node).condition is CameraCondition.NO_SIGNAL
            seen = len(viewer.units)
            await stand.back()
            await until(running(node))
            await until(lambda: len(viewer.units) >= seen + 5)
            await until(lambda: HealthEvent.CAMERA_SIGNAL_RESTORED in events(site))
            assert events(site) == [HealthEvent.CAMERA_SIGNAL_LOST, HealthEvent.CAMERA_SIGNAL_RESTORED]


async def test_a_camera_that_changes_its_resolution_is_followed_and_the_change_is_reported(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node:
            await until(running(node))
            stand.resize((352, 288))
            await until(lambda: HealthEvent.CAMERA_FORMAT_CHANGED in events(site))
            change = next(e for e in site.said(m.HealthEventReported) if e.event is HealthEvent.CAMERA_FORMAT_CHANGED)
            assert "320x240 became 352x288" in change.detail
            async with watching(node) as viewer:
                await until(lambda: viewer.units)
                assert (viewer.formats[0].width, viewer.formats[0].height) == (352, 288)


async def test_one_connection_serves_all_readers_of_a_camera(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node, watching(node) as one, watching(node) as two:
            async with watching(node, "/camera/door/sub") as three:
                await until(lambda: all(viewer.units for viewer in (one, two, three)))
            assert stand.viewers == 1


async def test_a_change_that_concerns_another_camera_or_retention_leaves_the_connection_alone(site, run_node, until):
    async with CameraStand() as stand:
        camera = site.camera("door", main_url=stand.url)
        site.before_start(m.CameraConfigured, camera=camera)
        async with run_node() as node:
            await until(running(node))
            connections = stand.connections
            await site.announce(m.CameraConfigured, camera=camera.model_copy(update={"retention_h": 1}))
            await site.announce(m.CameraConfigured, camera=site.camera("vault", main_url=stand.url))
            await until(running(node, "vault"))
            assert running(node)()
            assert stand.connections == connections + 1


async def test_a_new_address_is_dialled_at_once_and_a_removed_camera_is_left(site, run_node, until):
    async with CameraStand() as old, CameraStand() as new:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=old.url))
        async with run_node() as node:
            await until(running(node))
            await site.announce(m.CameraConfigured, camera=site.camera("door", main_url=new.url))
            await until(lambda: new.viewers == 1 and old.viewers == 0)
            await until(running(node))
            await site.announce(m.CameraRemoved, camera_id="door")
            await until(lambda: new.viewers == 0)
            assert all(state.camera_id != "door" for state in node.state().cameras)


async def test_cameras_of_other_nodes_are_not_captured(site, run_node, until):
    async with CameraStand() as stand:
        camera = site.camera("door", main_url=stand.url)
        site.before_start(m.CameraConfigured, camera=camera.model_copy(update={"node_id": "node-2"}))
        async with run_node() as node:
            await site.announce(m.CameraConfigured, camera=site.camera("vault", main_url=stand.url))
            await until(running(node, "vault"))
            assert stand.connections == 1


async def test_a_password_travels_sealed_and_a_wrong_one_is_said_with_what_to_do(site, run_node, until):
    async with CameraStand(username="admin", password="hunter2") as stand:
        camera = site.camera("door", main_url=stand.url, username="admin", secret_ref="s-door")
        site.before_start(m.CameraConfigured, camera=camera)
        async with run_node() as node:
            await until(lambda: "has not reached this node" in state_of(node).problem)
            assert state_of(node).condition is CameraCondition.REFUSED
            await site.announce(m.SecretSealed, secret_ref="s-door", node_id="node-1", sealed=site.seal("s-door", "no"))
            await until(lambda: "password" in state_of(node).problem and HealthEvent.CAMERA_REFUSED in events(site))
            assert state_of(node).condition is CameraCondition.REFUSED
            right = site.seal("s-door", "hunter2")
            await site.announce(m.SecretSealed, secret_ref="s-door", node_id="node-1", sealed=right)
            await until(running(node))
            assert "hunter2" not in repr(node.state())


async def test_an_address_that_egress_does_not_allow_is_not_dialled_and_the_state_names_the_setting(
    site, run_node, until
):
    site.before_start(m.CameraConfigured, camera=site.camera("door", main_url="rtsp://10.1.2.3/stream"))
    async with run_node() as node:
        await until(lambda: state_of(node).condition is CameraCondition.REFUSED)
        assert "main_url" in state_of(node).problem
        assert "VIGIL_EGRESS__ALLOW" in state_of(node).problem


async def test_an_address_that_answers_with_something_else_than_rtsp_says_so_and_other_cameras_go_on(
    site, run_node, until
):
    async def web(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("vault", main_url=f"rtsp://127.0.0.1:{port}/x"))
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node:
            await until(running(node))
            problem = await until(lambda: state_of(node, "vault").problem)
            assert state_of(node, "vault").condition is CameraCondition.REFUSED
            assert "RTSP" in problem


async def test_a_session_that_is_revoked_loses_its_pictures_and_cannot_come_back(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        ticket = site.issuer.ticket("guard", "s9", "door", "node-1")
        path = f"/camera/door/main?ticket={ticket}"
        async with run_node() as node, watching(node, path, "", "") as ours, watching(node) as other:
            await until(lambda: ours.units and other.units)
            await site.revoke("s9")
            await until(ours.task.done)
            assert not other.task.done()
            with pytest.raises((RtspUnauthorisedError, RtspRefusedError)):
                await play(node.stream_url + path, Watching())


async def test_a_user_who_loses_the_right_loses_the_picture(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node, watching(node) as viewer:
            await until(lambda: viewer.units)
            await site.announce(m.ProfileRemoved, profile_id="door")
            await until(viewer.task.done)


async def test_the_state_is_reported_at_start_and_every_change_of_a_camera_is_in_it(site, run_node, until):
    site.before_start(m.CameraConfigured, camera=site.camera("door", enabled=False))
    async with run_node():
        state = (await until(lambda: site.said(m.NodeStateReported)))[0]
        assert (state.node_id, state.role, state.revision) == ("node-1", "dvrserver", 8)
        assert {camera.camera_id: camera.condition for camera in state.cameras} == {
            "door": CameraCondition.DISABLED,
            "vault": CameraCondition.DISABLED,
        }
        started = site.said(m.HealthEventReported)
        assert [event.event for event in started] == [HealthEvent.PROCESS_STARTED]


async def test_closing_twice_is_harmless_and_frees_the_ports(site, run_node):
    async with run_node() as node:
        control, stream = (int(url.rsplit(":", 1)[1]) for url in (node.control_url, node.stream_url))
        await node.close()
        await node.close()
    async with run_node(control_port=control, stream_port=stream):
        pass
