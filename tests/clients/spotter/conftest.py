"""A site without a server: what is asked is kept, and answered when the test says so."""

import os
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import QObject, Signal

from broker.model.resources import Alarm, Camera, MotionTrigger, Profile, Right, Server, ServerRole, User
from clients.desktop.session import Link, Standing
from clients.desktop.video.media import Media
from clients.sdk import Event, Me
from clients.spotter.alarms import Alarms
from clients.spotter.site import Site
from clients.spotter.sound import Bell

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


class StandInSession(QObject):
    """Speaks as `clients.desktop.session.Session` does, to a test instead of a server."""

    standing_changed = Signal(object)
    happened = Signal(object)
    missed = Signal()

    def __init__(self):
        super().__init__()
        self.standing = Standing(Link.CONNECTED)
        self.client = None
        self.asked = []

    def ask(self, what, done, failed=None, *, owner=None):
        asked = Recorder()
        what(asked)
        self.asked.append((asked.name, asked.args, done, failed))
        return asked

    def answer(self, name, value):
        """Answer the oldest question of that name; with an exception it fails."""
        index = next(index for index, each in enumerate(self.asked) if each[0] == name)
        _, args, done, failed = self.asked.pop(index)
        if isinstance(value, Exception):
            failed(value)
        else:
            done(value)
        return args

    def say(self, message):
        """Something happens at the site."""
        self.happened.emit(
            Event(id=1, kind=type(message).__name__, time=datetime.now(UTC), data=message.model_dump(mode="json"))
        )


class Recorder:
    """A client of which only the question is of interest."""

    def __init__(self):
        self.name, self.args = "", ()

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.name, self.args = name, (*args, *kwargs.values())
            return self

        return call


def me(*cameras, rights=tuple(Right), alarms=("motion",)):
    """What the profile shows."""
    return Me(
        user=User(id="olga", name="Olga", profile_id="gate"),
        profile=Profile(id="gate", name="Gate", rights=frozenset(rights)),
        cameras=tuple(
            Camera(id=id_, name=f"Camera {id_}", node_id="node-1", main_url=f"rtsp://127.0.0.1/camera/{id_}/main")
            for id_ in cameras
        ),
        servers=(Server(id="node-1", name="Cellar", role=ServerRole.DVRSERVER),),
        alarms=tuple(
            Alarm(id=id_, name=f"Alarm {id_}", description="Look.", trigger=MotionTrigger(camera_id="one"))
            for id_ in alarms
        ),
    )


@pytest.fixture
def session(qapp):
    return StandInSession()


@pytest.fixture
def site(session):
    site = Site(session)
    site.begin()
    session.answer("me", me("one", "two"))
    yield site
    site.forget()


@pytest.fixture
def bell():
    bell = Bell()
    bell._load = lambda priority: Silence()
    return bell


class Silence:
    """A loudspeaker that nobody hears."""

    def play(self):
        """Nothing is heard."""

    def stop(self):
        """The same."""


@pytest.fixture
def alarms(site, bell):
    alarms = Alarms(site, bell)
    alarms.reload()
    site.session.answer("alarm_events", ())
    return alarms


@pytest.fixture
def media():
    media = Media()
    yield media
    media.close()
