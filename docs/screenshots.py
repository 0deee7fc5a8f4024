"""Take the pictures of docs/pictures anew, from the real applications at a real site.

    python docs/screenshots.py [system-manager …]

A site with simulated cameras starts underneath. One function per application takes its pictures, each twice: light and
dark. Without names, all applications have their turn.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from vigil.smoke import StartedSite

PICTURES = Path(__file__).parent / "pictures"
SCHEMES = ("light", "dark")
PATIENCE_S = 40.0
QUICK = {
    "VIGIL_SIMULATOR__WIDTH": "1280",
    "VIGIL_SIMULATOR__HEIGHT": "720",
    "VIGIL_SIMULATOR__FPS": "15",
    "VIGIL_SIMULATOR__KBPS": "1500",
    "VIGIL_SIMULATOR__CLIPS_DIR": str(Path("var/screenshots-clips").absolute()),
    "VIGIL_LOG__LEVEL": "warning",
}


def until(condition: Callable[[], Any], what: str) -> None:
    """Serve the GUI until it is true."""
    from PySide6.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        QApplication.processEvents()
        time.sleep(0.02)


def settle(seconds: float = 0.3) -> None:
    """Let layouts and pictures come to rest."""
    from PySide6.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def save(widget: "QWidget", name: str) -> None:
    """Write what a widget shows."""
    settle()
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    widget.grab().save(str(path), "PNG", 0)  # type: ignore[call-overload] # the stub wants bytes for the format
    sys.stdout.write(f"{path.relative_to(Path.cwd())}  {path.stat().st_size // 1000} kB\n")


def system_manager(site: "StartedSite") -> None:  # noqa: PLR0915 - a walk through the views, one after the other
    """System Manager, view by view."""
    from PySide6.QtWidgets import QApplication

    from broker.model.resources import Profile, Right
    from clients.desktop.application import Application
    from clients.desktop.session import Link
    from clients.desktop.sites import Sites
    from clients.sdk import Client
    from clients.system_manager.window import TITLE, MainWindow

    os.environ["VIGIL_SMSERVER_URL"] = site.target.api_url
    folder = Path(tempfile.mkdtemp())
    application = Application(TITLE, MainWindow, needs=Right.ADMINISTER, sites=Sites(folder / "desktop.json"))
    application.start()
    sign_in = application.sign_in
    sign_in.address.setEditText("127.0.0.1:9")
    sign_in.user.setText("admin")
    sign_in.password.setText("not this one")
    sign_in.submit()
    until(lambda: sign_in.complaint, "a complaint")
    for scheme in SCHEMES:
        application.choose_scheme(scheme)
        sign_in.adjustSize()
        save(sign_in, f"sign-in-{scheme}")
    sign_in.address.setEditText(site.target.api_url.removeprefix("http://"))
    sign_in.password.setText(site.target.password)
    sign_in.submit()
    until(lambda: application.window is not None, "the main window")
    window = application.window
    assert isinstance(window, MainWindow)
    window.resize(1280, 800)
    until(lambda: window.site.loaded and application.session.standing.link is Link.CONNECTED, "the site")
    until(lambda: window.site.health("camera", "camera-1").level == "good", "a running camera")

    def both(name: str) -> None:
        for scheme in SCHEMES:
            application.choose_scheme(scheme)
            save(window, f"system-manager-{name}-{scheme}")

    both("servers")
    window.go(("camera", ""))
    both("cameras")
    window.go(("camera", "camera-1"))
    page: Any = window.page
    until(lambda: not page.busy and page.values["id"], "the camera")
    both("camera-form")
    page.panel.main_button.click()
    until(page.panel.main_button.isEnabled, "the probe")
    both("camera")
    page.tabs.setCurrentIndex(2)
    until(lambda: page.surface.frame is not None, "a live picture")
    area = page.tabs.widget(2)
    settle(0.5)
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    page.surface.show_mask(16, 12, {*range(16), *range(16, 20), *range(28, 32)})
    page.surface.painted_mask.emit()
    both("mask")
    page.revert()
    until(lambda: not page.busy and not page.dirty, "the camera as it was")
    window.go(("alarm", "entrance-motion"))
    page = window.page
    until(lambda: not page.busy and page.values["id"], "the alarm")
    both("alarm")
    page.tabs.setCurrentIndex(1)
    both("actions")
    page.tabs.setCurrentIndex(2)
    page.editor("calendar")._working()  # noqa: SLF001 - as its button does it
    both("calendar")
    with Client(site.target.api_url) as client:
        client.sign_in(site.target.user, site.target.password)
        client.profiles.add(
            Profile(
                id="guards",
                name="Guards",
                rights=frozenset({Right.LIVE, Right.ACKNOWLEDGE}),
                camera_ids=frozenset({"camera-1"}),
                alarm_ids=frozenset({"entrance-motion"}),
            )
        )
        alarm = client.alarms.get("entrance-motion")
        client.alarms.replace(alarm.model_copy(update={"name": "Somebody at the entrance"}))
    page.save()
    until(lambda: page.dialog is not None, "the conflict")
    for scheme in SCHEMES:
        application.choose_scheme(scheme)
        save(page.dialog, f"system-manager-conflict-{scheme}")
    page.dialog.discard.click()
    until(lambda: not page.busy and not page.dirty, "the alarm as it is")
    window.go(("profile", "guards"))
    page = window.page
    until(lambda: not page.busy and page.values["id"], "the profile")
    both("profile")
    page.ask_remove()
    save(page.dialog, "system-manager-remove-dark")
    page.dialog.reject()
    window.add("user")
    page = window.page
    page.editor("id").line.setText("Olga!")
    page.save()
    both("user")
    page.load()
    window.go(("log", "audit"))
    logs: Any = window.page
    until(lambda: logs.records, "the audit trail")
    changed = next(at for at, record in enumerate(logs.records) if record.action == "change")
    logs.table.selectRow(changed)
    both("audit")
    window.go(("log", "health"))
    logs = window.page
    until(lambda: logs.records, "health events")
    both("health")
    window.go(("log", "states"))
    both("processes")
    application.close()
    QApplication.processEvents()


def spotter(site: "StartedSite") -> None:  # noqa: PLR0915 - a walk through the views, one after the other
    """Spotter, view by view."""
    import httpx
    from PySide6.QtWidgets import QApplication

    from clients.desktop.application import Application
    from clients.desktop.sites import Sites
    from clients.spotter.export import ExportDialog, stretch_around
    from clients.spotter.help_page import HelpPage
    from clients.spotter.history import History
    from clients.spotter.saving import pictures_folder
    from clients.spotter.timeline import now_us
    from clients.spotter.window import MainWindow

    folder = Path(tempfile.mkdtemp())
    os.environ["VIGIL_SMSERVER_URL"] = site.target.api_url
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    application = Application("Vigil Spotter", MainWindow, sites=Sites(folder / "desktop.json"))
    application.start()
    sign_in = application.sign_in
    sign_in.address.setEditText(site.target.api_url.removeprefix("http://"))
    sign_in.user.setText(site.target.user)
    sign_in.password.setText(site.target.password)
    sign_in.submit()
    until(lambda: application.window is not None, "the main window")
    window = application.window
    assert isinstance(window, MainWindow)
    window.resize(1280, 800)
    until(lambda: window.site.cameras and window.layouts.ready, "the cameras")
    page = window.page
    page.name = "Yard"
    window.tabs.setTabText(0, "Yard")
    page.grid.set_cameras(tuple(sorted(window.site.cameras)))
    until(lambda: all(cell.frame is not None for cell in page.grid.cells), "live pictures")

    def both(widget: "QWidget", name: str) -> None:
        for scheme in SCHEMES:
            application.choose_scheme(scheme)
            save(widget, f"spotter-{name}-{scheme}")

    httpx.post(f"{site.target.simulator_url}/cameras/1/motion", json={"seconds": 20}).raise_for_status()
    until(lambda: window.alarms.book.active, "an alarm")
    until(lambda: window.popup.isVisible() and window.popup.grid.cells[0].frame is not None, "the alarm's window")
    page.timeline.zoom(0.1)
    settle(4)
    both(window, "live")
    both(window.popup, "alarm")
    window.popup.close()
    page.grid.enlarge(0)
    until(lambda: page.grid.cells[0].frame and page.grid.cells[0].stream == "main", "the large stream")
    both(window, "enlarged")
    page.grid.enlarge(None)
    window.panel.acknowledge()
    until(lambda: window.alarms.book.unacknowledged == 0, "the acknowledgement")
    page.go_to(now_us() - 6_000_000, playing=False)
    until(lambda: all(cell.frame is not None and cell.recorded for cell in page.grid.cells), "recorded pictures")
    both(window, "playback")
    page.go_live()
    page.grid.set_cells(9)
    until(lambda: all(cell.frame is not None for cell in page.grid.visible_cells()), "live pictures again")
    site.children.stop("up")
    until(lambda: page.grid.cells[0].sentence, "the sentence of a server that is away")
    settle(1)
    both(window, "away")
    site.children.start("up", ["-m", "vigil", "up"])
    until(lambda: page.grid.cells[0].state == "playing" and not page.grid.cells[0].sentence, "the pictures again")
    until(lambda: window.session.standing.link.value == "connected", "SMServer")
    dialog = ExportDialog(window.site, "camera-1", stretch_around(now_us() - 40_000_000), pictures_folder(), window)
    dialog.folder.setText("/home/olga/Pictures/Vigil")
    dialog.show()
    both(dialog, "clip")
    dialog.close()
    history = History(window.site, window.alarms, window)
    history.show()
    until(lambda: history.table.events, "alarms of the past")
    both(history, "history")
    history.close()
    helps = HelpPage(window)
    helps.show()
    save(helps, "spotter-keys-dark")
    helps.close()
    application.close()
    QApplication.processEvents()


DESK, PHONE = (1440, 900), (360, 740)
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")


def web(site: "StartedSite") -> None:  # noqa: PLR0915 - a walk through the views, one after the other
    """The web client in Chromium, view by view, at a desk and on a phone."""
    import httpx
    from playwright.sync_api import Page, sync_playwright

    def shoot(page: Page, name: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / f"{name}.jpg"
        page.wait_for_timeout(400)
        page.screenshot(path=path, type="jpeg", quality=82)
        sys.stdout.write(f"{path.relative_to(Path.cwd())}  {path.stat().st_size // 1000} kB\n")

    def sign_in(page: Page, name: str) -> None:
        page.get_by_label("User name").fill(site.target.user)
        shoot(page, name)
        page.get_by_label("Password").fill(site.target.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("[data-camera-id=camera-1][data-status=live]")

    def motion(page: Page) -> None:
        """Make an alarm, and wait for its window."""
        httpx.post(f"{site.target.simulator_url}/cameras/1/motion?seconds=4", trust_env=False).raise_for_status()
        page.wait_for_selector(".popup [data-status=live]")
        page.wait_for_timeout(800)

    def desk(page: Page, scheme: str) -> None:
        name = f"web-{{}}-{scheme}".format
        sign_in(page, name("sign-in"))
        page.get_by_role("button", name="Zoom in").click(click_count=2)
        page.wait_for_timeout(3000)
        shoot(page, name("live"))
        motion(page)
        shoot(page, name("alarm"))
        page.locator(".popup").get_by_role("button", name="Acknowledge").click()
        page.wait_for_selector(".popup", state="detached")
        row = page.locator(".alarm").first
        row.get_by_text("Details").click()
        row.get_by_role("button", name="Play").click()
        page.wait_for_selector("[data-camera-id=camera-4][data-status=playing]")
        shoot(page, name("playback"))
        page.get_by_role("button", name="Clip", exact=True).click()
        shoot(page, name("clip"))
        page.locator(".clip").get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Live", exact=True).click()
        page.get_by_role("button", name="Show 9 cameras").click()
        page.get_by_role("button", name="Layouts").click()
        page.get_by_label("Save this arrangement as").fill("Night shift")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("is saved.").wait_for()
        page.locator(".layouts .menu").click()
        page.get_by_role("button", name="Night shift 9 cells").wait_for()
        page.wait_for_selector("[data-camera-id=camera-4][data-status=live]")
        shoot(page, name("layouts"))

    def phone(page: Page, scheme: str) -> None:
        name = f"phone-{{}}-{scheme}".format
        sign_in(page, name("sign-in"))
        page.get_by_role("button", name="Zoom in").click(click_count=2)
        page.wait_for_timeout(3000)
        shoot(page, name("watch"))
        motion(page)
        shoot(page, name("alarm"))
        page.locator(".popup").get_by_role("button", name="Acknowledge").click()
        page.wait_for_selector(".popup", state="detached")
        thumbs = page.get_by_role("navigation", name="Views")
        for place in ("Cameras", "More", "Alarms"):
            thumbs.get_by_role("button", name=place).click()
            shoot(page, name(place.lower()))
        page.locator(".alarm").first.get_by_role("button", name="Play").click()
        page.wait_for_selector("[data-camera-id=camera-1][data-status=playing]")
        page.get_by_role("button", name="Pause", exact=True).click()
        shoot(page, name("playback"))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        for scheme in SCHEMES:
            for (width, height), walk in ((DESK, desk), (PHONE, phone)):
                hand = walk is phone
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,  # type: ignore[arg-type] # light or dark
                    has_touch=hand,
                    is_mobile=hand,
                    device_scale_factor=2 if hand else 1,
                )
                page = context.new_page()
                page.goto(f"{site.target.page_url}{'/m' if hand else ''}")
                walk(page, scheme)
                context.close()
        browser.close()


APPLICATIONS: dict[str, Callable[["StartedSite"], None]] = {
    "spotter": spotter,
    "system-manager": system_manager,
    "web": web,
}


def main() -> int:
    """Take the pictures of the applications named, or of all."""
    from vigil.smoke import started_site

    names = sys.argv[1:] or list(APPLICATIONS)
    if unknown := set(names) - set(APPLICATIONS):
        sys.stderr.write(f"no such application: {', '.join(sorted(unknown))}; there are {', '.join(APPLICATIONS)}\n")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-screenshots-")))
        site = started_site(stack, folder, "memory", cameras=4, **QUICK)
        for name in names:
            APPLICATIONS[name](site)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
