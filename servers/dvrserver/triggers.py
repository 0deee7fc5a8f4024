"""From what a detector saw to a row of the journal, on a thread of its own so that no disk ever delays video.

Which triggers are open is kept in a small file beside the journal: a node that was killed while something
moved says after its start that this trigger has ended, or an alarm would stay active for ever.
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from broker.errors import JournalError
from broker.journal import Journal
from broker.model.base import Priority
from broker.model.messages import TriggerActivated, TriggerEnded, TriggerFact, TriggerKind
from broker.process import logger

log = logger(__name__)


class Seen(NamedTuple):
    """A change that a detector saw."""

    camera_id: str
    active: bool
    at_us: int
    cells: tuple[int, ...]


class Triggers:
    """Writes `TriggerActivated` and `TriggerEnded` in the order in which they were seen."""

    def __init__(
        self,
        journal: Journal,
        node_id: str,
        *,
        lane: Callable[[str], Priority],
        open_file: Path,
    ) -> None:
        self._journal = journal
        self._node_id = node_id
        self._lane = lane
        self._open_file = open_file
        self._open: dict[str, str] = {}  # camera id -> trace id; touched by the thread alone once it runs
        self._queue: SimpleQueue[Seen | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="triggers", daemon=True)
        self.written = 0
        """Rows handed to the journal since the start."""
        self.lost = 0
        """Events that neither the journal's disk nor its memory could hold."""

    def start(self) -> None:
        """End what an earlier start left open, then begin to write."""
        self._open = _read(self._open_file)
        for camera_id in tuple(self._open):
            log.info("trigger of an earlier start ends", camera_id=camera_id)
            self.end(camera_id)
        self._thread.start()

    def motion(self, camera_id: str, active: bool, at_us: int, cells: tuple[int, ...]) -> None:  # noqa: FBT001 - the detectors' callback
        """Motion has begun or ended. Returns at once; callable from any thread."""
        self._queue.put(Seen(camera_id, active, at_us, cells))

    def end(self, camera_id: str) -> None:
        """Nobody watches this camera any more: what is open ends now."""
        self._queue.put(Seen(camera_id, active=False, at_us=time.time_ns() // 1000, cells=()))

    def close(self) -> None:
        """Write what is waiting, end what is open, and stop. Blocks for as long as the disk takes."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while (seen := self._queue.get()) is not None:
            self._try(seen)
        for camera_id in tuple(self._open):
            self._try(Seen(camera_id, active=False, at_us=time.time_ns() // 1000, cells=()))

    def _try(self, seen: Seen) -> None:
        try:
            self._write(seen)
        except JournalError as error:
            self.lost += 1
            log.error("trigger lost", camera_id=seen.camera_id, reason=str(error))  # noqa: TRY400 - the reason says it all
        except Exception:
            self.lost += 1
            log.exception("trigger not written", camera_id=seen.camera_id)

    def _write(self, seen: Seen) -> None:
        if seen.active == (seen.camera_id in self._open):
            return
        if seen.active:
            self._open[seen.camera_id] = secrets.token_hex(16)
            _write(self._open_file, self._open)
        trace_id = self._open[seen.camera_id]
        fact = TriggerActivated if seen.active else TriggerEnded
        self._journal.append(
            lambda boot, sequence: self._fact(fact, seen, boot, sequence),
            lane=self._lane(seen.camera_id),
            trace_id=trace_id,
        )
        self.written += 1
        if not seen.active:
            del self._open[seen.camera_id]
            _write(self._open_file, self._open)

    def _fact(self, fact: type[TriggerFact], seen: Seen, boot: int, sequence: int) -> TriggerFact:
        return fact(
            trigger=TriggerKind.MOTION,
            source_id=seen.camera_id,
            node_id=self._node_id,
            boot=boot,
            sequence=sequence,
            occurred_at=datetime.fromtimestamp(seen.at_us / 1_000_000, UTC),
            cells=seen.cells,
        )


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("list of open triggers unreadable", path=str(path), reason=str(error))
        return {}
    return {str(camera_id): str(trace_id) for camera_id, trace_id in found.items()} if isinstance(found, dict) else {}


def _write(path: Path, triggers: dict[str, str]) -> None:
    """Replace the file in one step, or say why not: a full disk must not lose the trigger itself."""
    draft = path.with_suffix(".new")
    try:
        with draft.open("w") as file:
            json.dump(triggers, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        log.warning("list of open triggers not written", path=str(path), reason=str(error))
