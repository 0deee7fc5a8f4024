"""`python -m servers.smserver`: SMServer as a process of its own."""

import sys

from broker.process import Health, load_settings
from broker.transport import Broker
from servers.net.serve import run
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerSettings


def print_password(password: str) -> None:
    """The only time that anybody sees it: on standard output, never in the log."""
    sys.stdout.write(f"Sign in as admin with the one-time password {password} (it is not shown again).\n")
    sys.stdout.flush()


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    settings = load_settings(SMServerSettings)
    own = settings.smserver

    def make(broker: Broker, health: Health) -> SMServer:
        server = SMServer(settings, broker, health)
        server.on_first_password = print_password
        return server

    run("smserver", settings, (own.host, own.operations_port), make)


if __name__ == "__main__":
    main()
