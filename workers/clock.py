"""Beat's scheduler: Celery's own, but a broker that is away is a line in the log and not a page."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler, SchedulingError

from broker.process import logger

log = logger(__name__)


class Clock(Scheduler):
    """Sends what is due. What cannot be sent now is due again; the rows that the sweeper looks for do not run away."""

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send one task."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            log.warning("task is due and cannot be sent", task=entry.task, problem=str(error))
