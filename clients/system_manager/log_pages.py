"""Pages of what happened: the audit trail, health events, and what each process last said of itself."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QPlainTextEdit, QSplitter, QVBoxLayout, QWidget
from typing_extensions import override

from broker.model.messages import CameraCondition
from clients.desktop.failures import failure_of
from clients.desktop.widgets import Message, button, label, named
from clients.sdk import AuditRecord, HealthRecord
from clients.system_manager.conflict import differences, shown
from clients.system_manager.icons import state_icon
from clients.system_manager.schema import choice_label
from clients.system_manager.tables import fill_table, make_table, selected
from clients.system_manager.workplace import Workplace

PAGE = 100
OBJECT_KINDS = ("server", "camera", "alarm", "profile", "user", "session", "alarm_event")


def moment(at: Any) -> str:
    """A time in the zone of who reads it, to the second."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at is not None else ""


class LogPage(QWidget):
    """A heading, tools, a message and a table."""

    def __init__(self, workplace: Workplace, title: str, about: str) -> None:
        super().__init__()
        self.workplace = workplace
        self.message = Message()
        self.tools = QHBoxLayout()
        self.count = label("", "help")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 14, 20, 20)
        self.column.setSpacing(10)
        self.column.addWidget(label(title, "title"))
        self.column.addWidget(label(about, "help", wrap=True))
        self.column.addLayout(self.tools)
        self.column.addWidget(self.message)

    def read(self) -> None:
        """Show the newest."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        """It could not be read."""
        self.message.say(failure_of(error))


class AuditPage(LogPage):
    """Who changed what, newest first, page by page."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(
            workplace,
            "Audit trail",
            "Every change and every sign-in, in an order that nobody can alter unnoticed. Times are local.",
        )
        self.records: list[AuditRecord] = []
        self.user = named(QLineEdit(), "Filter by user")
        self.user.setPlaceholderText("User id")
        self.user.setMaximumWidth(160)
        self.object = named(QLineEdit(), "Filter by object")
        self.object.setPlaceholderText("Object id")
        self.object.setMaximumWidth(160)
        self.kind = named(QComboBox(), "Filter by kind")
        self.kind.addItem("All kinds", "")
        for kind in OBJECT_KINDS:
            self.kind.addItem(kind.replace("_", " ").capitalize(), kind)
        for line in (self.user, self.object):
            line.returnPressed.connect(self.read)
        self.kind.activated.connect(self.read)
        self.older = button("Load older", self.read_older)
        for widget in (self.user, self.kind, self.object, button("Show", self.read), self.older, self.count):
            self.tools.addWidget(widget)
        self.tools.addStretch()
        self.table = make_table(
            "Audit trail",
            ("When", "Who", "What", "Kind", "Object", "From", "Program"),
            (158, 105, 135, 85, 140, 100),
        )
        self.detail = named(QPlainTextEdit(), "What changed")
        self.detail.setReadOnly(True)
        self.table.itemSelectionChanged.connect(self._show_detail)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.table)
        splitter.addWidget(self.detail)
        splitter.setSizes([430, 150])
        self.column.addWidget(splitter, 1)

    @override
    def read(self) -> None:
        """The newest page."""
        self._ask(None)

    def read_older(self) -> None:
        """One page more."""
        self._ask(self.records[-1].id if self.records else None)

    def _ask(self, before_id: int | None) -> None:
        user, kind, object_id = self.user.text().strip(), self.kind.currentData(), self.object.text().strip()
        self.message.clear()
        self.workplace.session.ask(
            lambda client: client.audit(
                before_id=before_id,
                user_id=user or None,
                kind=kind or None,
                object_id=object_id or None,
                limit=PAGE,
            ),
            lambda found: self._take(found, before_id),
            self.failed,
            owner=self,
        )

    def _take(self, found: Sequence[AuditRecord], before_id: int | None) -> None:
        self.records = [*self.records, *found] if before_id is not None else list(found)
        self.older.setEnabled(len(found) == PAGE)
        self.count.setText(f"{len(self.records)} records")
        fill_table(
            self.table,
            (
                (
                    record.id,
                    (
                        moment(record.at),
                        record.user_id,
                        record.action,
                        record.kind.replace("_", " "),
                        record.object_id,
                        record.address,
                        record.program,
                    ),
                    None,
                )
                for record in self.records
            ),
        )

    def _show_detail(self) -> None:
        id_ = selected(self.table)
        record = next((record for record in self.records if record.id == id_), None)
        self.detail.setPlainText(changes_of(record) if record is not None else "")


