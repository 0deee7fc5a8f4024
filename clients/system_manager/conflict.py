"""Two administrators have changed the same thing: both versions side by side, and a choice per difference.

Nothing is overwritten silently: what is saved in the end names the revision that was seen here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from clients.desktop.widgets import button, label, named
from clients.system_manager.schema import label_of

WHOLE = frozenset({"mask", "calendar", "actions", "camera_ids", "alarm_ids", "rights"})
"""Values that are compared and chosen as a whole."""
MINE, THEIRS = "mine", "theirs"


class Difference(NamedTuple):
    """A place where both versions differ."""

    path: tuple[str, ...]
    base: Any
    mine: Any
    theirs: Any

    @property
    def name(self) -> str:
        """For people."""
        return " / ".join(label_of(part) for part in self.path)

    @property
    def proposal(self) -> str:
        """The side that alone has changed it; the other's when both have, since that is already in force."""
        return MINE if self.theirs == self.base else THEIRS

    @property
    def clash(self) -> bool:
        """Whether both sides have changed it."""
        return self.base not in (self.mine, self.theirs)


def differences(base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Where mine and theirs differ, field by field."""
    found: list[Difference] = []
    for name in theirs:
        was, ours, others = base.get(name), mine.get(name), theirs.get(name)
        if ours == others:
            continue
        if name not in WHOLE and isinstance(ours, Mapping) and isinstance(others, Mapping):
            inner = differences(was if isinstance(was, Mapping) else {}, ours, others)
            found += [Difference((name, *each.path), *each[1:]) for each in inner]
        else:
            found.append(Difference((name,), was, ours, others))
    return found


def combined(theirs: Mapping[str, Any], found: Sequence[Difference], choices: Sequence[str]) -> dict[str, Any]:
    """Their version with mine where that was chosen."""
    made = _copied(theirs)
    for difference, choice in zip(found, choices, strict=True):
        if choice != MINE:
            continue
        place = made
        for part in difference.path[:-1]:
            place = place[part]
        place[difference.path[-1]] = difference.mine
    return made


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def shown(value: Any) -> str:  # noqa: PLR0911 - one line a shape
    """A value in a table."""
    match value:
        case None | "" | [] | ():
            return "(nothing)"
        case bool():
            return "yes" if value else "no"
        case Mapping() if "hidden" in value:
            return f"{len(value['hidden'])} of {value['columns'] * value['rows']} cells hidden"
        case Mapping() if "week" in value:
            hours = sum(day.count("1") for day in value["week"])
            return f"{hours} of 168 hours on, {len(value.get('exceptions', {}))} days differ, {value.get('time_zone')}"
        case list() if value and isinstance(value[0], Mapping):
            return ", ".join(str(item.get("kind", item)).replace("_", " ") for item in value)
        case list():
            return ", ".join(map(str, value))
    return str(value)


class ConflictDialog(QDialog):
    """Shows the differences; `result_values` is what was agreed on once it is accepted."""

    def __init__(
        self,
        title: str,
        base: Mapping[str, Any],
        mine: Mapping[str, Any],
        theirs: Mapping[str, Any],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Changed in the meantime")
        self.resize(900, 460)
        self.differences = differences(base, mine, theirs)
        self._theirs = theirs
        self.choices: list[QComboBox] = []
        clashes = sum(each.clash for each in self.differences)
        said = (
            f"Both of you changed {clashes} of these values: look at them with care."
            if clashes
            else "You changed different values: the proposal keeps both."
        )
        table = named(QTableWidget(len(self.differences), 5), "Differences")
        table.setHorizontalHeaderLabels(["Value", "As it was", "Yours", "In force now", "Save"])
        table.verticalHeader().setVisible(False)
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        table.setWordWrap(True)
        for row, difference in enumerate(self.differences):
            texts = (difference.name, shown(difference.base), shown(difference.mine), shown(difference.theirs))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                table.setItem(row, column, item)
            choice = named(QComboBox(), f"Which {difference.name} to save")
            choice.addItem("Yours", MINE)
            choice.addItem("In force now", THEIRS)
            choice.setCurrentIndex(choice.findData(difference.proposal))
            self.choices.append(choice)
            table.setCellWidget(row, 4, choice)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(4, QHeaderView.ResizeMode.Fixed)
        table.setColumnWidth(4, 150)
        table.verticalHeader().setDefaultSectionSize(42)
        box = QDialogButtonBox()
        self.save = button("Save as chosen", self.accept, "main")
        self.discard = button("Drop my changes", self._drop)
        box.addButton(self.save, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.discard, QDialogButtonBox.ButtonRole.DestructiveRole)
        box.addButton(button("Go on editing", self.reject), QDialogButtonBox.ButtonRole.RejectRole)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 18)
        layout.setSpacing(12)
        layout.addWidget(label(f"Somebody else has changed {title} since you opened it.", "section", wrap=True))
        layout.addWidget(label(said, wrap=True))
        layout.addWidget(table, 1)
        layout.addWidget(box)
        self.dropped = False

    @property
    def result_values(self) -> dict[str, Any]:
        """The version that was agreed on."""
        return combined(self._theirs, self.differences, [str(choice.currentData()) for choice in self.choices])

    def _drop(self) -> None:
        self.dropped = True
        self.reject()
