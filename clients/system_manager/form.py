"""Forms: a label, an editor, a help text and room for a complaint per field of a resource's schema."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QGroupBox, QHBoxLayout, QSizePolicy, QVBoxLayout
from typing_extensions import override

from clients.desktop.widgets import button, hidden, label, named
from clients.sdk import FieldProblem
from clients.system_manager.calendar import CalendarEditor
from clients.system_manager.editors import (
    ChecklistEditor,
    ChoiceEditor,
    ColourEditor,
    ConstantEditor,
    Editor,
    LongTextEditor,
    NumberEditor,
    PasswordEditor,
    ReferenceEditor,
    References,
    TextEditor,
    TruthEditor,
    _ComboBox,
)
from clients.system_manager.mask import MaskEditor
from clients.system_manager.schema import REFERENCES, Field, Kind, choice_label, problem_path

LABEL_WIDTH = 190


class Rows(Editor):
    """A group of fields, one below the other."""

    def __init__(self, fields: Sequence[Field], references: References) -> None:
        super().__init__()
        self.editors: dict[str, Editor] = {}
        self._complaints: dict[str, Any] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(12)
        self._grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        self._grid.setColumnStretch(1, 1)
        for field in fields:
            self._add(field, references)
        if self.editors:
            first = next((each for each in self.editors.values() if not isinstance(each, ConstantEditor)), None)
            if first is not None:
                self.setFocusProxy(first)

    @override
    def value(self) -> dict[str, Any]:
        return {name: editor.value() for name, editor in self.editors.items()}

    @override
    def set_value(self, value: Any) -> None:
        given = value if isinstance(value, Mapping) else {}
        for name, editor in self.editors.items():
            if name in given:
                editor.set_value(given[name])

    @override
    def complain(self, path: str, sentence: str) -> bool:
        name, _, rest = path.partition(".")
        editor = self.editors.get(name)
        if editor is None:
            return False
        if not (rest and editor.complain(rest, sentence)):
            editor.complain("", sentence)
            shown = self._complaints[name]
            shown.setText(f"{shown.text()}\n{sentence}".strip())
            shown.setVisible(True)
        return True

    @override
    def clear(self) -> None:
        for name, editor in self.editors.items():
            editor.clear()
            self._complaints[name].clear()
            self._complaints[name].setVisible(False)

    @override
    def refresh(self) -> None:
        for editor in self.editors.values():
            editor.refresh()

    def complaints(self) -> dict[str, str]:
        """What is said beside which field, for tests and screen readers."""
        return {name: shown.text() for name, shown in self._complaints.items() if shown.text()}

    def _add(self, field: Field, references: References) -> None:
        editor = editor_for(field, references)
        editor.setObjectName(field.name)
        editor.changed.connect(self.changed)
        self.editors[field.name] = editor
        complaint = hidden(label(style="error", wrap=True))
        self._complaints[field.name] = complaint
        if field.kind is Kind.CONSTANT:
            editor.setParent(self)
            complaint.setParent(self)
            return
        row = self._grid.rowCount()
        help_text = label(field.help, "help", wrap=True)
        wide = field.kind in (Kind.GROUP, Kind.LIST, Kind.VARIANT, Kind.CALENDAR, Kind.MASK)
        column = QVBoxLayout()
        column.setSpacing(8 if wide else 3)
        column.addWidget(editor)
        if field.help:
            column.insertWidget(0 if wide else 1, help_text)
            (editor.focusProxy() or editor).setAccessibleDescription(field.help)
        column.addWidget(complaint)
        if wide:
            box = QGroupBox(field.label)
            box.setLayout(column)
            self._grid.addWidget(box, row, 0, 1, 2)
            return
        title = label(field.label if not field.required else f"{field.label} *")
        title.setFixedWidth(LABEL_WIDTH)
        title.setWordWrap(True)
        title.setBuddy(editor.focusProxy() or editor)
        self._grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
        title.setContentsMargins(0, 6, 0, 0)
        self._grid.addLayout(column, row, 1)


class VariantEditor(Editor):
    """A group of one of several classes: which, and its fields."""

    def __init__(self, field: Field, references: References) -> None:
        super().__init__()
        self._classes = field.classes
        self._references = references
        self._rows: Rows | None = None
        self.kind = named(_ComboBox(), field.label)
        self.kind.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.kind.setMinimumWidth(300)
        for name in field.classes:
            self.kind.addItem(choice_label(name), name)
        self.kind.activated.connect(self._chosen)
        self.head = QHBoxLayout()
        self.head.addWidget(self.kind)
        self.head.addStretch()
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(0, 0, 0, 0)
        self._body.addLayout(self.head)
        self.setFocusProxy(self.kind)
        self._show(str(self.kind.currentData()))

    @property
    def rows(self) -> Rows:
        """The fields of the class that is chosen."""
        assert self._rows is not None
        return self._rows

    @override
    def value(self) -> dict[str, Any]:
        return self.rows.value()

    @override
    def set_value(self, value: Any) -> None:
        kind = str((value or {}).get("kind", self.kind.itemData(0)))
        self.kind.setCurrentIndex(max(self.kind.findData(kind), 0))
        self._show(kind)
        self.rows.set_value(value)

    @override
    def complain(self, path: str, sentence: str) -> bool:
        return self.rows.complain(path, sentence)

    @override
    def clear(self) -> None:
        self.rows.clear()

    @override
    def refresh(self) -> None:
        self.rows.refresh()

    def _chosen(self) -> None:
        self._show(str(self.kind.currentData()))
        self.changed.emit()

    def _show(self, kind: str) -> None:
        if self._rows is not None:
            self._rows.setParent(None)
            self._rows.deleteLater()
        fields = self._classes.get(kind, ())
        self._rows = Rows(fields, self._references)
        self._rows.set_value(defaults(fields))
        self._rows.changed.connect(self.changed)
        self._body.addWidget(self._rows)


class ListEditor(Editor):
    """Variants, one below the other: added, removed, moved."""

    def __init__(self, field: Field, references: References) -> None:
        super().__init__()
        self._field = field
        self._references = references
        self.entries: list[VariantEditor] = []
        self._boxes: list[QGroupBox] = []
        self._none = label(f"No {field.label.lower()} yet.", "help")
        self.add_button = button(f"Add to {field.label.lower()}", self.add)
        self.add_button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._none)
        self._column.addWidget(self.add_button)
        self.setFocusProxy(self.add_button)

    @override
    def value(self) -> list[dict[str, Any]]:
        return [entry.value() for entry in self.entries]

    @override
    def set_value(self, value: Any) -> None:
        while self.entries:
            self._take(0)
        for item in value or ():
            self._append().set_value(item)
        self._number()

    def add(self) -> VariantEditor:
        """One more, as the button does it."""
        entry = self._append()
        self._number()
        entry.kind.setFocus()
        self.changed.emit()
        return entry

    @override
    def complain(self, path: str, sentence: str) -> bool:
        at, _, rest = path.partition(".")
        if not at.isdecimal() or int(at) >= len(self.entries):
            return False
        return self.entries[int(at)].complain(rest, sentence)

    @override
    def clear(self) -> None:
        for entry in self.entries:
            entry.clear()

    @override
    def refresh(self) -> None:
        for entry in self.entries:
            entry.refresh()

    def _append(self) -> VariantEditor:
        entry = VariantEditor(self._field, self._references)
        entry.changed.connect(self.changed)
        box = QGroupBox()
        inside = QVBoxLayout(box)
        inside.addWidget(entry)
        entry.head.addWidget(button("Move up", lambda: self._up(entry)))
        entry.head.addWidget(button("Remove", lambda: self._remove(entry), "danger"))
        self.entries.append(entry)
        self._boxes.append(box)
        self._column.insertWidget(self._column.count() - 1, box)
        return entry

    def _remove(self, entry: VariantEditor) -> None:
        self._take(self.entries.index(entry))
        self._number()
        self.changed.emit()
        self.add_button.setFocus()

    def _up(self, entry: VariantEditor) -> None:
        at = self.entries.index(entry)
        if at:
            values = self.value()
            values[at - 1], values[at] = values[at], values[at - 1]
            self.set_value(values)
            self.changed.emit()
            self.entries[at - 1].kind.setFocus()

    def _take(self, at: int) -> None:
        self.entries.pop(at)
        box = self._boxes.pop(at)
        self._column.removeWidget(box)
        box.hide()
        box.deleteLater()

    def _number(self) -> None:
        for number, box in enumerate(self._boxes, 1):
            box.setTitle(f"{number}.")
        self._none.setVisible(not self.entries)


def editor_for(field: Field, references: References) -> Editor:  # noqa: PLR0911, PLR0912, C901 - one line a kind
    """The widget that asks for a field."""
    match field.kind:
        case Kind.INTEGER | Kind.NUMBER:
            return NumberEditor(field, whole=field.kind is Kind.INTEGER)
        case Kind.TRUTH:
            return TruthEditor(field)
        case Kind.CHOICE:
            return ChoiceEditor(field)
        case Kind.CHOICES:
            return ChecklistEditor(field, lambda: [(choice, choice_label(choice)) for choice in field.choices])
        case Kind.REFERENCE:
            return ReferenceEditor(field, references)
        case Kind.REFERENCES:
            return ChecklistEditor(field, lambda: references(field.refers_to))
        case Kind.LONG_TEXT | Kind.LINES:
            return LongTextEditor(field, lines=field.kind is Kind.LINES)
        case Kind.COLOUR:
            return ColourEditor(field)
        case Kind.CONSTANT:
            return ConstantEditor(field)
        case Kind.GROUP:
            return Rows(field.fields, references)
        case Kind.VARIANT:
            return VariantEditor(field, references)
        case Kind.LIST:
            return ListEditor(field, references)
        case Kind.CALENDAR:
            return CalendarEditor()
        case Kind.MASK:
            return MaskEditor()
        case Kind.PASSWORD:
            return PasswordEditor(field)
    return TextEditor(field)


def defaults(fields: Sequence[Field]) -> dict[str, Any]:
    """What a new one begins with."""
    made: dict[str, Any] = {}
    for field in fields:
        if field.kind is Kind.GROUP:
            made[field.name] = field.default or defaults(field.fields)
        elif field.default is not None:
            made[field.name] = field.default
        elif field.kind in (Kind.INTEGER, Kind.NUMBER):
            made[field.name] = field.minimum or 0
    return made


def problems_of(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[BaseModel | None, list[FieldProblem]]:
    """The resource that the values make, or what is wrong with them, by the model's own rules."""
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, [
            FieldProblem(
                problem_path(problem["loc"], _tags(values)),
                "Choose one."
                if problem.get("input") == "" and str(problem["loc"][-1]) in REFERENCES
                else _sentence(
                    problem["type"], str(problem["msg"]).removeprefix("Value error, "), problem.get("ctx") or {}
                ),
                "",
            )
            for problem in error.errors(include_url=False)
        ]


