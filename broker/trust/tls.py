"""TLS of ports and clients. Plain HTTP and RTSP are for loopback only."""

import ssl
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from broker.process import TLSSettings, logger
from broker.trust.errors import PlainRefusedError

log = logger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a port bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def server_context(tls: TLSSettings, host: str, setting: str) -> ssl.SSLContext | None:
    """The TLS context of a port that is bound to `host`; none: it speaks plainly, on loopback or by choice.

    Raises:
        PlainRefusedError: others could reach the port and there is no certificate. Names `setting`.
        OSError: the certificate or key cannot be read (`ssl.SSLError` is one).
    """
    if tls.certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(tls.certificate, tls.key)
        return context
    if is_loopback(host):
        return None
    if not tls.allow_plain:
        raise PlainRefusedError(host, setting)
    log.warning("a port speaks without TLS beyond this machine: passwords travel in clear", setting=setting, host=host)
    return None


@cache
def client_context(ca: Path | None = None) -> ssl.SSLContext:
    """The TLS context for calls to our own servers: `ca` is trusted beside the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        context.load_verify_locations(ca)
    return context
