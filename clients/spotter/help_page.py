"""The page of keyboard shortcuts and of what the mouse does."""

from html import escape
from itertools import groupby

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from clients.desktop.theme import colours_of
from clients.desktop.widgets import named
from clients.spotter.keys import KEYS

MOUSE = (
    ("Drag a camera from the list to a cell", "Show it there"),
    ("Drag one cell onto another", "Exchange them"),
    ("Double click a cell", "Enlarge it, or show all again"),
    ("Click on the timeline", "Go to that moment, in all cells of the tab"),
    ("Drag the timeline", "Look at another time"),
    ("Turn the wheel over the timeline", "See more or less time"),
    ("Enter, Space in the alarm list", "Show the alarm, acknowledge it"),
    ("Shift and drag on the timeline", "Mark a stretch for a clip"),
)


def shown_keys(keys: str) -> str:
    """Keys as keyboards have them."""
    return {"Return": "Enter", "Delete": "Del"}.get(keys, keys)


def help_html(line: str) -> str:
    """The page; `line` is the colour of its lines."""
    style = f'style="border-bottom: 1px solid {line}; padding: 3px 18px 3px 0"'

    def table(title: str, rows: list[tuple[str, str]]) -> str:
        body = "".join(
            f"<tr><td {style}><b>{escape(left)}</b></td><td {style}>{escape(right)}</td></tr>" for left, right in rows
        )
        return f"<h3>{escape(title)}</h3><table cellspacing='0'>{body}</table>"

    groups = groupby(KEYS, key=lambda each: each.where)
    tables = [table(where, [(shown_keys(each.keys), each.does) for each in keys]) for where, keys in groups]
    return "".join([*tables, table("Mouse", list(MOUSE))])


class HelpPage(QDialog):
    """Shows the table of keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        self.resize(560, 680)
        self.text = named(QTextBrowser(), "Keyboard and mouse")
        self.text.setHtml(help_html(colours_of(self).line))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
