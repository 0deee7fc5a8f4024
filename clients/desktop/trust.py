"""Whom an application speaks to: the address that somebody typed, and the certificate behind it.

A certificate of a known authority needs no question. Any other is shown once, with its fingerprint, before anything
secret is sent; once accepted it is pinned: that host must then show exactly this one.
"""

import asyncio
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from broker.ports import number_of
from broker.trust.tls import client_context, is_loopback

CONNECT_S = 6.0


class AddressError(ValueError):
    """What was typed is no address of a server; the sentence says why."""


class PlainSpeakingError(Exception):
    """The server does not speak TLS, and is not on this machine."""


class CertificateError(Exception):
    """The server's certificate is not trusted yet; `certificate` is to be shown."""

    def __init__(self, certificate: "Certificate", reason: str) -> None:
        super().__init__(reason)
        self.certificate = certificate


class UnknownCertificateError(CertificateError):
    """Nobody here has seen it before."""


class OtherCertificateError(CertificateError):
    """Another one was accepted before."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server showed of itself."""

    place: str
    """Host and port that showed it."""
    pem: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole certificate, in pairs, as other programs print it."""
        digest = sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest().upper()
        return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    @property
    def subject(self) -> str:
        """Whose it says it is."""
        names = self._read().subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else "(no name)"

    @property
    def valid_until(self) -> str:
        """Its last day."""
        return self._read().not_valid_after_utc.date().isoformat()

    def _read(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.encode())


@dataclass(frozen=True, slots=True)
class Address:
    """Where SMServer is."""

    host: str
    port: int
    scheme: str
    """http, https, or nothing: find out."""

    @property
    def place(self) -> str:
        """Host and port, for people and as a key."""
        return f"{self._bracketed}:{self.port}"

    def url(self, scheme: str) -> str:
        """The address for the SDK."""
        return f"{scheme}://{self.place}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_address(typed: str) -> Address:
    """A host, with or without port, or an http(s) address.

    Raises:
        AddressError: it is none.
    """
    text = typed.strip().rstrip("/")
    if not text:
        raise AddressError("Give the address of the server, for example vms.example.org.")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    good = host and not parts.path and not parts.username and not set(rest) & set(" \t@\\?#") if host else False
    if scheme not in ("", "http", "https") or not good or port == 0:
        raise AddressError(f"“{typed.strip()}” is no address of a server. An example is vms.example.org:5008.")
    assert host is not None
    return Address(host, port or number_of("smserver", "api"), scheme)


@dataclass(frozen=True, slots=True)
class Trusted:
    """How to speak to a site."""

    url: str
    verify: ssl.SSLContext | bool
    """Judges SMServer's certificate."""
    nodes: ssl.SSLContext
    """Judges the certificates of the site's nodes, on 5009 and 5011."""


async def trust(
    address: Address, pinned: str | None, ca: Path | None = None, *, fingerprints: Collection[str] = ()
) -> Trusted:
    """Find out how a server speaks and whether it is the one it should be. Sends nothing but a TLS greeting.

    Args:
        address: where it is.
        pinned: the certificate, PEM, that was accepted for this host before.
        ca: authorities trusted beside the system's.
        fingerprints: SHA-256 of certificates that somebody else vouches for, such as the updater; hexadecimal.

    Raises:
        OSError: nobody answers there; `TimeoutError` and `socket.gaierror` are among them.
        PlainSpeakingError: it does not speak TLS.
        UnknownCertificateError: its certificate must be shown first.
        OtherCertificateError: it shows another certificate than before.
    """
    if address.scheme == "http":
        return Trusted(address.url("http"), verify=True, nodes=_for_nodes(ca, None))
    try:
        shown = await _greet(address, _take_any())
    except ssl.SSLError as error:
        if address.scheme == "" and is_loopback(address.host):
            return Trusted(address.url("http"), verify=True, nodes=_for_nodes(ca, None))
        raise PlainSpeakingError(f"{address.place} does not speak TLS ({error.reason or error})") from error
    url = address.url("https")
    vouched = _digits(shown.fingerprint) in {_digits(fingerprint) for fingerprint in fingerprints}
    if vouched or shown.pem == pinned:
        return Trusted(url, verify=_pin(shown.pem), nodes=_for_nodes(ca, shown.pem))
    known = client_context(ca)
    try:
        await _greet(address, known)
    except ssl.SSLCertVerificationError as error:
        if pinned is not None:
            raise OtherCertificateError(shown, error.verify_message) from error
        raise UnknownCertificateError(shown, error.verify_message) from error
    return Trusted(url, verify=known, nodes=known)


def _digits(fingerprint: str) -> str:
    return fingerprint.replace(":", "").upper()


async def _greet(address: Address, context: ssl.SSLContext) -> Certificate:
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=address.host)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return Certificate(address.place, ssl.DER_cert_to_PEM_cert(der))
    finally:
        writer.close()
        # The server may have gone by then: what it showed is what was asked for.
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def _take_any() -> ssl.SSLContext:
    """For looking at a certificate; nothing is ever sent through it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _pin(pem: str) -> ssl.SSLContext:
    """A context that takes this certificate alone. Its name does not matter: it was compared by its fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    return context


def _for_nodes(ca: Path | None, pinned: str | None) -> ssl.SSLContext:
    """Nodes are judged by authorities and by name; SMServer's pinned certificate counts as one of the authorities."""
    if pinned is None:
        return client_context(ca)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca is not None:
        context.load_verify_locations(ca)
    context.load_verify_locations(cadata=pinned)
    return context
