"""One person at one site: the SDK on a background thread, its answers and events in the GUI thread.

    session = Session()
    session.sign_in(trusted, "olga", password, done=show, failed=complain)
    session.ask(lambda client: client.cameras.list(), self.show_cameras, self.complain, owner=self)

Callbacks run in the GUI thread, in the order in which answers come, and never after their owner was deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal, Slot

from broker.model.resources import Right
from broker.process import logger
from clients.desktop.background import Background
from clients.desktop.failures import RightMissingError
from clients.desktop.trust import Trusted
from clients.sdk import AsyncClient, NotSignedInError, SdkError, SignedIn
from clients.sdk.events import MISSED

log = logger(__name__)

T = TypeVar("T")
FAREWELL_S = 2.0
"""How long a server that does not answer may hold up signing out."""


class Link(Enum):
    """How the connection to SMServer is."""

    OUT = "signed out"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    OVER = "session over"


class Standing(NamedTuple):
    """The connection, with a reason where it is not well."""

    link: Link
    reason: str = ""


class Asked:
    """Something under way. Cancelled ones call nobody."""

    def __init__(self) -> None:
        self._future: Future[Any] | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Do not wait for it any more."""
        self.cancelled = True
        if self._future is not None:
            self._future.cancel()

    def _follows(self, future: "Future[Any]") -> None:
        self._future = future


