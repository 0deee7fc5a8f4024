"""`python -m servers.smserver`: SMServer as a process of its own."""

import sys

from broker.process import Health, load_settings
from broker.transport import Broker
from servers.net.serve import run
from servers.smserver.server import SMServer
from servers.smserver.settings import SMServerSettings


class PrintingSMServer(SMServer):
    """Tells who started it the one-time password. It goes to standard output, never to the log."""

    async def start(self) -> None:
        """Start, then print."""
        self.on_first_password = print_password
        await super().start()


def print_password(password: str) -> None:
    """The only time that anybody sees it."""
    sys.stdout.write(f"Sign in as admin with the one-time password {password} (it is not shown again).\n")
    sys.stdout.flush()


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    settings = load_settings(SMServerSettings)
    own = settings.smserver

    def make(broker: Broker, health: Health) -> SMServer:
        return PrintingSMServer(settings, broker, health)

    run("smserver", settings, (own.host, own.operations_port), make)


if __name__ == "__main__":
    main()
