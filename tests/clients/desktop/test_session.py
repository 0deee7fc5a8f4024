"""A session: answers arrive in the GUI thread, events resume, and what is lost comes back."""

import asyncio
import itertools
import subprocess
import sys
import threading
import time

from PySide6.QtCore import QObject, QTimer

from broker.model.resources import Profile
from clients.desktop.session import Link
from clients.sdk import ConflictError, UnreachableError


def test_answers_and_errors_arrive_in_the_gui_thread(signed_in, until):
    heard = []
    signed_in.ask(
        lambda client: client.profiles.list(), lambda found: heard.append((threading.current_thread(), found))
    )
    until(lambda: heard)
    assert heard[0][0] is threading.main_thread()
    assert [profile.id for profile in heard[0][1]] == ["administrators"]
    profile = Profile(id="administrators", name="Again")
    signed_in.ask(lambda client: client.profiles.add(profile), heard.append, heard.append)
    until(lambda: len(heard) == 2)
    assert isinstance(heard[1], ConflictError)


def test_nobody_is_called_after_they_are_gone_or_have_cancelled(signed_in, until):
    heard, owner = [], QObject()

    async def slow(client):
        await asyncio.sleep(0.2)

    signed_in.ask(slow, lambda _: heard.append("gone"), owner=owner)
    owner.deleteLater()
    signed_in.ask(slow, lambda _: heard.append("cancelled")).cancel()
    signed_in.ask(slow, lambda _: heard.append("here"))
    until(lambda: heard)
    assert heard == ["here"]


def test_the_gui_thread_goes_on_while_a_server_thinks(signed_in, until):
    ticks, done = [], []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)

    async def think(client):
        await asyncio.to_thread(time.sleep, 0.5)

    signed_in.ask(think, done.append)
    until(lambda: done)
    timer.stop()
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 0.25


def test_events_arrive_and_resume_after_the_server_was_away(served, signed_in, until):
    events = []
    signed_in.happened.connect(events.append)
    until(lambda: signed_in.standing.link is Link.CONNECTED)
    with served.client() as client:
        client.profiles.add(Profile(id="one", name="One"))
    until(lambda: [event.kind for event in events] == ["ProfileConfigured"])
    served.stop()
    until(lambda: signed_in.standing.link is Link.RECONNECTING)
    assert signed_in.standing.reason
    failed = []
    signed_in.ask(lambda client: client.profiles.list(), failed.append, failed.append)
    until(lambda: failed)
    assert isinstance(failed[0], UnreachableError)
    served.start()
    with served.client() as client:
        client.profiles.add(Profile(id="two", name="Two"))
    until(lambda: len(events) == 2)
    assert events[1].data["profile"]["id"] == "two"
    assert signed_in.standing.link is Link.CONNECTED


def test_a_session_that_waits_for_its_server_longer_than_its_token_lives_comes_back(served, signed_in, until):
    until(lambda: signed_in.standing.link is Link.CONNECTED)
    signed_in._client.session._renew_at = 0.0  # the token is due while the server is away
    served.stop()
    until(lambda: signed_in.standing.link is Link.RECONNECTING)
    served.start()
    until(lambda: signed_in.standing.link is Link.CONNECTED)


def test_the_end_of_a_session_on_the_server_is_told(served, signed_in, until):
    sentences = []
    signed_in.over.connect(sentences.append)
    until(lambda: signed_in.standing.link is Link.CONNECTED)
    with served.client() as client:
        client.profiles.add(Profile(id="other", name="Other", rights=frozenset({"administer"}), everything=True))
        admin = client.users.get("admin")
        client.users.add(admin.model_copy(update={"id": "second", "profile_id": "other"}), password="a second secret")
        client.users.replace(admin.model_copy(update={"enabled": False}))
    until(lambda: sentences)
    assert signed_in.standing.link is Link.OVER


def test_signing_out_ends_the_session_on_the_server(served, signed_in, until):
    tokens = signed_in._client.session.refresh_token
    assert tokens
    signed_in.sign_out()
    assert signed_in.standing.link is Link.OUT
    with served.client() as client:
        actions = []

        def signed_out():
            actions[:] = [record.action for record in client.audit(limit=20)]
            return "sign out" in actions

        until(signed_out)


def test_nothing_of_a_server_is_imported_by_the_desktop():
    code = (
        "import sys, clients.desktop.sign_in, clients.desktop.theme;"
        "bad = {'fastapi', 'celery', 'pika', 'sqlalchemy', 'kombu'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
