"""The widgets that ask for one value each. All have the same face: `value`, `set_value`, `changed`, `complain`."""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from clients.desktop.theme import mark_wrong
from clients.desktop.widgets import named
from clients.system_manager.schema import Field, choice_label

References = Callable[[str], Sequence[tuple[str, str]]]
"""Id and name of the resources of a kind, for choosing one."""

WIDEST = 560
LIST_HEIGHT = 150


class Editor(QWidget):
    """Asks for a value."""

    changed = Signal()

    def value(self) -> Any:
        """As JSON has it."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show this value."""
        raise NotImplementedError

    def complain(self, path: str, sentence: str) -> bool:
        """Show a problem with the part `path` inside; false: it has no such part, the form shows it beside it."""
        del path
        mark_wrong(self.focusProxy() or self, bool(sentence))
        return False

    def clear(self) -> None:
        """There is no problem any more."""
        mark_wrong(self.focusProxy() or self, False)

    def refresh(self) -> None:
        """What can be referred to has changed."""

    def _hold(self, widget: QWidget, *, stretch: bool = False) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(widget, 1000 if stretch else 0)
        layout.addStretch(1)
        self.setFocusProxy(widget)


class TextEditor(Editor):
    """One line."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._nullable = field.nullable
        self.line = named(QLineEdit(), field.label)
        self.line.setMaximumWidth(WIDEST)
        self.line.textEdited.connect(self.changed)
        self._hold(self.line, stretch=True)

    @override
    def value(self) -> Any:
        text = self.line.text().strip()
        return None if self._nullable and not text else text

    @override
    def set_value(self, value: Any) -> None:
        self.line.setText(str(value or ""))
        self.line.setCursorPosition(0)

    def freeze(self) -> None:
        """It cannot be changed any more, e.g. an id once it is known to others."""
        self.line.setReadOnly(True)


class PasswordEditor(Editor):
    """A password: written, never read. Empty keeps the present one."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.line = named(QLineEdit(), field.label)
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.line.setMaximumWidth(WIDEST)
        self.line.textEdited.connect(self.changed)
        self._hold(self.line, stretch=True)

    @override
    def value(self) -> str | None:
        return self.line.text() or None

    @override
    def set_value(self, value: Any) -> None:
        del value
        self.line.clear()

    def say(self, placeholder: str) -> None:
        """Whether there is one."""
        self.line.setPlaceholderText(placeholder)


class LongTextEditor(Editor):
    """Several lines."""

    def __init__(self, field: Field, *, lines: bool = False) -> None:
        super().__init__()
        self._lines = lines
        self.text = named(QPlainTextEdit(), field.label)
        self.text.setMaximumWidth(WIDEST)
        self.text.setFixedHeight(84)
        self.text.setTabChangesFocus(True)
        self.text.textChanged.connect(self._typed)
        self._quiet = False
        self._hold(self.text, stretch=True)

    @override
    def value(self) -> Any:
        text = self.text.toPlainText()
        return [line.strip() for line in text.splitlines() if line.strip()] if self._lines else text

    @override
    def set_value(self, value: Any) -> None:
        self._quiet = True
        self.text.setPlainText("\n".join(value or ()) if self._lines else str(value or ""))
        self._quiet = False

    def _typed(self) -> None:
        if not self._quiet:
            self.changed.emit()


class _Steady:
    """The wheel scrolls the form; it changes a number only in a field that has the focus."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if self.hasFocus():  # type: ignore[attr-defined] # of the widget it is mixed into
            super().wheelEvent(event)  # type: ignore[misc] # the same
        else:
            event.ignore()


class _SpinBox(_Steady, QSpinBox):
    pass


class _DoubleSpinBox(_Steady, QDoubleSpinBox):
    pass


class _ComboBox(_Steady, QComboBox):
    pass


class NumberEditor(Editor):
    """A number within its bounds, with its unit."""

    def __init__(self, field: Field, *, whole: bool) -> None:
        super().__init__()
        self.box: QSpinBox | QDoubleSpinBox
        if whole:
            self.box = _SpinBox()
            self.box.setRange(_bound(field.minimum, -(10**9)), _bound(field.maximum, 10**9))
        else:
            self.box = _DoubleSpinBox()
            self.box.setDecimals(1)
            self.box.setSingleStep(0.5)
            self.box.setRange(float(_or(field.minimum, -1e9)), float(_or(field.maximum, 1e9)))
        named(self.box, field.label)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.setSuffix(f" {field.unit}" if field.unit else "")
        self.box.setMinimumWidth(140)
        self.box.valueChanged.connect(self.changed)
        self._hold(self.box)

    @override
    def value(self) -> Any:
        return self.box.value()

    @override
    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setValue(value or 0)
        self.box.blockSignals(False)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _bound(value: float | None, default: int) -> int:
    return default if value is None else int(value)


class TruthEditor(Editor):
    """Yes or no."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.box = named(QCheckBox("Yes"), field.label)
        self.box.toggled.connect(self.changed)
        self._hold(self.box)

    @override
    def value(self) -> bool:
        return self.box.isChecked()

    @override
    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setChecked(bool(value))
        self.box.blockSignals(False)


