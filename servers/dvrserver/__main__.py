"""`python -m servers.dvrserver`: one recording node as a process of its own."""

from broker.process import load_settings
from servers.dvrserver.server import DVRServer
from servers.dvrserver.settings import DVRServerSettings
from servers.net.serve import run


def main() -> None:
    """Capture, record, detect and serve until a signal."""
    settings = load_settings(DVRServerSettings)
    own = settings.dvrserver
    run(
        "dvrserver",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: DVRServer(settings, broker, health),
    )


if __name__ == "__main__":
    main()
