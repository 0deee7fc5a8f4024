"""Which addresses may be called: cameras and webhooks are typed in by people and must not open our own doors.

Public unicast addresses are allowed. Loopback, private, link-local and other special addresses are allowed only
where VIGIL_EGRESS__ALLOW names their network, or where the very host and port belong to an enrolled server. What was
checked is what must be connected to: a name that answers differently a second later changes nothing.
"""

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from broker.trust.errors import EgressRefusedError

DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
NAT64 = ip_network("64:ff9b::/96")
NOT_PUBLIC = (ip_network("fec0::/10"), ip_network("3fff::/20"))
"""What Python takes for public: site-local addresses (RFC 3879) and those of documents (RFC 9637)."""

NOT_IN_URLS = frozenset("\\ \t\r\n\0")
"""Characters on whose meaning two parsers disagree."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]
"""Host and port to addresses."""


class Resolved(NamedTuple):
    """A checked place to connect to."""

    scheme: str
    host: str
    """As it was written: for Host headers and certificates."""
    address: str
    """Connect to this one and to nothing else."""
    port: int


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system would try them. Waits for the name server."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class EgressPolicy:
    """Decides which addresses may be called."""

    def __init__(
        self,
        allow: Iterable[Network] = (),
        enrolled: Callable[[], Collection[tuple[str, int]]] = frozenset,
        *,
        resolver: Resolver = resolve,
    ) -> None:
        """`allow` is VIGIL_EGRESS__ALLOW; `enrolled` gives the hosts and ports of the site's own servers."""
        self._allow = tuple(allow)
        self._enrolled = enrolled
        self._resolver = resolver

    def check(self, url: str, *, field: str = "url") -> Resolved:
        """Where a URL may be fetched from. Resolves the name, so it can take as long as the name server.

        Raises:
            EgressRefusedError: it may not; names `field`, says why and what would allow it.
        """
        scheme, host, port = _parse(url, field)
        return self.check_host(host, port, scheme=scheme, field=field)

    async def check_async(self, url: str, *, field: str = "url") -> Resolved:
        """`check` without holding up the event loop."""
        return await asyncio.to_thread(self.check, url, field=field)

    def check_host(self, host: str, port: int, *, scheme: str = "", field: str = "host") -> Resolved:
        """Where a host may be connected to.

        Raises:
            EgressRefusedError: it may not.
        """
        try:
            addresses = [ip_address(text) for text in self._resolver(host, port)]
        except (OSError, UnicodeError, ValueError) as error:
            raise EgressRefusedError(
                field, f"the name {host!r} has no address", "check its spelling, or give the address itself"
            ) from error
        exempt = (host.lower(), port) in self._enrolled()
        for address in addresses:
            if exempt or self.allows(address):
                return Resolved(scheme, host, str(address), port)
        if not addresses:
            raise EgressRefusedError(field, f"the name {host!r} has no address", "check its spelling")
        shown = ", ".join(str(address) for address in addresses)
        raise EgressRefusedError(
            field,
            f"{shown} is not a public address" if host == shown else f"{host} is {shown}, not a public address",
            f"if it is meant, add its network to VIGIL_EGRESS__ALLOW, e.g. {_example(addresses[0])}",
        )

    def allows(self, address: Address) -> bool:
        """Whether an address may be called."""
        real = unwrap(address)
        if any(real.version == network.version and real in network for network in self._allow):
            return True
        if any(real.version == network.version and real in network for network in NOT_PUBLIC):
            return False
        return real.is_global and not real.is_multicast and not real.is_reserved


def unwrap(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return inner
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _parse(url: str, field: str) -> tuple[str, str, int]:
    schemes = ", ".join(DEFAULT_PORTS)
    if any(character in NOT_IN_URLS or ord(character) < ord(" ") for character in url):
        raise EgressRefusedError(field, "it has spaces, backslashes or control characters", "write it without them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EgressRefusedError(
            field, f"it is no address ({error})", "an example is https://192.0.2.10/path"
        ) from error
    if parts.scheme not in DEFAULT_PORTS:
        raise EgressRefusedError(field, f"{parts.scheme or 'no'} scheme is not one of {schemes}", "begin with one")
    if "@" in parts.netloc:
        raise EgressRefusedError(field, "it has a user name or password in it", "give them in their own fields")
    if not host or "%" in host:
        raise EgressRefusedError(field, "it names no host", "an example is https://192.0.2.10/path")
    if port == 0:
        raise EgressRefusedError(field, "port 0 cannot be called", "give the port of the service")
    return parts.scheme, host, port or DEFAULT_PORTS[parts.scheme]


def _example(address: Address) -> str:
    real = unwrap(address)
    return f"{real}/{real.max_prefixlen}"
