"""Performs one attempt at one action: claim, perform within the time limit, store the outcome."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from uuid import uuid4

from prometheus_client import Counter, Histogram
from structlog.stdlib import BoundLogger

from broker.database import is_away
from broker.model.actions import Outcome, WhenInDoubt
from broker.process import logger
from workers.action import KINDS, Attempt, Tools
from workers.errors import ActionError, TransientActionError
from workers.settings import EngineGroup
from workers.store.runs import Claim, Runs

log = logger(__name__)

PERFORMED = Counter("vigil_actions_performed", "Actions that came to their end.", ("kind", "outcome"))
RETRIED = Counter("vigil_action_attempts_failed", "Attempts that failed and will be repeated.", ("kind",))
SECONDS = Histogram("vigil_action_attempt_seconds", "How long attempts took.", ("kind",))

STORE_AGAIN_S = 0.5

RENEWALS = 3
"""Signs of life per lease."""

NOT_OURS = "held by another worker, done, or not due"


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs attempts for a worker process; safe to use from several threads.

    The time limit is kept here, because Celery's own does not work in the threads pool. An attempt that exceeds it
    is left behind on its thread, which ends with the time-outs of what it waits for.
    """

    runs: Runs
    tools: Tools
    settings: EngineGroup
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}")
    on_finished: Callable[[], None] = lambda: None
    """Called when an announcement lies in the outbox."""

    def run(self, action_id: str, *, keyed: bool = False) -> str:
        """Perform the action if it is due and held by nobody; says in a word what happened.

        `keyed`: whoever performs it can tell by its key that it comes twice, so its claim need not outlive a crash of
        the database.
        """
        holder = f"{self.holder}:{threading.get_ident()}"
        claim = self.runs.claim(action_id, holder, self.settings.lease_s, durable=not keyed)
        if claim is None:
            return NOT_OURS
        bound: BoundLogger = log.bind(
            action_id=action_id, action_kind=claim.kind, attempt=claim.attempt, trace_id=claim.raised.trace_id
        )
        if claim.expired:
            why = claim.failure or "nobody took it up in time"
            return self._finish(claim, Outcome.EXPIRED, f"its deadline passed: {why}", bound)
        if claim.in_doubt and claim.settings.when_in_doubt is WhenInDoubt.SKIP:
            why = "an earlier attempt ended without an answer, and this action is skipped when in doubt"
            return self._finish(claim, Outcome.SKIPPED, why, bound)
        skips = claim.settings.when_in_doubt is WhenInDoubt.SKIP
        if keyed and skips and not self.runs.renew(claim, self.settings.lease_s):
            return NOT_OURS  # else the renewal has waited for the disk, and the claim before it is there as well
        return self._attempt(claim, bound)

    def _attempt(self, claim: Claim, bound: BoundLogger) -> str:
        kind = KINDS[claim.kind]
        repeated = (claim.repeated or claim.in_doubt) and not kind.exactly_once
        attempt = Attempt(
            action_id=claim.action_id,
            number=claim.attempt,
            phase=claim.phase,
            raised=claim.raised,
            condition_ended_at=claim.condition_ended_at,
            repeated=repeated,
            time_limit_s=claim.settings.time_limit_s,
        )
        begun = time.monotonic()
        outcome = Outcome.FAILED
        try:
            said = self._within_limit(claim, lambda: kind.perform(attempt, claim.settings, self.tools))
        except TransientActionError as error:
            return self._failed_for_now(claim, error, bound, repeated=repeated, seconds=time.monotonic() - begun)
        except ActionError as error:
            said = error.reason
        except Exception as error:  # noqa: BLE001 - a mistake in an action must not end its worker
            bound.exception("action failed by a mistake in the program")
            said = f"{type(error).__name__}: {error}"
        else:
            outcome = Outcome.SUCCEEDED
        seconds = time.monotonic() - begun
        SECONDS.labels(claim.kind).observe(seconds)
        return self._finish(claim, outcome, said, bound, repeated=repeated, seconds=seconds)

    def _within_limit(self, claim: Claim, perform: Callable[[], str]) -> str:
        """Perform on a thread of its own and show signs of life meanwhile."""
        future: Future[str] = Future()

        def work() -> None:
            try:
                future.set_result(perform())
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                future.set_exception(error)

        threading.Thread(target=work, name=f"action-{claim.action_id}", daemon=True).start()
        ends = time.monotonic() + claim.settings.time_limit_s
        while True:
            left = ends - time.monotonic()
            try:
                return future.result(timeout=max(0.0, min(left, self.settings.lease_s / RENEWALS)))
            except TimeoutError:
                if future.done():
                    raise
                if time.monotonic() >= ends:
                    limit = claim.settings.time_limit_s
                    raise TransientActionError(f"no end within its time limit of {limit} s", in_doubt=True) from None
                self._show_life(claim)

    def _show_life(self, claim: Claim) -> None:
        try:
            self.runs.renew(claim, self.settings.lease_s)
        except Exception as error:  # noqa: BLE001 - the action goes on; a lapsed lease is what the design is made for
            log.warning("lease could not be renewed", action_id=claim.action_id, error=str(error))

    def _failed_for_now(
        self, claim: Claim, error: TransientActionError, bound: BoundLogger, *, repeated: bool, seconds: float
    ) -> str:
        """Plan the next attempt, unless there is doubt and the action is skipped then, or the deadline comes first."""
        if error.in_doubt and claim.settings.when_in_doubt is WhenInDoubt.SKIP:
            why = f"{error.reason}; it may have been performed, and is skipped when in doubt"
            return self._finish(claim, Outcome.SKIPPED, why, bound, repeated=repeated, seconds=seconds)
        repeated = repeated or (error.in_doubt and not KINDS[claim.kind].exactly_once)
        doubled = self.settings.retry_first_s * 2.0 ** min(claim.attempt - 1, 30)
        wait_s = min(doubled, self.settings.retry_longest_s) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        planned = self._stored(bound, lambda: self.runs.retry(claim, error.reason, wait_s, repeated=repeated))
        if planned is False:
            why = f"the next attempt would be behind its deadline; the last one: {error.reason}"
            return self._finish(claim, Outcome.EXPIRED, why, bound, repeated=repeated, seconds=seconds)
        RETRIED.labels(claim.kind).inc()
        bound.info("action will be tried again", reason=error.reason, wait_s=round(wait_s, 1))
        return f"again in {wait_s:.1f} s: {error.reason}"

    def _finish(
        self,
        claim: Claim,
        outcome: Outcome,
        reason: str,
        bound: BoundLogger,
        *,
        repeated: bool = False,
        seconds: float | None = None,
    ) -> str:
        stored = self._stored(
            bound, lambda: self.runs.finish(claim, outcome, reason, repeated=repeated, seconds=seconds)
        )
        if not stored:
            bound.warning("lease of an action was lost before its outcome was stored", outcome=outcome.value)
            return NOT_OURS
        self.on_finished()
        PERFORMED.labels(claim.kind, outcome.value).inc()
        bound.info("action performed", outcome=outcome.value, reason=reason, repeated=repeated)
        return f"{outcome.value}: {reason}" if reason else outcome.value

    def _stored(self, bound: BoundLogger, store: Callable[[], bool | None]) -> bool | None:
        """Store what came of an attempt. A database that is away for a moment is tried for as long as a lease lasts."""
        gives_up = time.monotonic() + self.settings.lease_s
        while True:
            try:
                return store()
            except Exception as error:
                if not is_away(error) or time.monotonic() >= gives_up:
                    raise
                bound.warning("outcome of an attempt cannot be stored yet", error=str(error))
                time.sleep(STORE_AGAIN_S)
