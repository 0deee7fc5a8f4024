"""One server as a process of its own."""

from broker.process import load_settings
from servers.net.serve import run


def smserver() -> None:
    """Run SMServer until a signal; the first start prints the administrator's one-time password."""
    from servers.smserver.server import SMServer  # noqa: PLC0415 - the other servers start without it
    from servers.smserver.settings import SMServerSettings  # noqa: PLC0415 - the same

    settings = load_settings(SMServerSettings)
    own = settings.smserver
    run(
        "smserver",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: SMServer(settings, broker, health),
    )


def dvrserver() -> None:
    """Run one DVRServer until a signal."""
    from servers.dvrserver.server import DVRServer  # noqa: PLC0415 - the other servers start without it
    from servers.dvrserver.settings import DVRServerSettings  # noqa: PLC0415 - the same

    settings = load_settings(DVRServerSettings)
    own = settings.dvrserver
    run(
        "dvrserver",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: DVRServer(settings, broker, health),
    )


def gateway() -> None:
    """Run the gateway until a signal."""
    from servers.gateway.server import Gateway  # noqa: PLC0415 - the other servers start without it
    from servers.gateway.settings import GatewaySettings  # noqa: PLC0415 - the same

    settings = load_settings(GatewaySettings)
    own = settings.gateway
    run(
        "gateway",
        settings,
        (own.host, own.operations_port),
        lambda broker, health: Gateway(settings, broker, health),
    )