class Session(QObject):
    """Signs in, asks, listens, comes back, signs out. Belongs to the GUI thread."""

    standing_changed = Signal(object)
    """A `Standing`: show it."""
    happened = Signal(object)
    """A `clients.sdk.Event`."""
    missed = Signal()
    """Some events were lost for good: read everything anew."""
    over = Signal(str)
    """The session has ended on the server; the sentence says so. Sign in again."""
    _deliver = Signal(object)

    def __init__(self, parent: QObject | None = None, *, program: str = "vigil-desktop") -> None:
        """`program` is what the audit trail says about who asks."""
        super().__init__(parent)
        self._program = program
        self.background = Background("sdk")
        """Run coroutines of your own there, such as streams."""
        self.signed_in: SignedIn | None = None
        self.trusted: Trusted | None = None
        self.standing = Standing(Link.OUT)
        self._client: AsyncClient | None = None
        self._following: Future[None] | None = None
        self._last_event: int | None = None
        self._deliver.connect(self._call, Qt.ConnectionType.QueuedConnection)

    @property
    def administers(self) -> bool:
        """Whether who has signed in may configure the site."""
        profile = self.signed_in.profile if self.signed_in else None
        return profile is not None and Right.ADMINISTER in profile.rights

    @property
    def client(self) -> AsyncClient | None:
        """The SDK of who has signed in, for coroutines that run in `background`; none while nobody has."""
        return self._client

    # --- asking ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        what: Callable[[AsyncClient], Awaitable[T]],
        done: Callable[[T], object],
        failed: Callable[[Exception], object] | None = None,
        *,
        owner: QObject | None = None,
    ) -> Asked:
        """Ask as the signed-in user; `done` or `failed` is called in the GUI thread unless `owner` is gone by then."""
        client = self._client

        async def work() -> T:
            if client is None:
                raise NotSignedInError(401, "Nobody has signed in")
            return await what(client)

        return self.run(work(), done, failed, owner=owner)

    def run(
        self,
        work: Coroutine[Any, Any, T],
        done: Callable[[T], object],
        failed: Callable[[Exception], object] | None = None,
        *,
        owner: QObject | None = None,
    ) -> Asked:
        """Run a coroutine of your own in the background; see `ask`."""
        asked = Asked()

        def ended(future: "Future[T]") -> None:
            def call() -> None:
                if asked.cancelled or (owner is not None and not shiboken6.isValid(owner)):
                    return
                try:
                    value = future.result()
                except CancelledError:
                    return
                except Exception as error:  # noqa: BLE001 - whatever went wrong is told to who asked
                    self._failed(error, failed)
                else:
                    done(value)

            self._post(call)

        future = self.background.submit(work)
        asked._follows(future)  # noqa: SLF001 - the other half of this module
        future.add_done_callback(ended)
        return asked

    def _failed(self, error: Exception, failed: Callable[[Exception], object] | None) -> None:
        if not isinstance(error, SdkError | OSError | TimeoutError):
            log.warning("background work failed", error=repr(error))
        if failed is not None:
            failed(error)
        if isinstance(error, NotSignedInError) and self.standing.link not in (Link.OUT, Link.OVER):
            self._ended(str(error.detail or error.title))

    # --- the session ----------------------------------------------------------------------------------------------

    def sign_in(
        self,
        trusted: Trusted,
        user: str,
        password: str,
        done: Callable[[SignedIn], object],
        failed: Callable[[Exception], object],
        *,
        needs: Right | None = None,
        owner: QObject | None = None,
    ) -> Asked:
        """Begin a session and follow the site's events; with `needs`, only for users whose profile has that right."""

        async def work() -> tuple[AsyncClient, SignedIn]:
            client = AsyncClient(trusted.url, verify=trusted.verify, nodes=trusted.nodes, program=self._program)
            try:
                signed_in = await client.sign_in(user, password)
                rights = signed_in.profile.rights if signed_in.profile else frozenset()
            except BaseException:
                await client.close()
                raise
            if needs is not None and needs not in rights:
                await _farewell(client)
                raise RightMissingError(f"{user} may not use this application: the right to {needs} is missing.")
            return client, signed_in

        def begun(result: tuple[AsyncClient, SignedIn]) -> None:
            self._stop_following()
            self._client, self.signed_in = result
            self.trusted = trusted
            self._stand(Standing(Link.CONNECTING))
            self._following = self.background.submit(self._follow(self._client))
            done(self.signed_in)

        return self.run(work(), begun, failed, owner=owner)

    def sign_out(self) -> None:
        """End the session here at once, and on the server when it answers soon."""
        client = self._end()
        if client is not None:
            self.background.submit(_farewell(client))

    def close(self) -> None:
        """Sign out and end the background thread; waits at most a few seconds. Safe to call twice."""
        client = self._end()
        if client is not None:
            farewell = self.background.submit(_farewell(client))
            try:
                farewell.result(FAREWELL_S + 1)
            except (TimeoutError, CancelledError):
                log.info("the server was not told of the end of the session")
        self.background.close()

    def _end(self) -> AsyncClient | None:
        self._stop_following()
        client, self._client = self._client, None
        self.signed_in = None
        self._last_event = None
        self._stand(Standing(Link.OUT))
        return client

    def _stop_following(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()

    # --- events ---------------------------------------------------------------------------------------------------

    async def _follow(self, client: AsyncClient) -> None:
        def on_connection(connected: bool, reason: str) -> None:  # noqa: FBT001 - the SDK's signature
            standing = Standing(Link.CONNECTED) if connected else Standing(Link.RECONNECTING, reason)
            self._post(lambda: self._stand_while(client, standing))

        try:
            async with aclosing(client.events(self._last_event, on_connection=on_connection)) as events:
                async for event in events:
                    self._post(partial(self._happened, client, event))
        except NotSignedInError as error:
            sentence = error.detail or error.title
            self._post(lambda: self._ended_while(client, sentence))

    def _happened(self, client: AsyncClient, event: Any) -> None:
        if client is not self._client:
            return
        self._last_event = event.id
        if event.kind == MISSED:
            self.missed.emit()
        else:
            self.happened.emit(event)

    def _stand_while(self, client: AsyncClient, standing: Standing) -> None:
        if client is self._client:
            self._stand(standing)

    def _ended_while(self, client: AsyncClient, sentence: str) -> None:
        if client is self._client:
            self._ended(sentence)

    def _ended(self, sentence: str) -> None:
        self._stop_following()
        self._stand(Standing(Link.OVER, sentence))
        self.over.emit(sentence)

    def _stand(self, standing: Standing) -> None:
        if standing != self.standing:
            self.standing = standing
            self.standing_changed.emit(standing)

    # --- between the threads --------------------------------------------------------------------------------------

    def _post(self, call: Callable[[], object]) -> None:
        """From any thread: have it called in the GUI thread."""
        if shiboken6.isValid(self):
            self._deliver.emit(call)

    @Slot(object)
    def _call(self, call: Callable[[], object]) -> None:
        call()


async def _farewell(client: AsyncClient) -> None:
    try:
        async with asyncio.timeout(FAREWELL_S):
            await client.sign_out()
    except (SdkError, TimeoutError):
        pass  # the session ends by itself some day
    finally:
        await client.close()
