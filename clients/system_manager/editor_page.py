"""The page of one resource: its form, saving, conflicts, removal."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from clients.desktop.failures import Failure, failure_of
from clients.desktop.theme import kind as styled
from clients.desktop.widgets import Message, button, label
from clients.sdk import ChangedMeanwhileError, FieldProblem, NotFoundError, ProblemError, Versioned
from clients.system_manager.conflict import ConflictDialog
from clients.system_manager.dialogs import RemoveDialog, ask_unsaved
from clients.system_manager.editors import PasswordEditor, TextEditor
from clients.system_manager.form import Rows, defaults, problems_of
from clients.system_manager.kinds import ResourceKind
from clients.system_manager.schema import Field, fields_of
from clients.system_manager.workplace import Workplace


class EditorPage(QWidget):
    """Edits one resource, or makes a new one. Nothing that was typed is lost by a failure."""

    saved = Signal(str, str)
    """Kind and id."""
    removed = Signal(str, str)
    dirty_changed = Signal()

    def __init__(self, workplace: Workplace, kind: ResourceKind, resource_id: str | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.resource_id = resource_id
        self.workplace = workplace
        self.busy = False
        self.dialog: ConflictDialog | RemoveDialog | None = None
        """What is asked now."""
        self._base: dict[str, Any] = {}
        self._revision: str | None = None
        self._clean: dict[str, Any] = {}
        self._was_dirty = False
        self.parts: list[Rows] = []
        self._fields = fields_of(kind.model)
        self._build()
        workplace.site.changed.connect(self._site_changed)
        workplace.site.states_changed.connect(self.show_state)
        workplace.site.changed_resource.connect(self._changed_elsewhere)
        if resource_id is None:
            self._show(self.blank(), None)
        else:
            self.load()

    # --- how it looks ---------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._title = label("", "title")
        self._state = label("", "help")
        self.message = Message()
        self.notice = Message()
        styled(self.notice, "warning")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        named = {name for tab in self.kind.tabs for name in tab.fields}
        for number, tab in enumerate(self.kind.tabs):
            fields = [
                field for field in self._fields if (field.name in tab.fields if number else field.name not in named)
            ]
            if number == 0 and self.kind.password is not None:
                fields = _after(fields, "username", self.kind.password)
            rows = Rows(fields, self.workplace.site.references)
            rows.changed.connect(self._edited)
            self.parts.append(rows)
            self.tabs.addTab(_scrolled(self.tab_content(number, rows)), tab.title)
        self.tabs.tabBar().setVisible(len(self.kind.tabs) > 1)
        self.save_button = button("Save", self.save, "main")
        self.save_button.setToolTip("Ctrl+S")
        self.revert_button = button("Revert", self.revert)
        self.remove_button = button("Remove …", self.ask_remove, "danger")
        self._status = label("", "help")
        foot = QFrame()
        styled(foot, "foot")
        row = QHBoxLayout(foot)
        row.setContentsMargins(20, 10, 20, 10)
        for each in (self.save_button, self.revert_button):
            row.addWidget(each)
        row.addWidget(self._status)
        row.addStretch()
        row.addWidget(self.remove_button)
        head = QVBoxLayout()
        head.setContentsMargins(20, 14, 20, 6)
        head.setSpacing(6)
        head.addWidget(self._title)
        head.addWidget(self._state)
        head.addWidget(self.notice)
        head.addWidget(self.message)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(foot)

    def tab_content(self, number: int, rows: Rows) -> QWidget:
        """The widget of a tab; pages of some kinds add to the rows."""
        del number
        return rows

    def blank(self) -> dict[str, Any]:
        """What a new one begins with."""
        return defaults(self._fields)

    # --- what is in the form --------------------------------------------------------------------------------------

    @property
    def values(self) -> dict[str, Any]:
        """What the form says now, without the password."""
        found: dict[str, Any] = {}
        for part in self.parts:
            found |= part.value()
        found.pop("password", None)
        return found

    @property
    def password(self) -> str | None:
        """The new password, if one was typed."""
        editor = self.editor("password")
        return editor.value() if isinstance(editor, PasswordEditor) else None

    @property
    def dirty(self) -> bool:
        """Whether something would be lost."""
        return self.values != self._clean or self.password is not None

    @property
    def what(self) -> str:
        """For sentences: the camera Entrance."""
        name = self._base.get("name") or self.values.get("name") or "new"
        return f"the {self.kind.name} {name}" if self.resource_id else f"the new {self.kind.name}"

    def editor(self, name: str) -> Any:
        """The editor of a field."""
        return next((part.editors[name] for part in self.parts if name in part.editors), None)

    def complaints(self) -> dict[str, str]:
        """What is said beside which field."""
        found: dict[str, str] = {}
        for part in self.parts:
            found |= part.complaints()
        return found

    def may_leave(self) -> bool:
        """Whether nothing would be lost, or may be."""
        return not self.dirty or ask_unsaved(self, self.what[:1].upper() + self.what[1:], self.save)

    # --- reading --------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read it anew; what was typed is dropped."""
        id_ = self.resource_id
        if id_ is None:
            self._show(self.blank(), None)
            return
        self._set_busy(True, "Reading …")
        self.workplace.session.ask(
            lambda client: self._group(client).fetch(id_), self._loaded, self._failed, owner=self
        )

    def revert(self) -> None:
        """Drop what was typed."""
        self._clear()
        self.load()

    def _loaded(self, found: Versioned[Any]) -> None:
        self._set_busy(False)
        self._clear()
        self._show(found.resource.model_dump(mode="json"), found.revision)

    def _show(self, values: dict[str, Any], revision: str | None) -> None:
        self._base, self._revision = values, revision
        for part in self.parts:
            part.set_value(values)
        password = self.editor("password")
        if isinstance(password, PasswordEditor):
            password.set_value("")
            kept = self.resource_id is not None and (self.kind.name != "camera" or values.get("secret_ref"))
            password.say("kept, not shown" if kept else "none yet")
        id_editor = self.editor("id")
        if self.resource_id is not None and isinstance(id_editor, TextEditor):
            id_editor.freeze()
        self._clean = self.values
        self.remove_button.setVisible(self.resource_id is not None)
        self._title.setText(str(values.get("name") or f"New {self.kind.name}"))
        self.show_state()
        self.shown()
        self._edited()

    def shown(self) -> None:
        """Another version is in the form; pages of some kinds have more to show."""

    def show_state(self) -> None:
        """Say how it is now."""
        if self.resource_id is None:
            self._state.setText(self.kind.about)
            self._state.setWordWrap(True)
            return
        health = self.workplace.site.health(self.kind.name, self.resource_id)
        state = self.workplace.site.camera_state(self.resource_id) if self.kind.name == "camera" else None
        more = f": {state.problem}" if state is not None and state.problem else ""
        self._state.setText(f"{self.kind.name.capitalize()} {self.resource_id} · {health.text}{more}".rstrip("· "))
        self._state.setWordWrap(True)

    # --- saving ---------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Save what is in the form, or say beside the fields what is wrong."""
        if self.busy:
            return
        self._clear()
        values = self.values
        if "secret_ref" in self._base:
            values["secret_ref"] = self._base["secret_ref"]
        resource, problems = problems_of(self.kind.model, values)
        if resource is None:
            self.show_problems(problems)
            return
        self._set_busy(True, "Saving …")
        password, revision = self.password, self._revision
        if self.resource_id is None:
            ask: Callable[[Any], Any] = lambda client: self._group(client).add(resource, password=password)  # noqa: E731 - one of two
        else:
            ask = lambda client: self._group(client).replace(resource, password=password, revision=revision)  # noqa: E731 - the other
        self.workplace.session.ask(ask, self._saved, self._not_saved, owner=self)

    def _saved(self, resource: BaseModel) -> None:
        self._set_busy(False)
        self.resource_id = str(resource.id)  # type: ignore[attr-defined] # every resource has an id
        # What is in the form is in force now; its revision comes with the next reading.
        self._clean = self.values
        password = self.editor("password")
        if isinstance(password, PasswordEditor):
            password.set_value("")
        self._edited()
        self.load()
        self._status.setText("Saved.")
        self.saved.emit(self.kind.name, self.resource_id)

    def _not_saved(self, error: Exception) -> None:
        self._set_busy(False)
        if isinstance(error, ChangedMeanwhileError):
            self._resolve()
        elif isinstance(error, ProblemError) and error.problems:
            self.show_problems(list(error.problems))
        else:
            self.message.say(failure_of(error))

    def show_problems(self, problems: list[FieldProblem]) -> None:
        """Say beside each field what is wrong with it, and go to the first; what has no field is said above."""
        first = -1
        for problem in problems:
            sentence = " ".join(part.rstrip(".") + "." for part in (problem.detail, problem.remedy) if part)
            at = next((at for at, part in enumerate(self.parts) if part.complain(problem.field, sentence)), -1)
            if at < 0:
                self.message.say(Failure(f"{problem.field}: {sentence}" if problem.field else sentence))
            elif first < 0 or at < first:
                first = at
        if first >= 0:
            self.tabs.setCurrentIndex(first)
            name = problems[0].field.split(".")[0]
            editor = self.parts[first].editors.get(name)
            if editor is not None:
                (editor.focusProxy() or editor).setFocus()
            self._status.setText("Not saved: see the fields in red.")

    # --- conflicts ------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        id_ = self.resource_id or ""
        self._set_busy(True, "Somebody else was faster …")
        self.workplace.session.ask(
            lambda client: self._group(client).fetch(id_), self._show_conflict, self._failed, owner=self
        )

    def _show_conflict(self, current: Versioned[Any]) -> None:
        self._set_busy(False)
        theirs = current.resource.model_dump(mode="json")
        dialog = ConflictDialog(self.what, self._base, self.values, theirs, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(lambda: self._agreed(dialog, current.revision, theirs))
        self.dialog = dialog
        dialog.open()

    def _agreed(self, dialog: ConflictDialog, revision: str, theirs: dict[str, Any]) -> None:
        self.dialog = None
        if dialog.dropped:
            self.load()
        elif dialog.result() == ConflictDialog.DialogCode.Accepted:
            values = dialog.result_values
            self._base, self._revision = theirs, revision
            for part in self.parts:
                part.set_value({name: value for name, value in values.items() if name != "password"})
            self._edited()
            self.save()
        else:
            self._status.setText("Not saved: the other version is still to be looked at.")

    def _changed_elsewhere(self, kind: str, id_: str) -> None:
        if kind != self.kind.name or id_ != self.resource_id or self.busy:
            return
        if self.workplace.site.find(kind, id_) is None:
            self.notice.say(Failure("Somebody else has removed it.", "Saving is not possible any more."))
        elif self.dirty:
            self.notice.say(
                Failure("Somebody else has just changed it.", "When you save, both versions are shown side by side.")
            )
        elif self._base:
            self.load()

    # --- removal --------------------------------------------------------------------------------------------------

    def ask_remove(self) -> None:
        """Ask whether to remove it, and say what hangs on it."""
        if self.resource_id is None or self.busy:
            return
        dependents = self.workplace.site.dependents(self.kind.name, self.resource_id)
        dialog = RemoveDialog(self.kind.name, str(self._base.get("name") or self.resource_id), dependents, self)
        dialog.accepted.connect(self.remove)
        self.dialog = dialog
        dialog.open()

    def remove(self) -> None:
        """Remove it, if it is still as it was read."""
        id_, revision = self.resource_id or "", self._revision
        self._clear()
        self._set_busy(True, "Removing …")
        self.workplace.session.ask(
            lambda client: self._group(client).remove(id_, revision=revision),
            self._removed,
            self._not_removed,
            owner=self,
        )

    def _removed(self, _: None) -> None:
        self._set_busy(False)
        self._clean = self.values
        self.removed.emit(self.kind.name, self.resource_id or "")

    def _not_removed(self, error: Exception) -> None:
        self._set_busy(False)
        if isinstance(error, ChangedMeanwhileError):
            self.message.say(
                Failure(
                    "Somebody else has changed it since you opened it, so it was not removed.",
                    "Look at it as it is now (Revert), then remove it.",
                )
            )
        else:
            self.message.say(failure_of(error))

    # --- small pieces ---------------------------------------------------------------------------------------------

    def _group(self, client: Any) -> Any:
        return getattr(client, self.kind.plural)

    def _failed(self, error: Exception) -> None:
        self._set_busy(False)
        if isinstance(error, NotFoundError):
            self.message.say(Failure("It is not there any more: somebody has removed it."))
        else:
            self.message.say(failure_of(error))

    def _clear(self) -> None:
        self.message.clear()
        self.notice.clear()
        self._status.clear()
        for part in self.parts:
            part.clear()

    def _set_busy(self, busy: bool, status: str = "") -> None:  # noqa: FBT001 - one value, said by the name
        self.busy = busy
        self._status.setText(status)
        self.save_button.setEnabled(not busy)
        self._edited()

    def _edited(self) -> None:
        dirty = self.dirty
        self.revert_button.setEnabled(dirty and not self.busy)
        if dirty != self._was_dirty:
            self._was_dirty = dirty
            self.dirty_changed.emit()
        if dirty and not self.busy:
            self._status.setText("Not saved yet.")

    def _site_changed(self) -> None:
        clean = not self.dirty
        for part in self.parts:
            part.refresh()
        if clean:
            self._clean = self.values
        self.show_state()


def _scrolled(content: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    frame = QWidget()
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(20, 14, 20, 20)
    layout.addWidget(content)
    layout.addStretch()
    area.setWidget(frame)
    frame.setAutoFillBackground(False)
    area.viewport().setAutoFillBackground(False)
    return area


def _after(fields: list[Field], name: str, extra: Field) -> list[Field]:
    """The fields with one more, behind the one named, or at the end."""
    at = next((at for at, field in enumerate(fields) if field.name == name), len(fields) - 1)
    return [*fields[: at + 1], extra, *fields[at + 1 :]]
