"""Playing a camera: RTSP over TCP, one list of access units for each read.

`play` costs about 0.2 % of a core for 4 Mbit/s: one large read, one walk over its frames, no task, future or
callback for a packet.
"""

import asyncio
import math
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from typing import Protocol

from broker.process import logger
from servers.wire.media import AccessUnit, Format, H264Format
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtsp.client import Address, ClientConnection, Playing, Ready, Step
from servers.wire.rtsp.errors import (
    RtspClientError,
    RtspProtocolError,
    RtspRefusedError,
    RtspSilentError,
    RtspUnauthorisedError,
    RtspUnreachableError,
    RtspUnsupportedError,
)
from servers.wire.rtsp.parser import Frames

__all__ = [
    "RtspClientError",
    "RtspProtocolError",
    "RtspRefusedError",
    "RtspSilentError",
    "RtspUnauthorisedError",
    "RtspUnreachableError",
    "RtspUnsupportedError",
    "Sink",
    "play",
]

log = logger(__name__)

READ_SIZE = 128 * 1024
"""Bytes of one read: a key frame of a good stream."""
REPORT_S = 5.0
"""Time between receiver reports."""
NO_PICTURE_S = 60.0
"""Data without a picture that can be decoded is as good as silence after this."""
SETTLED_S = 10.0
"""A stream is read as it arrives for so long: its clock is anchored by arrival, and the kernel's buffer grows to it."""
MAX_DIALOGUE = 3
"""The dialogue up to PLAY may take this many times the silence that is borne."""


class Sink(Protocol):
    """Where a camera's access units go."""

    def described(self, formats: tuple[Format, ...]) -> None:
        """Tracks, once before the first access unit; their positions are `AccessUnit.track`."""

    def received(self, units: list[AccessUnit]) -> None:
        """Access units of one read, in order of arrival; never empty, never blocks."""


async def play(
    url: str,
    sink: Sink,
    *,
    username: str = "",
    password: str = "",
    audio: bool = True,
    connect_to: tuple[str, int] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
    settled: Callable[[asyncio.Transport], None] | None = None,
) -> None:
    """Play until the camera stops or the task is cancelled.

    Args:
        url: rtsp:// or rtsps://; user name and password may stand in it.
        sink: takes formats and access units, called on this loop.
        username: takes precedence over the address's.
        password: belongs to `username`.
        audio: whether to take sound where there is some.
        connect_to: address and port that the egress policy has checked; else the URL's host is looked up.
        tls: for rtsps://; the default trusts the system's authorities.
        timeout_s: silence that is borne.
        settled: called when a stream that has played for a while was read empty; may let its socket rest, see
            `Rounds`. None: everything is read as it arrives.

    Raises:
        RtspClientError: always, in the end; the message is a sentence for who configured the camera.
    """
    connection = ClientConnection(url, username=username, password=password, audio=audio, cnonce=secrets.token_hex(8))
    address = connection.address
    loop = asyncio.get_running_loop()
    player = _Player(connection, sink, timeout_s, settled)
    context = (tls or ssl.create_default_context()) if address.tls else None
    host, port = connect_to or (address.host, address.port)
    try:
        async with asyncio.timeout(timeout_s):
            await loop.create_connection(
                lambda: player, host, port, ssl=context, server_hostname=address.host if context else None
            )
    except TimeoutError:
        raise RtspUnreachableError(f"{_at(address)} does not answer; check address, cable and power") from None
    except OSError as error:
        raise unreachable(address, error) from error
    try:
        await player.ended
    finally:
        player.leave()


def _at(address: Address) -> str:
    return f"{address.host}:{address.port}"


def unreachable(address: Address, error: OSError) -> RtspUnreachableError:
    """Why a connection could not be made, in a sentence."""
    at = _at(address)
    match error:
        case ConnectionRefusedError():
            return RtspUnreachableError(
                f"nothing listens at {at}; check the port, and that the camera has RTSP switched on"
            )
        case ssl.SSLCertVerificationError():
            why = error.verify_message
            return RtspUnreachableError(
                f"the certificate of {at} is not trusted ({why}); add its authority to VIGIL_TLS__CA"
            )
        case ssl.SSLError():
            return RtspUnreachableError(
                f"{at} does not speak TLS ({error.reason}); use rtsp:// or the camera's rtsps port"
            )
        case socket.gaierror():
            return RtspUnreachableError(f"the name {address.host} is not known; check the address")
    return RtspUnreachableError(f"{at} cannot be reached ({error.strerror or error}); check address and network")


