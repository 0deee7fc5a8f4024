"""`vigil gateway`: run the gateway, or write the file in which its ports are set."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.ports import number_of
from broker.process import load_settings
from servers.gateway import launcher_config

app = typer.Typer(add_completion=False, help="The gateway: the web client's pages (9999) and their data (9000).")

Directory = Annotated[
    Path | None, typer.Option("--dir", help=f"The folder with a {launcher_config.FILE_NAME}, as `install` writes it.")
]
SMServer = Annotated[str | None, typer.Option(help="SMServer's address, e.g. server1 or https://server1:5008.")]
PagePort = Annotated[int | None, typer.Option(min=0, max=65_535, help="The pages' port.")]
DataPort = Annotated[int | None, typer.Option(min=0, max=65_535, help="The data's port.")]


@app.callback(invoke_without_command=True)
def gateway(
    context: typer.Context,
    directory: Directory = None,
    sm_server: SMServer = None,
    http_port: PagePort = None,
    data_port: DataPort = None,
) -> None:
    """Serve the pages and their data until a signal.

    What is said here counts before the environment, that before the ServiceLauncher.exe.config, and that before the
    TOML file that VIGIL_CONFIG names.
    """
    if context.invoked_subcommand is not None:
        return
    from servers.gateway.server import Gateway  # noqa: PLC0415 - `install` answers without it
    from servers.gateway.settings import GatewaySettings  # noqa: PLC0415 - the same
    from servers.net.serve import run  # noqa: PLC0415 - the same

    group: dict[str, Any] = {"page_port": http_port, "data_port": data_port}
    if directory is not None:
        group["launcher_config"] = directory / launcher_config.FILE_NAME
    given: dict[str, Any] = {"gateway": {name: value for name, value in group.items() if value is not None}}
    if sm_server is not None:
        given["smserver_url"] = _address(sm_server)
    settings = load_settings(GatewaySettings, **given)
    own = settings.gateway
    run(
        "gateway",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: Gateway(settings, broker, health),
    )


@app.command()
def install(  # noqa: PLR0917 - typer gives them by name
    directory: Annotated[Path, typer.Option("--dir", help="Where the file is written; made if it is not there.")],
    sm_server: Annotated[str, typer.Option(help="SMServer's address, e.g. server1 or https://server1:5008.")],
    http_port: Annotated[int, typer.Option(min=1, max=65_535, help="The pages' port.")] = number_of("gateway", "pages"),
    data_port: Annotated[int, typer.Option(min=1, max=65_535, help="The data's port.")] = number_of("gateway", "data"),
    max_streams: Annotated[
        int, typer.Option(min=1, max=10_000, help="Pictures shown at the same time, over all browsers.")
    ] = 200,
    video_stream_type: Annotated[str, typer.Option(help="Rec, Live or Remote.")] = "Live",
    *,
    force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False,
) -> None:
    """Write a ServiceLauncher.exe.config. Later, edit it and start the gateway again."""
    if http_port == data_port:
        raise typer.BadParameter("the two ports must differ, e.g. 9999 and 9000", param_hint="--data-port")
    kinds = {kind.lower(): kind for kind in launcher_config.STREAM_TYPES}
    if video_stream_type.lower() not in kinds:
        raise typer.BadParameter("give Rec, Live or Remote", param_hint="--video-stream-type")
    path = directory / launcher_config.FILE_NAME
    if path.exists() and not force:
        raise typer.BadParameter(f"{path} is there already; edit it, or say --force", param_hint="--dir")
    try:
        launcher_config.write(
            path,
            {
                "HttpPort": http_port,
                "DataPort": data_port,
                "SMServerAddress": _address(sm_server),
                "MaxStreams": max_streams,
                "VideoStreamType": kinds[video_stream_type.lower()],
            },
        )
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint="--dir") from error
    sys.stdout.write(f"Written: {path}\nStart the gateway: vigil gateway --dir {directory}\n")


def _address(given: str) -> str:
    try:
        return launcher_config.server_url(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sm-server") from error
