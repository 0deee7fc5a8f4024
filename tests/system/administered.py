"""A site that an administrator sets up by hand: in System Manager's window, or with `vigil sm`. For any test to reuse.

    configure_by_window(window, plan, until)      # a signed-in MainWindow of clients.system_manager
    configure_by_command(environment, plan)       # VIGIL_SMSERVER_URL, VIGIL_USER and VIGIL_PASSWORD in it

Either way the site then has what `Plan` says: another server, a camera, an alarm on its motion that protects its
footage, a profile that holds nothing else, and a user with that profile.
"""

import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What the administrator wants."""

    camera_url: str
    sub_url: str = ""
    node_id: str = "node-1"
    server_id: str = "node-2"
    camera_id: str = "yard"
    alarm_id: str = "yard-motion"
    profile_id: str = "yard-guards"
    user_id: str = "olga"
    password: str = "correct horse battery"
    rights: tuple[str, ...] = ("live", "playback", "export", "acknowledge")


# --- in the window ------------------------------------------------------------------------------------------------


def configure_by_window(window, plan: Plan, until):
    """Add all of it by filling in forms. `until(condition, seconds=20)` serves the GUI."""
    page = _new(window, "server")
    _type(page, id=plan.server_id, name="Second recorder", control_url="http://127.0.0.1:5019")
    _save(page, until)

    page = _new(window, "camera")
    _type(page, id=plan.camera_id, name="Yard", main_url=plan.camera_url, sub_url=plan.sub_url)
    _choose(page.editor("node_id"), plan.node_id)
    page.panel.main_button.click()
    until(page.panel.main_button.isEnabled, 40)
    assert page.panel.problem.text == ""
    assert not page.panel.picture.pixmap().isNull()
    _save(page, until)
    until(lambda: window.site.health("camera", plan.camera_id).level == "good", 40)

    page = _new(window, "alarm")
    _type(page, id=plan.alarm_id, name="Motion in the yard")
    _choose(page.editor("priority"), "high")
    page.editor("until_acknowledged").box.click()
    _choose(page.editor("trigger").editors["camera_id"], plan.camera_id)
    entry = page.editor("actions").add()
    _choose(entry.rows.editors["camera_id"], plan.camera_id)
    _save(page, until)

    page = _new(window, "profile")
    _type(page, id=plan.profile_id, name="Guards of the yard")
    for right in plan.rights:
        page.editor("rights").tick(right)
    page.editor("camera_ids").tick(plan.camera_id)
    page.editor("alarm_ids").tick(plan.alarm_id)
    _save(page, until)

    page = _new(window, "user")
    _type(page, id=plan.user_id, name="Olga", password=plan.password)
    _choose(page.editor("profile_id"), plan.profile_id)
    _save(page, until)


def _new(window, kind):
    window.add(kind)
    return window.page


def _type(page, **texts):
    for name, text in texts.items():
        line = page.editor(name).line
        line.setText(text)
        line.textEdited.emit(text)


def _choose(editor, value):
    at = editor.box.findData(value)
    assert at >= 0, f"{value} is not on offer"
    editor.box.setCurrentIndex(at)
    editor.box.activated.emit(at)


def _save(page, until):
    page.save_button.click()
    until(lambda: not page.busy and (page.resource_id or page.complaints() or page.message.text))
    assert (page.complaints(), page.message.text) == ({}, "")
    until(lambda: not page.busy and not page.dirty)


# --- on the command line ------------------------------------------------------------------------------------------


def configure_by_command(environment, plan: Plan):
    """Add all of it with `vigil sm`; returns what the commands said."""
    sub = ["--sub-url", plan.sub_url] if plan.sub_url else []
    guarded = {**environment, "VIGIL_NEW_PASSWORD": plan.password}
    rights = [word for right in plan.rights for word in ("--right", right)]
    said = [
        sm(environment, "servers", "add", plan.server_id, "--name", "Second recorder", "--role", "dvrserver",
           "--control-url", "http://127.0.0.1:5019"),
        sm(environment, "cameras", "probe", plan.camera_url, "--node", plan.node_id),
        sm(environment, "cameras", "add", plan.camera_id, plan.camera_url, "--name", "Yard",
           "--node", plan.node_id, *sub),
        sm(environment, "alarms", "add", plan.alarm_id, "--name", "Motion in the yard", "--priority", "high",
           "--camera", plan.camera_id, "--until-acknowledged", "--action", f"record_camera,camera_id={plan.camera_id}"),
        sm(environment, "profiles", "add", plan.profile_id, "--name", "Guards of the yard", *rights,
           "--camera", plan.camera_id, "--alarm", plan.alarm_id),
        sm(guarded, "users", "add", plan.user_id, "--name", "Olga", "--profile", plan.profile_id),
    ]  # fmt: skip
    return "".join(said)


def sm(environment, *words):
    """Run `vigil sm` as a process of its own; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "vigil", "sm", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout
