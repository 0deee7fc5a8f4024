"""One message of each kind with every field filled: what the golden files hold."""

from datetime import UTC, datetime

from broker.model import messages as m
from broker.model import resources as r
from broker.model.actions import EmailSettings, HttpRequestSettings, RecordCameraSettings

T = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)

CAMERA = r.Camera(
    id="cam-1",
    name="Front gate",
    node_id="node-1",
    main_url="rtsp://192.0.2.10:554/main",
    sub_url="rtsp://192.0.2.10:554/sub",
    username="viewer",
    secret_ref="secret-1",
    recording="on_alarm",
    motion=r.MotionDetection(area_percent=4.5, mask=r.Mask(hidden=(0, 1, 15))),
)
ALARM = r.Alarm(
    id="gate-motion",
    name="Motion at the gate",
    description="Look who it is.",
    administrator_description="Agreed with the guards.",
    priority="high",
    colour="#123abc",
    trigger=r.MotionTrigger(camera_id="cam-1"),
    calendar=r.Calendar(time_zone="Europe/Helsinki", exceptions={"2026-12-24": "0" * 24}),
    until_acknowledged=True,
    actions=(
        RecordCameraSettings(camera_id="cam-1", pre_s=5, post_s=20),
        HttpRequestSettings(url="http://192.0.2.20/siren", when_in_doubt="skip"),
        EmailSettings(to=("guard@example.org",)),
    ),
)
FACT = {"alarm_event_id": "ae-1", "alarm_id": "gate-motion", "at": T}
TRIGGER = {
    "trigger": "motion",
    "source_id": "cam-1",
    "node_id": "node-1",
    "boot": 7,
    "sequence": 42,
    "occurred_at": T,
    "camera_time": T,
    "cells": (3, 4, 19),
}

SAMPLES = (
    m.TriggerActivated(**TRIGGER),
    m.TriggerEnded(**TRIGGER),
    m.AlarmRaised(
        **FACT,
        alarm_name="Motion at the gate",
        priority="high",
        colour="#123abc",
        trigger="motion",
        source_id="cam-1",
        node_id="node-1",
        occurred_at=T,
        camera_ids=("cam-1", "cam-2"),
        until_acknowledged=True,
        trace_id="0af7651916cd43dd8448eb211c80319c",
    ),
    m.AlarmAcknowledged(**FACT, user_id="anna", user_name="Anna"),
    m.AlarmPostRecordingStarted(**FACT, until=T),
    m.AlarmEnded(**FACT),
    m.ActionPerformed(
        **FACT, action_id="a-1", action_kind="http_request", outcome="failed", attempts=3, reason="503", repeated=True
    ),
    m.AcknowledgeRequested(alarm_event_id="ae-1", user_id="anna", user_name="Anna", at=T),
    m.ServerConfigured(
        revision=1,
        server=r.Server(
            id="node-1",
            name="Cellar",
            role="dvrserver",
            control_url="http://127.0.0.1:5009",
            stream_url="rtsp://127.0.0.1:5011",
        ),
    ),
    m.ServerRemoved(revision=2, server_id="node-1"),
    m.CameraConfigured(revision=3, camera=CAMERA, lane="high"),
    m.CameraRemoved(revision=4, camera_id="cam-1"),
    m.AlarmConfigured(revision=5, alarm=ALARM),
    m.AlarmRemoved(revision=6, alarm_id="gate-motion"),
    m.ProfileConfigured(
        revision=7,
        profile=r.Profile(
            id="guards",
            name="Guards",
            rights=frozenset({r.Right.LIVE}),
            camera_ids=frozenset({"cam-1"}),
            alarm_ids=frozenset({"gate-motion"}),
        ),
    ),
    m.ProfileRemoved(revision=8, profile_id="guards"),
    m.UserConfigured(
        revision=9,
        user=r.User(id="anna", name="Anna", profile_id="guards", email="anna@example.org"),
        stream_ha1={"node-1": "c2VhbGVk"},
    ),
    m.UserRemoved(revision=10, user_id="anna"),
    m.SecretSealed(revision=11, secret_ref="secret-1", node_id="node-1", sealed="c2VhbGVk"),
    m.SecretRemoved(revision=12, secret_ref="secret-1"),
    m.NodeStateReported(
        node_id="node-1",
        role="dvrserver",
        boot=7,
        revision=12,
        at=T,
        operations_url="http://127.0.0.1:5109",
        cameras=(
            m.CameraState(camera_id="cam-1", condition="no_signal", problem="It does not answer.", recording=True),
        ),
    ),
    m.HealthEventReported(
        node_id="node-1", event="camera_signal_lost", subject="cam-1", detail="It does not answer.", at=T
    ),
    m.UpdateAvailable(application="spotter", version_name="1.2.3", at=T),
    m.SessionRevoked(session_id="s-1", user_id="anna", at=T),
)
