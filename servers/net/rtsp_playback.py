"""Playing recorded video: one session that is sought, paused, turned round and stepped through.

    playback = await open_playback(ticket.url, sink)
    await playback.play(start=datetime(2026, 1, 31, 12, tzinfo=UTC))
    await playback.pause()
    await playback.play(scale=4.0)          # on from here, faster
    await playback.close()

Each access unit carries the time at which it was recorded (`AccessUnit.camera_time_us`). Two ways to keep time: the
server's, for one picture on one screen, and the client's own: with `paced=False` the server sends as fast as it is
read, the client shows each unit when it wants to, and says `hold()` when it has enough. Several cameras on one clock,
pause and single steps are then the client's alone, and need no round trip.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from servers.net.rtsp_client import unreachable
from servers.wire.media import AccessUnit, Format
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtp.replay import Marks
from servers.wire.rtsp.client import ClientConnection, Paused, Playing, Ready, Refused, Step
from servers.wire.rtsp.errors import (
    RtspClientError,
    RtspProtocolError,
    RtspSilentError,
    RtspUnreachableError,
)
from servers.wire.rtsp.headers import Range
from servers.wire.rtsp.parser import Frames

READ_SIZE = 128 * 1024
"""Bytes of one read: a key frame of a good stream."""
TICK_S = 1.0


class Begun(NamedTuple):
    """A PLAY has begun; what is received from now on belongs to it."""

    start_us: int | None
    """When the first unit was recorded, µs since 1970; none when the server does not say it."""
    scale: float
    """As the server granted it."""


class PlaybackSink(Protocol):
    """Where recorded access units go. Everything is called on the loop, in the order of the stream."""

    def described(self, formats: tuple[Format, ...]) -> None:
        """Tracks, once; their positions are `AccessUnit.track`."""

    def begun(self, begun: Begun) -> None:
        """A PLAY has begun: what was received before is of another one."""

    def received(self, units: list[AccessUnit]) -> None:
        """Access units of one read, `camera_time_us` saying when they were recorded; never empty, never blocks.

        Backwards with all pictures, GOPs come in reverse, each in the order of decoding; else every unit is later
        (backwards: earlier) than the one before on its track. Before the start come the pictures that decoding needs.
        """

    def finished(self) -> None:
        """The range that PLAY asked for has been sent to its end, or there is no more footage."""


async def open_playback(
    url: str,
    sink: PlaybackSink,
    *,
    username: str = "",
    password: str = "",
    audio: bool = True,
    connect_to: tuple[str, int] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
) -> "Playback":
    """Connect and set all tracks up; nothing is played yet.

    Args:
        url: rtsp:// or rtsps://, e.g. that of a stream ticket for playback.
        sink: takes what comes.
        username: takes precedence over the address's.
        password: belongs to `username`.
        audio: whether to take sound where there is some.
        connect_to: address and port to dial instead of the URL's.
        tls: for rtsps://; the default trusts the system's authorities.
        timeout_s: how long an answer may take.

    Raises:
        RtspClientError: it cannot be played; the message is a sentence for people.
    """
    connection = ClientConnection(
        url, username=username, password=password, audio=audio, cnonce=secrets.token_hex(8), replay=True
    )
    address = connection.address
    playback = Playback(connection, sink, timeout_s)
    context = (tls or ssl.create_default_context()) if address.tls else None
    host, port = connect_to or (address.host, address.port)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().create_connection(
                lambda: playback, host, port, ssl=context, server_hostname=address.host if context else None
            )
    except TimeoutError:
        raise RtspUnreachableError(f"{address.host}:{address.port} does not answer") from None
    except OSError as error:
        raise unreachable(address, error) from error
    try:
        await playback.ready()
    except BaseException:
        await playback.close()
        raise
    return playback


class Playback(asyncio.BufferedProtocol):
    """One session on recorded video; make it with `open_playback`. All calls belong to one event loop."""

    def __init__(self, connection: ClientConnection, sink: PlaybackSink, timeout_s: float) -> None:
        self._connection = connection
        self._sink = sink
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._view = memoryview(bytearray(READ_SIZE))
        self._transport: asyncio.Transport | None = None
        self._receiver: StreamReceiver | None = None
        self._marks = Marks(())
        self._rates: list[int] = []
        self._origin: list[tuple[int, int] | None] = []
        """By track: RTP time and recorded time, µs, of the first unit, for servers without the header extension."""
        self._begun = Begun(None, 1.0)
        self._stale = False
        """What comes belongs to a PLAY that another one has replaced."""
        self._finished = True
        self._answer: asyncio.Future[Begun | None] | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._turn = asyncio.Lock()
        self._held = False
        self._heard = self._loop.time()
        self._alive_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Fails with an RtspClientError when the session breaks; cancelled by `close`."""

    # --- What the application calls -----------------------------------------------------------------------------------

    async def play(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        scale: float = 1.0,
        paced: bool = True,
        key_frames: bool = False,
        interval_s: float = 0.0,
        at: datetime | None = None,
    ) -> Begun:
        """Play from a moment or, without a start, on from where it stands.

        Args:
            start: the first moment to show; decoding may have to begin before it. In a gap: what follows it.
            end: where to stop; backwards it lies before the start. None: as far as there is footage, and on with it.
            scale: speed, 1/16 to 64, negative for backwards.
            paced: whether the server keeps time; else it sends as fast as this side reads.
            key_frames: whether to send key frames alone.
            interval_s: between two of them, at least.
            at: when to begin, on the server's clock, so that several sessions begin together; none: at once.

        Raises:
            RtspRefusedError: the server refuses, e.g. because there is no footage then (457); the session goes on.
            RtspClientError: the session is broken.
        """
        headers = {"Scale": f"{scale:g}", "Rate-Control": "yes" if paced else "no", "Immediate": "yes"}
        if start is not None or end is not None or at is not None:
            headers["Range"] = Range(start=_utc(start), end=_utc(end), at=_utc(at)).serialise()
        headers["Frames"] = ("intra" if interval_s <= 0 else f"intra/{interval_s * 1000:.0f}") if key_frames else "all"
        begun = await self._ask(headers, stale=start is not None)
        assert begun is not None
        return begun

    async def pause(self) -> None:
        """Send nothing more for now; what is on its way still comes."""
        await self._ask(None, stale=False)

    def hold(self) -> None:
        """Read no more for now: the server waits. Cheaper than `pause`, and what is on its way is not lost."""
        self._held = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._held:
            self._held = False
            self._heard = self._loop.time()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    async def close(self) -> None:
        """Say goodbye and free the connection; safe to call twice."""
        if self._timer:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.cancel()
        self._fail(RtspUnreachableError("the session was closed"))
        if self._transport is not None:
            if not self._transport.is_closing():
                self._connection.tear_down()
                self._flush()
            self._transport.close()

    async def ready(self) -> None:
        """Wait until all tracks are set up."""
        await asyncio.shield(self._ready)

    async def _ask(self, headers: Mapping[str, str] | None, *, stale: bool) -> Begun | None:
        async with self._turn:
            if self.ended.done():
                error = None if self.ended.cancelled() else self.ended.exception()
                raise error or RtspUnreachableError("the session was closed")
            self.go_on()  # The answer comes behind what was not read.
            self._stale = stale
            answer = self._answer = self._loop.create_future()
            if headers is None:
                self._connection.pause()
            else:
                self._connection.play(headers)
            self._flush()
            try:
                # Shielded and awaited whatever happens: the next question must not get this one's answer.
                return await asyncio.shield(answer)
            except asyncio.CancelledError:
                with suppress(RtspClientError):
                    await answer
                raise

    # --- What asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._heard = self._loop.time()
        self._alive_at = self._heard + self._connection.keep_alive_s
        self._connection.start()
        self._flush()
        self._tick()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        del sizehint
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Something was read."""
        if self.ended.done():
            return
        self._heard = self._loop.time()
        now_us = time.time_ns() // 1000
        connection = self._connection
        try:
            connection.receive_data(self._view[:nbytes])
            while event := connection.next_event():
                match event:
                    case Frames():
                        self._frames(event.run, now_us)
                    case Ready():
                        self._set_up(event)
                    case Playing():
                        self._play_begins(event)
                    case Paused():
                        self._answered(None)
                    case Refused():
                        self._stale = False
                        if self._answer is not None and not self._answer.done():
                            self._answer.set_exception(event.error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the sink included, ends this session
            self._end(error)
        self._flush()

    def eof_received(self) -> None:
        """The server says no more."""
        self._end(RtspUnreachableError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end(RtspUnreachableError(f"the server closed the connection{f' ({exc})' if exc else ''}"))

    # --- What the server says -----------------------------------------------------------------------------------------

    def _set_up(self, event: Ready) -> None:
        tracks = event.tracks
        self._receiver = StreamReceiver(
            [(track.format, track.payload_type, track.channel) for track in tracks], ssrc=secrets.randbits(32)
        )
        self._marks = Marks(tuple(track.channel for track in tracks))
        self._rates = [track.format.clock_rate for track in tracks]
        self._controls = [track.control for track in tracks]
        self._origin = [None] * len(tracks)
        self._sink.described(tuple(track.format for track in tracks))
        if not self._ready.done():
            self._ready.set_result(None)

    def _play_begins(self, event: Playing) -> None:
        start = event.range.start if event.range is not None else None
        start_us = round(start.timestamp() * 1_000_000) if isinstance(start, datetime) else None
        if event.info or start_us is not None:
            self._origin = [None] * len(self._rates)
        for info in event.info:
            for track, control in enumerate(self._controls):
                if info.url and info.rtptime is not None and control.endswith(info.url.rpartition("/")[2]):
                    self._origin[track] = None if start_us is None else (info.rtptime, start_us)
        self._begun = Begun(start_us, event.scale)
        self._stale = self._finished = False
        self._marks.clear()
        self._sink.begun(self._begun)
        self._answered(self._begun)

    def _answered(self, begun: Begun | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(begun)

    def _frames(self, run: memoryview, now_us: int) -> None:
        receiver, marks = self._receiver, self._marks
        if receiver is None:
            return
        marks.feed(run)
        units = receiver.feed(run, now_us)
        if not self._stale:
            for unit in units:
                unit.camera_time_us = self._recorded_us(unit)
            if units:
                self._sink.received(units)
            if marks.ended and not self._finished:
                self._finished = True
                self._sink.finished()

    def _recorded_us(self, unit: AccessUnit) -> int | None:
        mark = self._marks.take(unit.track, unit.timestamp)
        if mark is not None:
            return mark.time_us
        origin = self._origin[unit.track]
        if origin is None:
            return unit.camera_time_us
        passed = (unit.timestamp - origin[0]) & 0xFFFFFFFF
        passed -= (passed >> 31) << 32
        return origin[1] + round(passed * self._begun.scale * 1_000_000 / self._rates[unit.track])

    # --- Time and ends ------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.ended.done():
            return
        now, connection = self._loop.time(), self._connection
        asking = connection.step not in (Step.READY, Step.PLAYING) or (
            self._answer is not None and not self._answer.done()
        )
        # While nothing is asked, the answers to signs of life are all that must come.
        patience = self._timeout_s if asking else connection.keep_alive_s + self._timeout_s
        if not self._held and now - self._heard > patience:
            self._end(RtspSilentError(f"the server has not answered for {patience:g} s"))
            return
        if now >= self._alive_at:
            self._alive_at = now + connection.keep_alive_s
            connection.keep_alive()
            self._flush()
        self._timer = self._loop.call_later(min(TICK_S, self._timeout_s / 4), self._tick)

    def _flush(self) -> None:
        if self._transport and (data := self._connection.data_to_send()):
            self._transport.write(data)

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
            self.ended.exception()  # Whoever waits for it sees it; nobody need.
        self._fail(error)
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        told = error if isinstance(error, RtspClientError) else RtspProtocolError(f"the session broke: {error}")
        for waiting in (self._ready, self._answer):
            if waiting is not None and not waiting.done():
                waiting.set_exception(told)
                waiting.exception()


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
