"""Where SMServer is: what people type, what a site's configuration says, and in which order it is tried."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from broker.model.client_configuration import ClientConfiguration, ServerAddress
from broker.ports import number_of

TYPED = re.compile(r"(?:(https?)://)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")
HIGHEST_PORT = 65_535


def parse(typed: str, certificate: str | None = None) -> ServerAddress:
    """`HOST`, `HOST:PORT` or an address with its scheme. Without one it is HTTPS, on this machine HTTP, as SMServer's.

    Raises:
        ValueError: it is none of these; says what would be.
    """
    found = TYPED.fullmatch(typed.strip())
    if found is None or int(found[3] or 1) > HIGHEST_PORT or int(found[3] or 1) < 1:
        raise ValueError(f"{typed!r} is no address of an SMServer: give HOST, HOST:PORT or https://HOST:PORT")
    scheme, host, port = found[1], found[2], found[3] or str(number_of("smserver", "api"))
    scheme = scheme or ("http" if _on_this_machine(host) else "https")
    return ServerAddress(url=f"{scheme}://{host.lower()}:{port}", certificate=certificate)


def in_order(given: Sequence[ServerAddress], configuration: ClientConfiguration | None) -> tuple[ServerAddress, ...]:
    """What the site itself says is tried first, then what was given; each once.

    A certificate that was given counts for the same address in the configuration, too.
    """
    certificates = {address.url: address.certificate for address in given if address.certificate}
    found: dict[str, ServerAddress] = {}
    for address in (*(configuration.addresses if configuration else ()), *given):
        known = certificates.get(address.url) or address.certificate
        found.setdefault(address.url, address.model_copy(update={"certificate": known}))
    return tuple(found.values())


def folder_name(addresses: Iterable[ServerAddress]) -> str:
    """The name of the folder for one site: that of the first address by which it is known here."""
    first = next(iter(addresses)).url
    return re.sub(r"[^a-z0-9.-]+", "_", first.partition("://")[2])


def _on_this_machine(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