class ChoiceEditor(Editor):
    """One of a few words."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.box = named(_ComboBox(), field.label)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.setMinimumWidth(220)
        for choice in field.choices:
            self.box.addItem(choice_label(choice), choice)
        self.box.activated.connect(self.changed)
        self._hold(self.box)

    @override
    def value(self) -> Any:
        return self.box.currentData()

    @override
    def set_value(self, value: Any) -> None:
        self.box.setCurrentIndex(max(self.box.findData(value), 0))


class ReferenceEditor(Editor):
    """One of the resources that there are."""

    def __init__(self, field: Field, references: References) -> None:
        super().__init__()
        self._field = field
        self._references = references
        self.box = named(_ComboBox(), field.label)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.setMinimumWidth(300)
        self.box.activated.connect(self.changed)
        self._hold(self.box)
        self._fill(None)

    @override
    def value(self) -> Any:
        return self.box.currentData() or ("" if not self._field.nullable else None)

    @override
    def set_value(self, value: Any) -> None:
        self._fill(value)

    @override
    def refresh(self) -> None:
        self._fill(self.box.currentData())

    def _fill(self, value: Any) -> None:
        self.box.clear()
        self.box.addItem(f"Choose a {self._field.refers_to} …", "")
        for id_, name in self._references(self._field.refers_to):
            self.box.addItem(name if name == id_ else f"{name} ({id_})", id_)
        if value and self.box.findData(value) < 0:
            self.box.addItem(f"{value} (is not there any more)", value)
        self.box.setCurrentIndex(max(self.box.findData(value or ""), 0))


class ChecklistEditor(Editor):
    """Any of several things: words, or resources."""

    def __init__(self, field: Field, options: Callable[[], Sequence[tuple[str, str]]]) -> None:
        super().__init__()
        self._options = options
        self.list = named(QListWidget(), field.label)
        self.list.setMaximumWidth(WIDEST)
        self.list.itemChanged.connect(self._ticked)
        self._quiet = False
        self._hold(self.list, stretch=True)
        self._fill(set())

    @override
    def value(self) -> list[str]:
        items = [self.list.item(row) for row in range(self.list.count())]
        return sorted(
            str(item.data(Qt.ItemDataRole.UserRole)) for item in items if item.checkState() is Qt.CheckState.Checked
        )

    @override
    def set_value(self, value: Any) -> None:
        self._fill(set(value or ()))

    @override
    def refresh(self) -> None:
        self._fill(set(self.value()))

    def tick(self, id_: str, *, on: bool = True) -> None:
        """Check or uncheck one of them, as a person does."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item.data(Qt.ItemDataRole.UserRole) == id_:
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def _fill(self, checked: set[str]) -> None:
        self._quiet = True
        self.list.clear()
        options = list(self._options())
        known = {id_ for id_, _ in options}
        options += [(id_, f"{id_} (is not there any more)") for id_ in sorted(checked - known)]
        for id_, name in options:
            item = QListWidgetItem(name)
            item.setData(Qt.ItemDataRole.UserRole, id_)
            item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Checked if id_ in checked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        if not options:
            none = QListWidgetItem("There are none yet")
            none.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(none)
        rows = min(max(self.list.count(), 2), 8)
        self.list.setFixedHeight(rows * max(self.list.sizeHintForRow(0), 24) + 6)
        self._quiet = False

    def _ticked(self) -> None:
        if not self._quiet:
            self.changed.emit()


class ColourEditor(Editor):
    """A colour, by its name in hexadecimal or from a dialog."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.line = named(QLineEdit(), field.label)
        self.line.setFixedWidth(120)
        self.line.textEdited.connect(self._typed)
        self.button = QPushButton("Choose …")
        self.button.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(self.button)
        layout.addStretch()
        self.setFocusProxy(self.line)

    @override
    def value(self) -> str:
        return self.line.text().strip().lower()

    @override
    def set_value(self, value: Any) -> None:
        self.line.setText(str(value or ""))
        self._show()

    def _typed(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        colour = QColor(self.value())
        swatch = QPixmap(16, 16)
        swatch.fill(colour if colour.isValid() else Qt.GlobalColor.transparent)
        self.button.setIcon(QIcon(swatch))

    def _choose(self) -> None:
        dialog = QColorDialog(QColor(self.value()), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, colour: QColor) -> None:
        self.set_value(colour.name())
        self.changed.emit()


class ConstantEditor(Editor):
    """What cannot be anything else: nothing is asked."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._value = field.choices[0]
        self.setVisible(False)

    @override
    def value(self) -> str:
        return self._value

    @override
    def set_value(self, value: Any) -> None:
        pass


def column(*widgets: QWidget) -> QVBoxLayout:
    """Widgets below each other, without margins."""
    layout = QVBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
