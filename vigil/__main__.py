"""The command line. Each part owns its commands; this page only says where they are, and imports none of them."""

import importlib
import sys
from collections.abc import Callable
from typing import NamedTuple


class Part(NamedTuple):
    """One word behind `vigil`: a function or a typer application, imported when it is asked for."""

    name: str
    place: str
    help: str


# fmt: off
PARTS = (
    Part("up",             "vigil.up:up",                     "Run everything on this machine"),
    Part("demo",           "vigil.demo:demo",                 "Run everything with simulated cameras"),
    Part("smoke",          "vigil.smoke:smoke",               "Check the main job, a line per check"),
    Part("migrate",        "vigil.migrate:migrate",           "Bring both database schemas up to date, and exit"),
    Part("smserver",       "servers.smserver.__main__:main",  "SMServer: sign-in, configuration, alarm log (5008)"),
    Part("dvrserver",      "servers.dvrserver.__main__:main", "DVRServer: capture, record, detect (5009, 5011)"),
    Part("gateway",        "servers.gateway.command:app",     "GatewayServer: the web client (9999, 9000)"),
    Part("worker",         "workers.command:worker",          "A worker of the engine: intake, actions or both"),
    Part("beat",           "workers.command:beat",            "The engine's clock: sweeper and schedules"),
    Part("flower",         "workers.command:flower",          "The dashboard of workers and tasks (5555)"),
    Part("spotter",        "clients.spotter.command:spotter", "Spotter: live and recorded pictures, alarms"),
    Part("simulator",      "clients.simulator.command:app",   "Simulated cameras (8554, 8555)"),
    Part("sm",             "clients.cli.sm:app",              "Administer a site"),
    Part("system-manager", "clients.system_manager.command:main", "System Manager: administer a site in a window"),
    Part("alarms",         "clients.cli.alarm_log:app",          "List and acknowledge alarms"),
    Part("dead-letters",   "broker.dead_letters:app",         "List, show, replay or drop unhandled messages"),
    Part("vau",            "clients.vau.command:vau",         "Bring an application up to date and start it"),
    Part("install-app",    "clients.vau.install_app:install_app", "Put VAU and launchers of applications in place"),
    Part("release",        "clients.release.command:app",     "Make, sign and publish releases of applications"),
    Part("local-services", "vigil.local_services:beside",    "Run a command beside RabbitMQ and PostgreSQL"),
)
# fmt: on


def usage() -> str:
    """The page that `vigil` alone prints."""
    width = max(len(part.name) for part in PARTS)
    rows = "\n".join(f"  {part.name:<{width}}  {part.help}" for part in PARTS)
    return f"Vigil, an open video management system.\n\nusage: vigil COMMAND [--help]\n\n{rows}\n"


def find(name: str) -> Callable[..., object] | None:
    """Import the command of that name."""
    part = next((part for part in PARTS if part.name == name), None)
    if part is None:
        return None
    module, _, attribute = part.place.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), attribute)
    return found


def main() -> None:
    """Run the command that the first word names."""
    arguments = sys.argv[1:]
    command = find(arguments[0]) if arguments else None
    if command is None:
        asked = not arguments or arguments[0] in {"--help", "-h", "help"}
        (sys.stdout if asked else sys.stderr).write(usage() if asked else f"No such command.\n\n{usage()}")
        raise SystemExit(0 if asked else 2)
    import typer  # noqa: PLC0415 - `vigil` and `vigil --help` answer at once, without it

    application = command
    if not isinstance(application, typer.Typer):
        application = typer.Typer(add_completion=False)
        application.command()(command)
    application(args=arguments[1:], prog_name=f"vigil {arguments[0]}")


if __name__ == "__main__":
    main()
