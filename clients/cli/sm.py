"""`vigil sm`: a site's configuration from the command line."""

from typing import Annotated

import typer

from broker.model.resources import Camera, User
from clients.cli import alarms, clips
from clients.cli.session import console, new_password, signed_in
from clients.cli.tables import show, yes

CAMERA_PASSWORD = "VIGIL_CAMERA_PASSWORD"  # noqa: S105 - the variable's name
NEW_PASSWORD = "VIGIL_NEW_PASSWORD"  # noqa: S105 - the same

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Administer a site. VIGIL_SMSERVER_URL says where; VIGIL_USER and VIGIL_PASSWORD who, or you are asked.",
)
cameras = typer.Typer(no_args_is_help=True, help="Cameras.")
servers = typer.Typer(no_args_is_help=True, help="Servers that have joined the site.")
users = typer.Typer(no_args_is_help=True, help="Users.")
cameras.command("clip")(clips.clip)
app.add_typer(cameras, name="cameras")
app.add_typer(alarms.app, name="alarms")
app.add_typer(servers, name="servers")
app.add_typer(users, name="users")


@cameras.command("list")
def list_cameras() -> None:
    """Show the cameras and how they are."""
    with signed_in() as client:
        found = client.cameras.list()
        states = {state.camera_id: state for node in client.node_states() for state in node.cameras}
    show(
        ("id", "name", "node", "enabled", "condition", "recorded", "main stream"),
        (
            (
                camera.id,
                camera.name,
                camera.node_id,
                yes(camera.enabled),
                str(states[camera.id].condition).replace("_", " ") if camera.id in states else "",
                yes(states[camera.id].recording) if camera.id in states else "",
                camera.main_url,
            )
            for camera in found
        ),
        nothing="No cameras.",
    )


@cameras.command("add")
def add_camera(
    camera_id: Annotated[str, typer.Argument(help="Its id: a-z, 0-9, - and _.")],
    main_url: Annotated[str, typer.Argument(help="Its full stream, e.g. rtsp://192.0.2.10:554/stream1.")],
    *,
    node: Annotated[str, typer.Option(help="The DVRServer that captures it.")] = "node-1",
    name: Annotated[str, typer.Option(help="What people call it; the id if not given.")] = "",
    sub_url: Annotated[str, typer.Option(help="Its small stream, for motion and grids.")] = "",
    username: Annotated[
        str,
        typer.Option(help=f"Who signs in at the camera; the password comes from {CAMERA_PASSWORD} or is asked for."),
    ] = "",
) -> None:
    """Add a camera."""
    with signed_in() as client:
        camera = Camera(
            id=camera_id,
            name=name or camera_id,
            node_id=node,
            main_url=main_url,
            sub_url=sub_url or None,
            username=username,
        )
        password = new_password(f"{username} at the camera", CAMERA_PASSWORD) if username else None
        client.cameras.add(camera, password=password)
    console.print(f"Camera {camera_id} is added.", highlight=False)


@cameras.command("remove")
def remove_camera(camera_id: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Remove a camera that no alarm uses."""
    with signed_in() as client:
        client.cameras.remove(camera_id)
    console.print(f"Camera {camera_id} is removed.", highlight=False)


@servers.command("list")
def list_servers() -> None:
    """Show the servers and when they last reported."""
    with signed_in() as client:
        found = client.servers.list()
        revisions = {state.node_id: str(state.revision) for state in client.node_states()}
    show(
        ("id", "name", "role", "enabled", "control", "streams", "runs revision"),
        (
            (
                server.id,
                server.name,
                server.role,
                yes(server.enabled),
                server.control_url,
                server.stream_url,
                revisions.get(server.id, ""),
            )
            for server in found
        ),
        nothing="No servers.",
    )


@users.command("list")
def list_users() -> None:
    """Show the users."""
    with signed_in() as client:
        found = client.users.list()
    show(
        ("id", "name", "profile", "enabled"),
        ((user.id, user.name, user.profile_id, yes(user.enabled)) for user in found),
        nothing="No users.",
    )


@users.command("add")
def add_user(
    user_id: Annotated[str, typer.Argument(help="The sign-in name.")],
    profile: Annotated[str, typer.Option(help="The id of their profile: what they may see and do.")],
    name: Annotated[str, typer.Option(help="What others see; the id if not given.")] = "",
    email: Annotated[str, typer.Option(help="For letters of the system.")] = "",
) -> None:
    """Add a user. The password comes from VIGIL_NEW_PASSWORD or is asked for."""
    with signed_in() as client:
        user = User(id=user_id, name=name or user_id, profile_id=profile, email=email)
        client.users.add(user, password=new_password(user_id, NEW_PASSWORD))
    console.print(f"User {user_id} is added.", highlight=False)
