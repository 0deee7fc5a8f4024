"""`vigil sm` administers all kinds of resources: options from the models, conflicts named, errors with their field."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from broker.model.resources import Camera
from clients.cli import sm
from clients.cli.calendars import changed_calendar, plan_of, written
from clients.cli.options import options_of
from clients.system_manager.kinds import KINDS
from clients.system_manager.schema import HIDDEN


@pytest.fixture
def vigil(site, monkeypatch):
    """Runs `vigil sm …` as the first administrator; returns its exit code, output and complaints."""
    monkeypatch.setenv("VIGIL_SMSERVER_URL", site.url)
    monkeypatch.setenv("VIGIL_USER", "admin")
    monkeypatch.setenv("VIGIL_PASSWORD", site.password)
    monkeypatch.setenv("VIGIL_NEW_PASSWORD", "correct horse battery")

    async def run(*words, stdin=None):
        result = await asyncio.to_thread(CliRunner().invoke, sm.app, list(words), input=stdin)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
async def gate(node, admin):
    return await admin.cameras.add(
        Camera(id="gate", name="Gate", node_id="node-1", main_url="rtsp://192.0.2.7/main", sub_url="rtsp://192.0.2.7/s")
    )


def test_every_field_of_every_resource_can_be_set():
    elsewhere = {("id",), ("motion", "mask"), ("calendar",), ("trigger", "kind")}
    for kind in KINDS:
        set_by = {option.path for option in options_of(kind.model)}
        wanted = {(name,) for name in set(kind.model.model_fields) - HIDDEN - {"motion", "trigger"}}
        assert wanted - elsewhere <= set_by, kind.name


async def test_only_what_is_named_changes(vigil, gate, admin):
    code, said, _ = await vigil("cameras", "set", "gate", "--motion-hold-s", "3", "--no-audio", "--sub-url", "")
    assert (code, said) == (0, "Camera gate is changed.\n")
    changed = await admin.cameras.get("gate")
    assert (changed.motion.hold_s, changed.audio, changed.sub_url) == (3.0, False, None)
    assert changed.model_copy(update={"motion": gate.motion, "audio": True, "sub_url": gate.sub_url}) == gate
    code, _, complaints = await vigil("cameras", "set", "gate")
    assert code == 1
    assert "name at least one value" in complaints


async def test_a_change_since_it_was_shown_is_a_conflict_that_is_named(vigil, gate, admin):
    shown = (await vigil("cameras", "show", "gate"))[1]
    revision = next(line.split("\t")[1] for line in shown.splitlines() if line.startswith("(revision)"))
    await admin.cameras.replace(gate.model_copy(update={"name": "Other"}))
    code, _, complaints = await vigil("cameras", "set", "gate", "--buffer-s", "900", "--if-match", revision)
    assert code == 1
    assert "Somebody else has changed the camera gate" in complaints
    assert (await admin.cameras.get("gate")).buffer_s == 600
    assert (await vigil("cameras", "remove", "gate", "--if-match", revision))[0] == 1
    assert (await vigil("cameras", "set", "gate", "--buffer-s", "900"))[0] == 0


async def test_an_alarm_is_made_of_options_and_changed_by_json(vigil, gate, admin):
    code, _, complaints = await vigil(
        "alarms", "add", "motion", "--camera", "gate", "--priority", "high", "--until-acknowledged",
        "--action", "record_camera,camera_id=gate,pre_s=5", "--action", '{"kind": "email", "to": ["olga@example.org"]}',
        "--time-zone", "Europe/Helsinki", "--hours", "mon-fri=8-18", "--hours", "sat-sun=off", "--day", "2026-12-24=on",
    )  # fmt: skip
    assert (code, complaints) == (0, "")
    alarm = await admin.alarms.get("motion")
    assert (alarm.trigger.camera_id, alarm.priority, alarm.until_acknowledged) == ("gate", "high", True)
    assert [action.kind for action in alarm.actions] == ["record_camera", "email"]
    assert alarm.actions[0].pre_s == 5
    assert alarm.calendar.week[0] == "0" * 8 + "1" * 10 + "0" * 6
    assert alarm.calendar.week[6] == "0" * 24
    assert alarm.calendar.exceptions == {"2026-12-24": "1" * 24}
    shown = json.loads((await vigil("alarms", "show", "motion", "--json"))[1])
    shown["name"] = "Somebody"
    assert (await vigil("alarms", "set", "motion", "--file", "-", stdin=json.dumps(shown)))[0] == 0
    assert (await admin.alarms.get("motion")).name == "Somebody"
    code, _, complaints = await vigil("cameras", "remove", "gate")
    assert code == 1
    assert "in use by alarm motion" in complaints


async def test_errors_name_the_field(vigil, gate):
    code, _, complaints = await vigil("alarms", "add", "motion", "--camera", "nowhere")
    assert code == 1
    assert "field: trigger.camera_id" in complaints
    code, _, complaints = await vigil("cameras", "set", "gate", "--main-url", "http://192.0.2.7/")
    assert (code, complaints.startswith("main_url: ")) == (1, True)
    assert (await vigil("cameras", "set", "gate", "--recording", "never"))[0] == 2
    assert (await vigil("alarms", "set", "motion", "--action", "dance"))[0] != 0


async def test_a_profile_and_its_user_are_added_listed_and_removed(vigil, gate, admin):
    added = await vigil("profiles", "add", "guards", "--right", "live", "--right", "playback", "--camera", "gate")
    assert added[0] == 0
    assert (await vigil("users", "add", "olga", "--profile", "guards", "--name", "Olga"))[0] == 0
    profile = await admin.profiles.get("guards")
    assert (profile.rights, profile.camera_ids) == ({"live", "playback"}, {"gate"})
    listed = json.loads((await vigil("users", "list", "--json"))[1])
    assert {user["id"] for user in listed} == {"admin", "olga"}
    code, _, complaints = await vigil("profiles", "remove", "guards")
    assert code == 1
    assert "user olga" in complaints
    assert (await vigil("users", "remove", "olga"))[0] == 0
    assert (await vigil("profiles", "remove", "guards"))[0] == 0


async def test_the_mask_is_shown_and_changed(vigil, gate, admin):
    code, said, _ = await vigil("cameras", "mask", "gate", "--hide", "0-15,0", "--show", "3,0")
    assert code == 0
    assert said.splitlines()[0] == "###.############"
    assert "15 of 192 cells hidden" in said
    assert (await admin.cameras.get("gate")).motion.mask.hidden == tuple(cell for cell in range(16) if cell != 3)
    assert "177 of 192" in (await vigil("cameras", "mask", "gate", "--invert"))[1]
    assert (await vigil("cameras", "mask", "gate", "--hide", "20,0"))[0] == 2


async def test_the_logs_can_be_read_by_programs(vigil, gate):
    records = json.loads((await vigil("audit", "--kind", "camera", "--json"))[1])
    assert [record["object_id"] for record in records] == ["gate"]
    older = json.loads((await vigil("audit", "--before-id", str(records[0]["id"]), "--json"))[1])
    assert all(record["id"] < records[0]["id"] for record in older)
    assert json.loads((await vigil("states", "--json"))[1]) == []
    assert (await vigil("health"))[0] == 0


@pytest.mark.parametrize(
    ("hours", "plan"),
    [
        ("on", "1" * 24),
        ("off", "0" * 24),
        ("8-18", "0" * 8 + "1" * 10 + "0" * 6),
        ("0-6+22-24", "1" * 6 + "0" * 16 + "11"),
    ],
)
def test_hours_are_written_as_they_are_read(hours, plan):
    assert plan_of(hours) == plan
    assert written(plan) == hours


@pytest.mark.parametrize("text", ["8", "18-8", "8-25", "x"])
def test_hours_that_are_none_are_refused(text):
    with pytest.raises(typer.BadParameter):
        plan_of(text)


def test_days_run_over_the_end_of_the_week():
    week = changed_calendar({}, {"hours": ["sat-mon=off"]})["week"]
    assert [plan[0] for plan in week] == list("0111100")
