"""The steps of a start, in the original's order: contact, version information, files or configuration only, start.

Whatever goes wrong on the way is one sentence for the user, and the last good version starts.
"""

import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from broker.model.client_configuration import ServerAddress
from broker.model.releases import Release, list_path
from clients.vau import configured
from clients.vau.addresses import folder_name, in_order
from clients.vau.errors import DiskError, NothingToStartError, RefusedError, UnfitError, UnreachableError, VauError
from clients.vau.install import Pulse, Wanted, install
from clients.vau.launched import Launch
from clients.vau.place import Place, State, Tree
from clients.vau.start import Started, start, watch
from clients.vau.transport import Transport, first_that_answers
from clients.vau.trusted import Latest, Trusted, checked_list

MOST_TRIES = 3
"""Starts of a new version without a report, each cut off from outside, before it counts as one that does not work."""


class Wish(NamedTuple):
    """What VAU was asked to do."""

    addresses: tuple[ServerAddress, ...]
    application: str
    root: bytes
    """The root that is trusted first (TUF)."""
    folder: Path
    restart: tuple[str, ...]
    """VAU's own command line."""
    ca: Path | None = None
    offline: bool = True
    """Whether the application may start when no SMServer answers."""
    health_s: float = 60.0
    again: bool = False
    """Whether a version that did not work here is tried again."""


class Ready(NamedTuple):
    """What can be started, and what is to be told about it."""

    tree: Tree
    release: Release
    launch: Launch


