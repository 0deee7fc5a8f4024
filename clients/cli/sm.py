"""`vigil sm`: a site's configuration from the command line, with the abilities of System Manager."""

import typer

from clients.cli import alarm_log, camera_commands, clips, logs
from clients.cli.resource_commands import Settings, resource_app
from clients.system_manager.kinds import KIND_OF

CAMERA_PASSWORD = "VIGIL_CAMERA_PASSWORD"  # noqa: S105 - the variable's name
NEW_PASSWORD = "VIGIL_NEW_PASSWORD"  # noqa: S105 - the same

SETTINGS = {
    "server": Settings(columns=("id", "name", "role", "enabled", "control_url", "stream_url")),
    "camera": Settings(
        columns=("id", "name", "node_id", "enabled", "main_url"),
        positional=("main_url",),
        password_variable=CAMERA_PASSWORD,
        also={"node_id": ("--node",)},
    ),
    "alarm": Settings(
        columns=("id", "name", "priority", "enabled", "trigger"),
        also={"trigger_camera_id": ("--camera",)},
    ),
    "profile": Settings(
        columns=("id", "name", "rights", "camera_ids", "alarm_ids", "everything"),
        also={"camera_ids": ("--camera",), "alarm_ids": ("--alarm",)},
    ),
    "user": Settings(
        columns=("id", "name", "profile_id", "enabled"),
        password_variable=NEW_PASSWORD,
        also={"profile_id": ("--profile",)},
    ),
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Administer a site. VIGIL_SMSERVER_URL says where; VIGIL_USER and VIGIL_PASSWORD who, or you are asked."
    f" Passwords are asked for or read from {CAMERA_PASSWORD} and {NEW_PASSWORD}, never from the command line.",
)
groups = {name: resource_app(KIND_OF[name], settings) for name, settings in SETTINGS.items()}
for name, group in groups.items():
    app.add_typer(group, name=KIND_OF[name].plural)
cameras = groups["camera"]
cameras.command("probe")(camera_commands.probe)
cameras.command("snapshot")(camera_commands.snapshot)
cameras.command("mask")(camera_commands.mask)
cameras.command("clip")(clips.clip)
groups["alarm"].command("log")(alarm_log.list_alarms)
groups["alarm"].command("acknowledge")(alarm_log.acknowledge)
app.command("audit")(logs.audit)
app.command("states")(logs.states)
app.command("health")(logs.health)
