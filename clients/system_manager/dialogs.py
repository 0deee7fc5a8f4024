"""Questions that are asked before something is lost."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QMessageBox, QVBoxLayout, QWidget

from clients.desktop.widgets import button, label
from clients.system_manager.dependents import Dependents


class RemoveDialog(QDialog):
    """Asks before a resource is removed, and says what hangs on it."""

    def __init__(self, kind: str, name: str, dependents: Dependents, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Remove {kind}")
        self.setMinimumWidth(460)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 18)
        layout.setSpacing(10)
        if dependents.blocking:
            layout.addWidget(label(f"The {kind} {name} cannot be removed yet.", "section", wrap=True))
            self._list(layout, dependents.blocking)
            layout.addWidget(label("Change or remove these first.", "help", wrap=True))
        else:
            layout.addWidget(label(f"Remove the {kind} {name}?", "section", wrap=True))
            self._list(layout, dependents.affected)
            layout.addWidget(label("This cannot be undone.", "help"))
        box = QDialogButtonBox()
        self.confirm = button("Remove", self.accept, "danger")
        self.confirm.setEnabled(not dependents.blocking)
        keep = button("Keep it", self.reject)
        keep.setDefault(True)
        box.addButton(self.confirm, QDialogButtonBox.ButtonRole.DestructiveRole)
        box.addButton(keep, QDialogButtonBox.ButtonRole.RejectRole)
        layout.addWidget(box)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    @staticmethod
    def _list(layout: QVBoxLayout, sentences: tuple[str, ...]) -> None:
        most = 8
        for sentence in sentences[:most]:
            layout.addWidget(label(f"• {sentence}", wrap=True))
        if len(sentences) > most:
            layout.addWidget(label(f"… and {len(sentences) - most} more.", wrap=True))


def ask_unsaved(parent: QWidget, what: str, save: Callable[[], object]) -> bool:
    """Ask about unsaved changes; whether to go on now. Saving takes its time, so it stays on the page."""
    box = QMessageBox(parent)
    box.setWindowTitle("Unsaved changes")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"{what} has changes that are not saved.")
    keep = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
    drop = box.addButton("Drop changes", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Go on editing", QMessageBox.ButtonRole.RejectRole)
    box.exec()
    if box.clickedButton() is keep:
        save()
    return box.clickedButton() is drop
