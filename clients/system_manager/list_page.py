"""The page of all resources of a kind."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from clients.desktop.widgets import button, label, named
from clients.system_manager.icons import state_icon
from clients.system_manager.kinds import ResourceKind
from clients.system_manager.schema import choice_label, label_of
from clients.system_manager.site import cell_text
from clients.system_manager.tables import fill_table, make_table, selected
from clients.system_manager.workplace import Workplace

WIDTHS = {
    "name": 180,
    "id": 120,
    "state": 130,
    "node_id": 110,
    "enabled": 80,
    "role": 110,
    "control_url": 210,
    "rights": 320,
    "recording": 110,
}


class ListPage(QWidget):
    """Emits `opened` for the one that is to be edited and `wanted` for a new one."""

    opened = Signal(str, str)
    wanted = Signal(str)

    def __init__(self, workplace: Workplace, kind: ResourceKind) -> None:
        super().__init__()
        self.kind = kind
        self._workplace = workplace
        self._filter = named(QLineEdit(), f"Filter {kind.plural}")
        self._filter.setPlaceholderText("Filter …")
        self._filter.setClearButtonEnabled(True)
        self._filter.setMaximumWidth(240)
        self._filter.textChanged.connect(self.show_all)
        self.add_button = button(
            f"Add a {kind.name}" if kind.name[0] not in "aeiou" else f"Add an {kind.name}",
            lambda: self.wanted.emit(kind.name),
            "main",
        )
        columns = [*kind.columns[:1], "state", *kind.columns[1:]] if kind.name in ("server", "camera") else kind.columns
        self._columns = columns
        self.table = make_table(
            kind.title, [label_of(column) for column in columns], [WIDTHS.get(column, 150) for column in columns]
        )
        self.table.cellDoubleClicked.connect(lambda *_: self._open())
        self._count = label("", "help")
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self._filter)
        row.addWidget(self._count)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 14, 20, 20)
        layout.setSpacing(10)
        layout.addWidget(label(kind.title, "title"))
        layout.addWidget(label(kind.about, "help", wrap=True))
        layout.addLayout(row)
        layout.addWidget(self.table, 1)
        workplace.site.changed.connect(self.show_all)
        workplace.site.states_changed.connect(self.show_all)
        workplace.theme.changed.connect(self.show_all)
        self.show_all()

    def show_all(self) -> None:
        """Fill the table."""
        site, kind, wanted = self._workplace.site, self.kind, self._filter.text().strip().lower()
        rows = []
        for item in site.every(kind.name):
            health = site.health(kind.name, item.id)
            values = item.model_dump(mode="json")
            texts = [health.text if column == "state" else self._text(values, column) for column in self._columns]
            if not wanted or any(wanted in text.lower() for text in texts):
                rows.append((item.id, texts, state_icon(health.level, self._workplace.theme.colours)))
        fill_table(self.table, rows)
        total = len(site.every(kind.name))
        self._count.setText(f"{len(rows)} of {total}" if wanted else f"{total}")

    def _text(self, values: dict[str, object], column: str) -> str:
        text = cell_text(self._workplace.site, self.kind.name, values, column)
        return choice_label(text) if column == "role" else text

    def _open(self) -> None:
        id_ = selected(self.table)
        if id_:
            self.opened.emit(self.kind.name, id_)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Enter opens what is selected."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.table.hasFocus():
            self._open()
            return
        super().keyPressEvent(event)
