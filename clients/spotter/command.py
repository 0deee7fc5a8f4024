"""`vigil spotter`."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clients.spotter.window import MainWindow


def spotter() -> None:
    """Watch cameras and answer alarms."""
    try:
        from clients.desktop.application import Application  # noqa: PLC0415 - Qt is loaded only here
    except ImportError as error:
        sys.stderr.write(f"Spotter needs Qt ({error}); install the desktop packages: pip install vigil-vms[desktop]\n")
        raise SystemExit(1) from error

    def make_window(application: Application) -> "MainWindow":
        from clients.spotter.window import MainWindow  # noqa: PLC0415 - video is loaded once somebody has signed in

        return MainWindow(application)

    raise SystemExit(Application("Vigil Spotter", make_window).run())
