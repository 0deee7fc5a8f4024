"""What people ask of the engine. SMServer has checked their rights; here it takes effect, once."""

from dataclasses import dataclass

from sqlalchemy import Engine, select, update

from broker.database import now
from broker.inbox import accept
from broker.model.messages import AcknowledgeRequested, AlarmAcknowledged, AlarmState
from broker.process import logger
from broker.transport import Envelope
from workers import rules
from workers.store.lifecycle import Due, Pen, active_from
from workers.tables import alarm_event, inbox

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Requests:
    """Applies requests to alarm events."""

    engine: Engine
    source: str
    wake_s: float

    def apply(self, request: Envelope) -> list[Due]:
        """Apply one request; returns the actions to dispatch. A second delivery changes nothing."""
        message = request.message
        if not isinstance(message, AcknowledgeRequested):
            log.warning("request is not known to the engine", kind=message.kind(), message_id=request.id)
            return []
        with self.engine.begin() as connection:
            if not accept(connection, inbox, [request.id]):
                return []
            pen = Pen(connection, now(connection), self.source, self.wake_s)
            self._acknowledge(pen, message)
            return pen.flush().due

    @staticmethod
    def _acknowledge(pen: Pen, request: AcknowledgeRequested) -> None:
        """The first acknowledgement counts. An alarm that is active until acknowledged is active no more."""
        row = pen.connection.execute(
            select(alarm_event).where(alarm_event.c.id == request.alarm_event_id).with_for_update()
        ).one_or_none()
        if row is None:
            log.warning("acknowledged alarm event is not known", alarm_event_id=request.alarm_event_id)
            return
        if row.acknowledged_at is not None:
            return
        pen.connection.execute(
            update(alarm_event)
            .where(alarm_event.c.id == row.id)
            .values(acknowledged_by=request.user_id, acknowledged_at=request.at)
        )
        pen.announce(
            AlarmAcknowledged(
                alarm_event_id=row.id,
                alarm_id=row.alarm_id,
                at=pen.now,
                user_id=request.user_id,
                user_name=request.user_name,
            ),
            row.trace_id,
        )
        if row.until_acknowledged and row.state == AlarmState.ACTIVE.value:
            pen.stop(rules.stop(active_from(row), pen.now, pen.now))
