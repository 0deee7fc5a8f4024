"""The alarms of the signed-in operator: kept up to date, rung for, acknowledged. Belongs to the GUI thread."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from PySide6.QtCore import QObject, Signal

from broker.model import messages as m
from broker.model.log import AlarmEvent
from broker.model.resources import Right
from clients.desktop.failures import failure_of
from clients.spotter.alarm_book import MOST_EVENTS, AlarmBook
from clients.spotter.site import Site
from clients.spotter.sound import Bell


class Alarms(QObject):
    """The book of alarm events, fed by the server."""

    changed = Signal()
    started = Signal(object)
    """An `AlarmEvent` that has just begun and is not snoozed."""
    trouble = Signal(str)
    """A sentence: something that was asked for did not happen."""

    def __init__(self, site: Site, bell: Bell, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.book = AlarmBook()
        self._site = site
        self._bell = bell
        self._waiting: set[str] = set()
        self._loaded = False
        site.alarm_said.connect(self._said)
        site.caught_up.connect(self.reload)
        site.changed.connect(self._profile_changed)

    def reload(self) -> None:
        """Read the newest events, after signing in and whenever some may have been missed."""
        self._site.session.ask(lambda client: client.alarm_events(limit=MOST_EVENTS), self._took, owner=self)

    def forget(self) -> None:
        """Nobody is signed in."""
        self.book = AlarmBook()
        self._waiting.clear()
        self._loaded = False
        self.changed.emit()

    def acknowledging(self, event_id: str) -> bool:
        """Whether it was asked for and the server's word is still out."""
        return event_id in self._waiting

    def may_acknowledge(self, event: AlarmEvent | None) -> bool:
        """Whether this operator may, and it makes sense."""
        return (
            event is not None
            and event.acknowledged is None
            and event.id not in self._waiting
            and self._site.may(Right.ACKNOWLEDGE)
        )

    def acknowledge(self, event_id: str) -> None:
        """Take notice of an alarm event; the list changes when the engine has said so."""
        event = self.book.get(event_id)
        if event is not None and not self._site.may(Right.ACKNOWLEDGE):
            self.trouble.emit("Your profile does not let you acknowledge alarms.")
            return
        if not self.may_acknowledge(event):
            return
        self._waiting.add(event_id)
        self.changed.emit()

        def failed(error: Exception) -> None:
            self._waiting.discard(event_id)
            failure = failure_of(error)
            self.trouble.emit(f"The alarm was not acknowledged: {failure.sentence} {failure.remedy}".strip())
            self.changed.emit()

        self._site.session.ask(lambda client: client.acknowledge(event_id), lambda _: None, failed, owner=self)

    def snooze(self, alarm_id: str, length: timedelta | None) -> None:
        """Be left alone by an alarm for a while; none: not any more."""
        self.book.snooze(alarm_id, None if length is None else datetime.now(UTC) + length)
        self.changed.emit()

    def history(
        self,
        done: Callable[[tuple[AlarmEvent, ...]], object],
        failed: Callable[[Exception], object],
        *,
        owner: QObject,
        before: datetime | None = None,
        alarm_id: str | None = None,
        state: m.AlarmState | None = None,
    ) -> None:
        """Older events, newest first."""
        self._site.session.ask(
            lambda client: client.alarm_events(before=before, alarm_id=alarm_id, state=state, limit=MOST_EVENTS),
            done,
            failed,
            owner=owner,
        )

    def _took(self, events: tuple[AlarmEvent, ...]) -> None:
        new = self.book.load(events)
        self._waiting = {id_ for id_ in self._waiting if (event := self.book.get(id_)) and event.acknowledged is None}
        self.changed.emit()
        # What began while nobody looked rings and pops up too, but once.
        begun = [event for event_id in new if (event := self.book.get(event_id))]
        if self._loaded:
            for event in sorted(begun, key=lambda event: event.raised_at):
                self._announce(event)
        elif begun:
            self._announce(max(begun, key=lambda event: event.raised_at))
        self._loaded = True

    def _said(self, message: m.AlarmFact) -> None:
        if isinstance(message, m.AlarmAcknowledged):
            self._waiting.discard(message.alarm_event_id)
        if not self.book.apply(message):
            return
        self.changed.emit()
        if isinstance(message, m.AlarmRaised) and (event := self.book.get(message.alarm_event_id)):
            self._announce(event)

    def _announce(self, event: AlarmEvent) -> None:
        if self.book.snoozed(event.alarm_id, datetime.now(UTC)):
            return
        self._bell.ring(event.priority)
        self.started.emit(event)

    def _profile_changed(self) -> None:
        if self.book.keep_alarms(self._site.alarms):
            self.changed.emit()
