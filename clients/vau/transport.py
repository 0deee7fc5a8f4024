"""Bytes from SMServer: bounded in length and in time, whole or from the middle. Nothing here believes anything.

urllib3, since python-tuf brings it: a start with nothing new then loads one HTTP library and not two.
"""

import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from broker.model.client_configuration import ServerAddress
from clients.vau.errors import RefusedError, UnreachableError

CONNECT_S = 3.0
"""How long an address may take to answer before the next one is tried."""
SILENCE_S = 10.0
"""How long a connection may say nothing."""
SLOWEST = 1000
"""Bytes per second, averaged over a whole answer once `PATIENCE_S` are over."""
PATIENCE_S = 30.0
CHUNK = 128 << 10

OK, PARTIAL = 200, 206


class StatusError(Exception):
    """SMServer answered, but not with the file."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answers with status {status}")
        self.status = status


class Transport:
    """One SMServer, asked over a few connections. Safe to use from several threads."""

    def __init__(self, address: ServerAddress, *, ca: Path | None = None, connections: int = 6) -> None:
        self.address = address
        self.requests = 0
        self.received = 0
        """Bytes of bodies."""
        self._lock = Lock()
        timeout = urllib3.Timeout(connect=CONNECT_S, read=SILENCE_S)
        host, port = _place(address)
        self._pool: urllib3.HTTPConnectionPool
        if address.url.startswith("https://"):
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if ca is not None:
                context.load_verify_locations(ca)
            if address.certificate:  # the one certificate that is known; who signed it does not matter then
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._pool = urllib3.HTTPSConnectionPool(
                host,
                port,
                maxsize=connections,
                block=True,
                timeout=timeout,
                retries=False,
                ssl_context=context,
                assert_fingerprint=address.certificate,
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(
                host, port, maxsize=connections, block=True, timeout=timeout, retries=False
            )

    def close(self) -> None:
        """Hang up."""
        self._pool.close()

    def get(self, path: str, most: int) -> bytes:
        """A whole answer of at most `most` bytes.

        Raises:
            StatusError: it is another one than 200.
            RefusedError: it is longer.
            UnreachableError: nobody answers, or not to the end.
        """
        return b"".join(self.stream(path, most=most))

    def stream(self, path: str, *, most: int, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """An answer as it comes; with `length` the bytes from `start` on, and exactly so many.

        Raises:
            StatusError: it is no answer with these bytes.
            RefusedError: it is longer than `most`, or shorter than asked for.
            UnreachableError: nobody answers, or not to the end.
        """
        headers = {"User-Agent": "vigil-vau", "Accept-Encoding": "identity"}
        if length is not None:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        with self._lock:
            self.requests += 1
        with self._trouble():
            answer = self._pool.request("GET", path, headers=headers, preload_content=False, redirect=False)
        try:
            self._expect(answer, path, start, length)
            got, began = 0, time.monotonic()
            while True:
                with self._trouble():
                    chunk = answer.read(CHUNK)
                if not chunk:
                    break
                got += len(chunk)
                with self._lock:
                    self.received += len(chunk)
                if got > most:
                    raise RefusedError(f"SMServer at {self.address.url} sends more than there is of {path}.")
                yield chunk
                spent = time.monotonic() - began
                if spent > PATIENCE_S and got < SLOWEST * spent:
                    raise UnreachableError(f"SMServer at {self.address.url} sends too slowly; try again later.")
            if length is not None and got != length:
                raise UnreachableError(f"The connection to SMServer at {self.address.url} was cut.")
            answer.release_conn()
        finally:
            answer.close()  # a connection that was left in the middle of an answer is of no use any more,
            answer.release_conn()  # but its place in the pool is

    def _expect(self, answer: urllib3.BaseHTTPResponse, path: str, start: int, length: int | None) -> None:
        if length is None:
            if answer.status != OK:
                raise StatusError(path, answer.status)
            return
        said = answer.headers.get("Content-Range", "").partition("/")[0]
        if answer.status != PARTIAL or said != f"bytes {start}-{start + length - 1}":
            raise StatusError(path, answer.status)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except SSLError as error:
            pinned = self.address.certificate is not None
            raise RefusedError(
                f"SMServer at {self.address.url} shows {'another' if pinned else 'an unknown'} certificate:"
                " ask its administrator whether that is right, then install the application anew"
                " with `vigil install-app --pin …` or `--ca …`."
            ) from error
        except (HTTPError, OSError) as error:
            raise UnreachableError(f"SMServer at {self.address.url} does not answer ({_reason(error)}).") from error


def first_that_answers(addresses: Sequence[ServerAddress], *, ca: Path | None = None) -> Transport:
    """The first address of the list at which an SMServer answers.

    Raises:
        UnreachableError: none does; names them all.
        RefusedError: one answers, but shows another certificate than it should, and none after it answers well.
    """
    refused: RefusedError | None = None
    for address in addresses:
        transport = Transport(address, ca=ca)
        try:
            transport.get("/updates/metadata/timestamp.json", most=1 << 20)
        except StatusError:
            return transport  # somebody is there; what is missing shows in a moment
        except RefusedError as error:
            refused = refused or error
        except UnreachableError:
            pass
        else:
            return transport
        transport.close()
    if refused:
        raise refused
    names = " or ".join(address.url for address in addresses)
    raise UnreachableError(f"No SMServer answers at {names}: is the address right, and is the network up?")


def _place(address: ServerAddress) -> tuple[str, int]:
    secure = address.url.startswith("https://")
    place = urllib3.util.parse_url(address.url)
    return place.host or "", place.port or (443 if secure else 80)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    text = getattr(cause, "strerror", None) or str(cause)
    return text.rpartition(": ")[2][:120] or type(error).__name__
