"""`python -m servers.gateway`: the gateway as a process of its own."""

from broker.process import load_settings
from servers.gateway.server import Gateway
from servers.gateway.settings import GatewaySettings
from servers.net.serve import run


def main() -> None:
    """Serve the page and its data until a signal."""
    settings = load_settings(GatewaySettings)
    own = settings.gateway
    run(
        "gateway",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: Gateway(settings, broker, health),
    )


if __name__ == "__main__":
    main()
