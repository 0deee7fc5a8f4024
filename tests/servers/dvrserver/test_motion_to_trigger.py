from broker.model import messages as m
from broker.model.base import Priority
from broker.model.resources import MotionDetection
from tests.servers.dvrserver.camera_stand import CameraStand

QUICK = MotionDetection(hold_s=0.5)


def kinds(site):
    return [type(envelope.message) for envelope in site.triggers()]


async def test_motion_in_the_small_stream_becomes_a_trigger_in_the_lane_of_the_camera(site, run_node, until):
    async with CameraStand() as main, CameraStand(size=(352, 288)) as sub:
        camera = site.camera("door", main_url=main.url, sub_url=sub.url, motion=QUICK)
        site.before_start(m.CameraConfigured, camera=camera, lane=Priority.HIGH)
        async with run_node():
            await until(lambda: sub.viewers)
            sub.moving = True
            await until(lambda: kinds(site) == [m.TriggerActivated])
            begun = site.triggers()[0]
            assert begun.lane is Priority.HIGH
            assert begun.message.source_id == "door"
            assert begun.message.cells
            sub.moving = False
            await until(lambda: kinds(site) == [m.TriggerActivated, m.TriggerEnded])
            assert site.triggers()[1].trace_id == begun.trace_id


async def test_without_a_small_stream_motion_is_found_in_the_key_frames(site, run_node, until):
    async with CameraStand() as main:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=main.url, motion=QUICK))
        async with run_node():
            await until(lambda: main.viewers)
            main.moving = True
            await until(lambda: kinds(site)[:1] == [m.TriggerActivated])


async def test_a_camera_that_stays_away_in_mid_motion_ends_its_trigger(site, run_node, until):
    async with CameraStand() as main, CameraStand() as sub:
        camera = site.camera("door", main_url=main.url, sub_url=sub.url, motion=QUICK)
        site.before_start(m.CameraConfigured, camera=camera)
        async with run_node():
            sub.moving = True
            await until(lambda: kinds(site) == [m.TriggerActivated])
            await sub.away()
            await until(lambda: kinds(site) == [m.TriggerActivated, m.TriggerEnded])
            await sub.back()
            await until(lambda: kinds(site)[2:] == [m.TriggerActivated])


async def test_motion_detection_that_is_switched_off_ends_its_trigger_and_sees_nothing_more(site, run_node, until):
    async with CameraStand() as main, CameraStand() as sub:
        camera = site.camera("door", main_url=main.url, sub_url=sub.url, motion=QUICK)
        site.before_start(m.CameraConfigured, camera=camera)
        async with run_node() as node:
            sub.moving = True
            await until(lambda: kinds(site) == [m.TriggerActivated])
            off = camera.model_copy(update={"motion": MotionDetection(enabled=False)})
            await site.announce(m.CameraConfigured, camera=off)
            await until(lambda: kinds(site) == [m.TriggerActivated, m.TriggerEnded])
            assert all(state.condition == "running" for state in node.state().cameras if state.camera_id == "door")


async def test_a_node_that_stops_in_mid_motion_leaves_no_trigger_open(site, run_node, until):
    async with CameraStand() as main, CameraStand() as sub:
        camera = site.camera("door", main_url=main.url, sub_url=sub.url, motion=QUICK)
        site.before_start(m.CameraConfigured, camera=camera)
        async with run_node():
            sub.moving = True
            await until(lambda: kinds(site) == [m.TriggerActivated])
        sub.moving = False
        async with run_node():
            await until(lambda: m.TriggerEnded in kinds(site))