class _Player(asyncio.BufferedProtocol):
    """The connection to one source."""

    def __init__(
        self,
        connection: ClientConnection,
        sink: Sink,
        timeout_s: float,
        settled: Callable[[asyncio.Transport], None] | None,
    ) -> None:
        self._connection = connection
        self._sink = sink
        self._timeout_s = timeout_s
        self._settled = settled
        self._settled_at = math.inf
        self._loop = asyncio.get_running_loop()
        self._view = memoryview(bytearray(READ_SIZE))
        self._transport: asyncio.Transport | None = None
        self._receiver: StreamReceiver | None = None
        self._described = False
        self._timer: asyncio.TimerHandle | None = None
        self._started = self._heard = self._pictured = self._loop.time()
        self._report_at = self._alive_at = 0.0
        self.ended: asyncio.Future[None] = self._loop.create_future()

    # --- What asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._started = self._heard = self._pictured = self._loop.time()
        self._connection.start()
        self._flush()
        self._tick()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self.ended.done():
            return
        self._heard = self._loop.time()
        now_us = time.time_ns() // 1000
        connection = self._connection
        units: list[AccessUnit] = []
        try:
            connection.receive_data(self._view[:nbytes])
            while event := connection.next_event():
                if isinstance(event, Frames):
                    if self._receiver:
                        units += self._receiver.feed(event.run, now_us)
                elif isinstance(event, Ready):
                    self._ready(event)
                elif isinstance(event, Playing):
                    self._playing()
            if units:
                self._hand_on(units)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the sink included, ends this one source
            self._end(error)
        self._flush()
        # A full buffer means that there is more to read.
        if self._settled and nbytes < READ_SIZE and self._heard >= self._settled_at:
            assert self._transport
            self._settled(self._transport)

    def eof_received(self) -> None:
        self._end(RtspUnreachableError(self._closed_sentence()))

    def connection_lost(self, exc: Exception | None) -> None:
        detail = f" ({exc})" if exc else ""
        self._end(RtspUnreachableError(self._closed_sentence() + detail))

    def _closed_sentence(self) -> str:
        if self._connection.step is Step.PLAYING:
            return "the source closed the connection"
        return f"the source closed the connection instead of answering {self._connection.step.value}; check the port"

    # --- The dialogue -------------------------------------------------------------------------------------------------

    def _ready(self, event: Ready) -> None:
        self._receiver = StreamReceiver(
            [(track.format, track.payload_type, track.channel) for track in event.tracks], ssrc=secrets.randbits(32)
        )
        self._describe()

    def _playing(self) -> None:
        now = self._loop.time()
        self._pictured = now
        self._settled_at = now + SETTLED_S
        self._report_at = now + REPORT_S
        self._alive_at = now + self._connection.keep_alive_s

    def _describe(self) -> bool:
        """Tell the sink what comes; parameter sets that were not described come with the first key frame."""
        assert self._receiver
        formats = self._receiver.formats
        if any(isinstance(format_, H264Format) and not (format_.sps and format_.pps) for format_ in formats):
            return False
        self._described = True
        self._sink.described(formats)
        return True

    def _hand_on(self, units: list[AccessUnit]) -> None:
        if not self._described:
            while units and units[0].format is None:
                units.pop(0)
            if not units or not self._describe():
                return
        self._pictured = self._heard
        self._sink.received(units)

    # --- Time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.ended.done():
            return
        now = self._loop.time()
        playing = self._connection.step is Step.PLAYING
        if now - self._heard > self._timeout_s:
            self._end(RtspSilentError(self._silence_sentence()))
            return
        if not playing and now - self._started > MAX_DIALOGUE * self._timeout_s:
            self._end(RtspSilentError(f"the source takes too long to answer {self._connection.step.value}"))
            return
        if playing and now - self._pictured > max(NO_PICTURE_S, self._timeout_s):
            self._end(
                RtspSilentError(
                    f"data arrives, but for {NO_PICTURE_S:.0f} s no picture could be put together; "
                    "set a shorter key frame interval in the camera and check the network for losses"
                )
            )
            return
        if playing and now >= self._report_at:
            self._report_at = now + REPORT_S
            if self._receiver:
                self._connection.send_frame(self._receiver.report(time.time_ns() // 1000))
        if playing and now >= self._alive_at:
            self._alive_at = now + self._connection.keep_alive_s
            self._connection.keep_alive()
        self._flush()
        self._timer = self._loop.call_later(min(2.0, self._timeout_s / 4), self._tick)

    def _silence_sentence(self) -> str:
        step = self._connection.step
        if step is Step.PLAYING:
            return f"the source has sent nothing for {self._timeout_s:g} s; it may have lost power or network"
        return f"the source did not answer {step.value} within {self._timeout_s:g} s; check the RTSP port"

    # --- Ends ---------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._transport and (data := self._connection.data_to_send()):
            self._transport.write(data)

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def leave(self) -> None:
        """Say goodbye and free the connection."""
        if self._timer:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.cancel()
        if self._transport:
            if not self._transport.is_closing():
                self._connection.tear_down()
                self._flush()
            self._transport.close()
