"""System Manager without a screen, at a real SMServer on a thread of its own."""

import pytest

from broker.model.resources import Camera, Server, ServerRole
from clients.desktop.application import Application
from clients.system_manager.window import TITLE, MainWindow
from tests.clients.desktop.conftest import Served, served, sites, until

__all__ = ["served", "sites", "until"]


@pytest.fixture
def furnished(served: Served):
    """The site with a DVRServer and a camera."""
    with served.client() as client:
        client.servers.add(Server(id="node-1", name="Node one", role=ServerRole.DVRSERVER))
        client.cameras.add(Camera(id="gate", name="Gate", node_id="node-1", main_url="rtsp://192.0.2.7/main"))
    return served


@pytest.fixture
def application(qapp, furnished, sites):
    """System Manager, not signed in yet."""
    application = Application(TITLE, MainWindow, sites=sites)
    yield application
    application.close()


@pytest.fixture
def window(application, furnished, until):
    """System Manager's main window, signed in as the first administrator."""
    application.start()
    application.sign_in.address.setEditText(furnished.address)
    application.sign_in.user.setText("admin")
    application.sign_in.password.setText(furnished.password)
    application.sign_in.submit()
    until(lambda: application.window is not None and application.window.site.loaded)
    yield application.window
    # What was typed and not saved is of no interest any more.
    application.window.may_close = lambda: True


@pytest.fixture
def open_page(window, until):
    """`open_page("camera", "gate")`: the page of a resource, read."""

    def open_page(kind, id_):
        window.go((kind, id_))
        page = window.page
        until(lambda: not page.busy and page.values.get("id") == id_)
        return page

    return open_page


@pytest.fixture
def save(until):
    """`save(page)`: saves and waits for what comes of it."""

    def save(page):
        page.save()
        until(lambda: not page.busy)
        return page

    return save