def changes_of(record: AuditRecord) -> str:
    """What a record says was changed, a line per value."""
    before, after = record.before or {}, record.after or {}
    if not before and not after:
        return "No values were changed."
    if not before:
        return "\n".join(f"{name}: {shown(value)}" for name, value in after.items())
    if not after:
        return "\n".join(f"{name}: {shown(value)} (removed)" for name, value in before.items())
    lines = [f"{each.name}: {shown(each.mine)} → {shown(each.theirs)}" for each in differences({}, before, after)]
    return "\n".join(lines) or "No values were changed."


class HealthPage(LogPage):
    """What the system said about its own condition."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(
            workplace, "Health events", "What the system said about its own condition, newest first. Times are local."
        )
        self.records: list[HealthRecord] = []
        self.older = button("Load older", self.read_older)
        for widget in (button("Refresh", self.read), self.older, self.count):
            self.tools.addWidget(widget)
        self.tools.addStretch()
        self.table = make_table("Health events", ("When", "Process", "Event", "About", "Detail"), (190, 130, 200, 150))
        self.column.addWidget(self.table, 1)

    @override
    def read(self) -> None:
        """The newest page."""
        self._ask(None)

    def read_older(self) -> None:
        """One page more."""
        self._ask(self.records[-1] if self.records else None)

    def _ask(self, last: HealthRecord | None) -> None:
        self.message.clear()
        self.workplace.session.ask(
            lambda client: client.health_events(before=last.at if last else None, limit=PAGE),
            lambda found: self._take(found, last),
            self.failed,
            owner=self,
        )

    def _take(self, found: Sequence[HealthRecord], last: HealthRecord | None) -> None:
        self.records = [*self.records, *found] if last is not None else list(found)
        self.older.setEnabled(len(found) == PAGE)
        self.count.setText(f"{len(self.records)} events")
        rows = []
        for record in self.records:
            bad = record.event.endswith(
                ("_lost", "_failed", "_refused", "_full", "_crashed", "_quarantined", "_lettered")
            )
            level = "bad" if bad else "good" if record.event.endswith("_restored") else ""
            texts = (
                moment(record.at),
                record.node_id,
                record.event.replace("_", " "),
                record.subject,
                record.detail,
            )
            rows.append((None, texts, state_icon(level, self.workplace.theme.colours)))
        fill_table(self.table, rows)


class StatesPage(LogPage):
    """What each process last said of itself."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(
            workplace,
            "Processes",
            "What each process last said of itself. One that runs an older revision of the configuration catches up by"
            " itself.",
        )
        self.table = make_table(
            "Processes",
            ("Process", "State", "Role", "Cameras running", "Revision", "Last report", "Operations address"),
            (140, 140, 100, 140, 80, 165),
        )
        self.column.addWidget(self.table, 1)
        workplace.site.states_changed.connect(self.read)
        workplace.site.changed.connect(self.read)
        workplace.theme.changed.connect(self.read)

    @override
    def read(self) -> None:
        """Show what is known."""
        site = self.workplace.site
        rows = []
        for state in sorted(site.states.values(), key=lambda each: each.node_id):
            health = site.health("server", state.node_id)
            running = sum(camera.condition is CameraCondition.RUNNING for camera in state.cameras)
            texts = (
                state.node_id,
                health.text,
                choice_label(state.role),
                f"{running} of {len(state.cameras)}" if state.cameras else "",
                str(state.revision),
                moment(state.at),
                state.operations_url,
            )
            rows.append((state.node_id, texts, state_icon(health.level, self.workplace.theme.colours)))
        fill_table(self.table, rows)