class Vau:
    """One start of one application."""

    def __init__(self, wish: Wish, tell: Callable[[str], None], pulse: Callable[[str], Pulse]) -> None:
        self._wish = wish
        self._tell = tell
        self._pulse = pulse
        self.place = Place(wish.folder / folder_name(wish.addresses), wish.application)
        self._known = configured.load(self.place.configuration)
        self._notices: list[str] = []
        self._server = wish.addresses[0]
        self._offline = False
        self.transport: Transport | None = None

    def run(self) -> Started:
        """Bring the application up to date, start it, and see a new version prove itself.

        Raises:
            VauError: nothing could be started; says why.
        """
        with self.place.locked(lambda: self._tell("Another start is bringing the application up to date; waiting.")):
            ready = self._prepare()
            started = self._launch(ready)
        while not self._works(ready, started):
            with self.place.locked():
                ready = self._last_good(ready)
                started = self._launch(ready)
        return started

    # --- Bringing up to date --------------------------------------------------------------------------------

    def _prepare(self) -> Ready:
        state = self._heard(self.place.state())
        try:
            state = self._update(state)
        except UnreachableError as error:
            self._offline = True
            if not self._wish.offline:
                raise NothingToStartError(f"{error} Starting without SMServer is turned off.") from error
            self._notice(error)
        except VauError as error:
            self._notice(error)
        finally:
            if self.transport is not None:
                self.transport.close()
        return self._choose(state)

    def _heard(self, state: State) -> State:
        """Reports of applications whose VAU was gone by then."""
        if state.current is None or state.current == state.good:
            return state
        if state.current.sha256 in set(self.place.reports()):
            state = state.reported_healthy(state.current)
            self.place.remember(state)
        return state

    def _update(self, state: State) -> State:
        addresses = in_order(self._wish.addresses, self._known.configuration)
        transport = self.transport = first_that_answers(addresses, ca=self._wish.ca)
        self._server = transport.address
        sys.audit("vigil.vau.step", "contacted")
        trusted = Trusted(self.place.metadata, transport, self._wish.root)
        try:
            latest = trusted.latest(self._wish.application)
            sys.audit("vigil.vau.step", "version known")
            state = self._take(state, trusted, latest, transport)
        finally:
            self._configure(transport)
        sys.audit("vigil.vau.step", "configured")
        return state

    def _configure(self, transport: Transport) -> None:
        try:
            self._known = configured.fetch(transport, self.place.configuration, self._known).kept
        except VauError as error:
            self._notice(error)
        except OSError as error:
            self._notice(DiskError(f"{self.place.configuration} cannot be written: {error.strerror}."))

    def _take(self, state: State, trusted: Trusted, latest: Latest, transport: Transport) -> State:
        current = state.current
        if current is not None and current.sha256 == latest.sha256:
            self._repair(current, transport)
            return state
        failed = state.has_failed(latest.sha256)
        if failed and not self._wish.again and current is not None:
            self._notice(
                f"Version {latest.version} did not work on this computer ({failed.why});"
                f" version {current.version} starts until there is a newer one."
            )
            return state
        content = trusted.list_of(self._wish.application, latest)
        release = checked_list(content, self._wish.application, latest.sha256)
        if latest.version != release.version:
            raise RefusedError(f"What is listed as version {latest.version} is {release.version}.")
        _require_python(release)
        tree = Tree(version=release.version, sha256=latest.sha256)
        self._install(Wanted(tree, release, content), transport)
        state = state.switched_to(tree)
        self.place.remember(state)  # the switch
        sys.audit("vigil.vau.step", "switched")
        self.place.tidy(state)
        return state

    def _install(self, wanted: Wanted, transport: Transport) -> None:
        pulse = self._pulse(f"Fetching {self._wish.application} {wanted.release.version}")
        try:
            install(self.place, wanted, transport, pulse)
        finally:
            pulse.close()

    def _repair(self, tree: Tree, transport: Transport) -> None:
        """Fetch again what has gone from the current tree, or was changed in it."""
        release = self.place.release_of(tree)
        if release is not None and not self.place.damaged(tree, release):
            return
        path = "/updates/" + list_path(self._wish.application, tree.sha256)
        content = transport.get(path, most=32 << 20)
        release = checked_list(content, self._wish.application, tree.sha256)
        self._install(Wanted(tree, release, content), transport)
        self._tell(f"Damaged files of {self._wish.application} {tree.version} were fetched again.")

    # --- Starting -------------------------------------------------------------------------------------------

    def _choose(self, state: State) -> Ready:
        """The current version, or the last good one where the current one cannot be started."""
        if state.current is not None and state.current != state.good and state.tries >= MOST_TRIES:
            why = f"it was started {MOST_TRIES} times and never reported that it works"
            self._notice(f"Version {state.current.version} does not work here: {why}.")
            state = state.fell_back(state.current, why, _now())
            self.place.remember(state)
        for tree in dict.fromkeys(tree for tree in (state.current, state.good) if tree is not None):
            release = self.place.release_of(tree)
            if release is None or self.place.damaged(tree, release):
                self._notice(f"Version {tree.version} on this computer is damaged.")
                continue
            if tree == state.current and tree != state.good:
                self.place.remember(state.model_copy(update={"tries": state.tries + 1}))
            return Ready(tree, release, self._told(tree))
        reasons = " ".join(self._notices)
        raise NothingToStartError(
            f"{reasons} There is no version of {self._wish.application} on this computer to start.".strip()
        )

    def _last_good(self, failed: Ready) -> Ready:
        state = self.place.state()
        tree = state.current
        release = self.place.release_of(tree)
        if tree is None or tree == failed.tree or release is None or self.place.damaged(tree, release):
            raise NothingToStartError(
                f"{self._notices[-1]} There is no earlier version on this computer to go back to."
            )
        self._notice(f"Version {tree.version} starts instead.")
        return Ready(tree, release, self._told(tree))

    def _told(self, tree: Tree) -> Launch:
        return Launch(
            application=self._wish.application,
            version=tree.version,
            server=self._server.url,
            certificate=self._server.certificate,
            offline=self._offline,
            notices=tuple(self._notices),
            configuration=self._known.configuration,
            healthy=Path(),
            restart=self._wish.restart,
            sha256=tree.sha256,
        )

    def _launch(self, ready: Ready) -> Started:
        return start(self.place, ready.tree, ready.release, ready.launch)

    def _works(self, ready: Ready, started: Started) -> bool:
        """Whether VAU's work is done: the version has proven itself, now or before."""
        if ready.tree == self.place.state().good:
            return True
        sys.audit("vigil.vau.step", "watching")
        problem = watch(started, self._wish.health_s)
        if problem == "?":
            return True
        with self.place.locked():
            state = self.place.state()
            if not problem:
                state = state.reported_healthy(ready.tree)
                self.place.remember(state)
                self.place.tidy(state)
                return True
            self.place.remember(state.fell_back(ready.tree, problem, _now()))
        self._notice(f"Version {ready.tree.version} of {self._wish.application} does not work here: {problem}.")
        return False

    def _notice(self, what: VauError | str) -> None:
        self._notices.append(str(what))
        self._tell(str(what))


def forget_server(folder: Path, addresses: Sequence[ServerAddress]) -> None:
    """Believe the key of this SMServer anew at the next contact; programs and their trust stay as they are."""
    (folder / folder_name(addresses) / "configuration.json").unlink(missing_ok=True)


def _require_python(release: Release) -> None:
    own = ".".join(platform.python_version_tuple()[:2])
    if release.python != own:
        raise UnfitError(
            f"Version {release.version} needs Python {release.python}; VAU runs on {own}."
            f" Install Vigil for Python {release.python} on this computer."
        )


def _now() -> datetime:
    return datetime.now(UTC)
