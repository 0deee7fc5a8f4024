import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from broker.codec import decode
from broker.memory import Hub, MemoryPublisher
from broker.model.health import HealthEvent
from broker.model.messages import CameraCondition, CameraState, HealthEventReported, NodeStateReported
from servers.dvrserver.reports import REMEMBERED, Reports


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def reports(hub):
    return make(MemoryPublisher(hub, "reports"))


def make(publisher):
    return Reports(
        publisher,
        "node-1",
        boot=3,
        operations_url="http://127.0.0.1:5109",
        revision=lambda: 7,
        state_s=0.05,
    )


@asynccontextmanager
async def reporting(reports):
    task = asyncio.create_task(reports.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def said(hub, kind):
    messages = [decode(item.encoded.headers, item.encoded.body).message for item in hub.items("smserver.state.v1")]
    return [message for message in messages if isinstance(message, kind)]


async def test_the_state_tells_node_boot_revision_and_cameras(reports, hub, until):
    state = CameraState(camera_id="door", condition=CameraCondition.RUNNING, recording=True)
    reports.cameras = lambda: (state,)
    async with reporting(reports):
        told = (await until(lambda: said(hub, NodeStateReported)))[0]
    assert (told.node_id, told.boot, told.revision, told.cameras) == ("node-1", 3, 7, (state,))


async def test_a_broker_that_is_slow_to_confirm_gets_no_heap_of_old_states(hub, until):
    async with reporting(make(MemoryPublisher(hub, "reports", until_settled=True))):
        await until(lambda: said(hub, NodeStateReported))
        await asyncio.sleep(0.3)
        assert len(said(hub, NodeStateReported)) == 1


async def test_health_events_wait_for_a_broker_that_refuses_and_come_in_order(reports, hub, until):
    hub.queue_limit = 0
    async with reporting(reports):
        for camera_id in ("one", "two", "three"):
            reports.health(HealthEvent.CAMERA_SIGNAL_LOST, camera_id)
        await asyncio.sleep(0.2)
        assert said(hub, HealthEventReported) == []
        hub.queue_limit = 1000
        await until(lambda: len(said(hub, HealthEventReported)) == 3)
    assert [event.subject for event in said(hub, HealthEventReported)] == ["one", "two", "three"]


async def test_what_is_remembered_for_a_broker_that_stays_away_is_bounded(reports, hub, until):
    hub.queue_limit = 0
    for number in range(REMEMBERED + 50):
        reports.health(HealthEvent.CAMERA_SIGNAL_LOST, f"camera-{number}")
    async with reporting(reports):
        await asyncio.sleep(0.2)
        hub.queue_limit = 10 * REMEMBERED
        await until(lambda: len(said(hub, HealthEventReported)) >= 100)
    assert len(said(hub, HealthEventReported)) <= REMEMBERED


async def test_the_last_words_of_a_node_do_not_wait_for_a_listener(reports, hub):
    async with asyncio.timeout(5):
        await reports.stopped()
    assert [event.event for event in said(hub, HealthEventReported)] == [HealthEvent.PROCESS_STOPPED]