def _tags(values: Mapping[str, Any]) -> frozenset[str]:
    """The words that tell classes apart in these values."""
    found: set[str] = set()
    for value in values.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping) and "kind" in each:
                found.add(str(each["kind"]))
    return frozenset(found)


def _sentence(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Pydantic's problem in words for people; its own where it has good ones."""
    pattern = str(context.get("pattern", ""))
    if kind == "string_pattern_mismatch" and pattern.startswith("^rtsps?"):
        return "Write an RTSP address, for example rtsp://192.0.2.10:554/stream1."
    if kind == "string_pattern_mismatch" and pattern.startswith("^https?"):
        return "Write a web address, for example https://example.org/hook."
    if kind == "string_pattern_mismatch" and pattern == "^[a-z0-9][a-z0-9_-]{0,62}$":
        return "Use 1 to 63 small letters, digits, “-” and “_”, beginning with a letter or digit."
    if kind == "string_pattern_mismatch" and "@" in pattern:
        return "Write a mail address, for example olga@example.org."
    sentences: dict[str, Callable[[], str]] = {
        "missing": lambda: "This is needed.",
        "string_too_short": lambda: "This is needed." if context.get("min_length") == 1 else message,
        "too_short": lambda: "At least one is needed.",
        "string_too_long": lambda: f"Use at most {context.get('max_length')} characters.",
        "string_pattern_mismatch": lambda: f"Write it in the pattern {pattern}.",
    }
    made = sentences.get(kind, lambda: message)()
    return made[:1].upper() + made[1:]
