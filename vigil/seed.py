"""The configuration of the demo: simulated cameras, and an alarm on the first one's motion."""

import asyncio

from broker.model.actions import RecordCameraSettings
from broker.model.base import Priority
from broker.model.resources import Alarm, Camera, MotionTrigger
from clients.sdk.aio import AsyncClient

NAMES = ("Entrance", "Car park", "Quay", "Warehouse")


async def seed(api_url: str, user: str, password: str, *, cameras: int, rtsp_port: int, node_id: str = "node-1") -> str:
    """Add the cameras and the alarm; return a stream secret for ordinary players."""
    async with AsyncClient(api_url) as client:
        await client.sign_in(user, password)
        await wait_for_node(client, node_id)
        for number in range(1, cameras + 1):
            address = f"rtsp://127.0.0.1:{rtsp_port}/camera/{number}"
            await client.cameras.add(
                Camera(
                    id=f"camera-{number}",
                    name=NAMES[number - 1] if number <= len(NAMES) else f"Camera {number}",
                    node_id=node_id,
                    main_url=f"{address}/main",
                    sub_url=f"{address}/sub",
                )
            )
        await client.alarms.add(
            Alarm(
                id="entrance-motion",
                name="Motion at the entrance",
                description="Look at the entrance, and acknowledge when somebody has been asked what they want.",
                priority=Priority.HIGH,
                trigger=MotionTrigger(camera_id="camera-1"),
                until_acknowledged=True,
                actions=(RecordCameraSettings(camera_id="camera-1", pre_s=10, post_s=10),),
            )
        )
        return (await client.stream_secret()).secret


async def wait_for_node(client: AsyncClient, node_id: str, *, timeout_s: float = 60.0) -> None:
    """Return when a node has joined: only then can cameras be given to it. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while True:
            if any(server.id == node_id for server in await client.servers.list()):
                return
            await asyncio.sleep(0.1)
