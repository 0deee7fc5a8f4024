"""`vigil system-manager`."""

from broker.model.resources import Right
from clients.desktop.application import Application
from clients.system_manager.window import TITLE, MainWindow


def main() -> None:
    """Administer a site in a window: servers, cameras, alarms, users and profiles."""
    raise SystemExit(Application(TITLE, MainWindow, needs=Right.ADMINISTER).run())
