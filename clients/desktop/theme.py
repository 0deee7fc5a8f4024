"""How the desktop applications look: one palette for light and one for dark, one style sheet for both.

Text on its ground has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3), what can be operated at least 3:1 (1.4.11), and
whatever has the keyboard's focus says so by a ring. State is never told by colour alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QWidget

Scheme = Literal["system", "light", "dark"]
ARROWS = Path(__file__).parent / "arrows"
TEXT_PT = 10.5
"""Of text: 14 pixels at 96 dots an inch."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What each colour is for."""

    ground: str
    """Behind everything."""
    surface: str
    """Panels, lists, fields."""
    raised: str
    """Buttons and headers."""
    line: str
    """Between panels."""
    edge: str
    """Around what can be operated."""
    text: str
    muted: str
    """Help texts."""
    accent: str
    """The main action, what is selected, the focus."""
    on_accent: str
    selected: str
    """Behind a selected row."""
    good: str
    warning: str
    bad: str
    bad_ground: str
    """Behind a message of what went wrong."""
    warning_ground: str


LIGHT = Colours(
    ground="#f2f4f7",
    surface="#ffffff",
    raised="#e9edf2",
    line="#d3dae3",
    edge="#7d8a9a",
    text="#16202c",
    muted="#4e5b6b",
    accent="#0b62c4",
    on_accent="#ffffff",
    selected="#d6e6fa",
    good="#177245",
    warning="#8a5a00",
    bad="#b3261e",
    bad_ground="#fdecea",
    warning_ground="#fff4dc",
)
DARK = Colours(
    ground="#12171d",
    surface="#1a2129",
    raised="#26303b",
    line="#303c49",
    edge="#76869a",
    text="#e8edf3",
    muted="#a5b2c1",
    accent="#6cb2ff",
    on_accent="#08182b",
    selected="#243d5a",
    good="#5fd19a",
    warning="#f0bd5a",
    bad="#ff8a80",
    bad_ground="#3b1f20",
    warning_ground="#382d17",
)


class Theme(QObject):
    """The appearance of one application. Widgets that paint by themselves ask `colours` and follow `changed`."""

    changed = Signal()

    def __init__(self, application: QApplication, scheme: str = "system") -> None:
        super().__init__(application)
        self._application = application
        self.scheme: Scheme = "system"
        self.colours = LIGHT
        application.setStyle("Fusion")
        application.setFont(_font())
        application.styleHints().colorSchemeChanged.connect(self._system_changed)
        self.choose(scheme)

    @property
    def dark(self) -> bool:
        """Whether it is dark now."""
        return self.colours is DARK

    def choose(self, scheme: str) -> None:
        """Light, dark, or whatever the desktop has."""
        self.scheme = "light" if scheme == "light" else "dark" if scheme == "dark" else "system"
        system_is_dark = self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
        dark = self.scheme == "dark" or (self.scheme == "system" and system_is_dark)
        self.colours = DARK if dark else LIGHT
        self._application.setPalette(palette(self.colours))
        self._application.setStyleSheet(style_sheet(self.colours))
        self.changed.emit()

    def _system_changed(self) -> None:
        if self.scheme == "system":
            self.choose("system")


def colours_of(widget: QWidget) -> Colours:
    """The colours in use, for a widget that paints by itself."""
    return DARK if widget.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT  # noqa: PLR2004 - half of 255


def _font() -> QFont:
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    font.setPointSizeF(TEXT_PT)
    return font


def palette(colours: Colours) -> QPalette:
    """Qt's palette of these colours."""
    made = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, colours.ground),
        (roles.Base, colours.surface),
        (roles.AlternateBase, colours.ground),
        (roles.Button, colours.raised),
        (roles.WindowText, colours.text),
        (roles.Text, colours.text),
        (roles.ButtonText, colours.text),
        (roles.PlaceholderText, colours.muted),
        (roles.ToolTipBase, colours.surface),
        (roles.ToolTipText, colours.text),
        (roles.Highlight, colours.accent),
        (roles.HighlightedText, colours.on_accent),
        (roles.Link, colours.accent),
        (roles.Mid, colours.line),
    ):
        made.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(colours.edge))
    return made


def style_sheet(c: Colours) -> str:
    """The one style sheet. Classes of labels and buttons are the dynamic property `kind`."""
    arrows, name = ARROWS.as_posix(), "dark" if c is DARK else "light"
    return f"""
QWidget {{ font-size: {TEXT_PT}pt; color: {c.text}; }}
QMainWindow, QDialog {{ background: {c.ground}; }}
QToolTip {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.edge}; padding: 4px; }}
QLabel[kind="title"] {{ font-size: 15pt; font-weight: 600; }}
QLabel[kind="section"] {{ font-size: 11.5pt; font-weight: 600; }}
QLabel[kind="help"] {{ color: {c.muted}; font-size: 9.75pt; }}
QLabel[kind="error"] {{ color: {c.bad}; font-size: 9.75pt; }}
QLabel[kind="good"] {{ color: {c.good}; }}
QLabel[kind="fingerprint"] {{ font-family: "DejaVu Sans Mono", monospace; font-size: 9.75pt; }}
QFrame[kind="panel"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: 6px; }}
QFrame[kind="bad"] {{ background: {c.bad_ground}; border: 1px solid {c.bad}; border-radius: 6px; }}
QFrame[kind="warning"] {{ background: {c.warning_ground}; border: 1px solid {c.warning}; border-radius: 6px; }}
QFrame[kind="bar"] {{ background: {c.surface}; border: 0; border-bottom: 1px solid {c.line}; }}
QFrame[kind="foot"] {{ background: {c.surface}; border: 0; border-top: 1px solid {c.line}; }}
QPushButton, QToolButton {{
  background: {c.raised}; border: 1px solid {c.edge}; border-radius: 5px; padding: 5px 12px; min-height: 20px;
}}
QToolButton {{ padding: 5px 9px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {c.accent}; }}
QPushButton:pressed, QToolButton:pressed, QToolButton:checked {{ background: {c.selected}; }}
QPushButton:focus, QToolButton:focus {{ border: 2px solid {c.accent}; padding: 4px 11px; }}
QToolButton:focus {{ padding: 4px 8px; }}
QPushButton:disabled, QToolButton:disabled {{ color: {c.edge}; border-color: {c.line}; }}
QPushButton[kind="main"] {{ background: {c.accent}; border-color: {c.accent}; color: {c.on_accent}; font-weight: 600; }}
QPushButton[kind="main"]:focus {{ border: 2px solid {c.text}; }}
QPushButton[kind="main"]:disabled {{ background: {c.raised}; border-color: {c.line}; color: {c.edge}; }}
QPushButton[kind="danger"] {{ border-color: {c.bad}; color: {c.bad}; }}
QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox, QComboBox, QDateEdit {{
  background: {c.surface}; border: 1px solid {c.edge}; border-radius: 5px; padding: 4px 7px; min-height: 20px;
  selection-background-color: {c.accent}; selection-color: {c.on_accent};
}}
QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QDateEdit:focus {{
  border: 2px solid {c.accent}; padding: 3px 6px;
}}
*[wrong="true"] {{ border: 2px solid {c.bad}; }}
QLineEdit:read-only {{ background: {c.ground}; color: {c.muted}; }}
QComboBox::drop-down, QDateEdit::drop-down {{ border: 0; width: 24px; }}
QComboBox::down-arrow, QDateEdit::down-arrow, QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{
  image: url({arrows}/down-{name}.svg); width: 11px; height: 11px;
}}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url({arrows}/up-{name}.svg); width: 11px; height: 11px; }}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{
  border: 0; width: 22px; background: transparent;
}}
QSpinBox, QDoubleSpinBox {{ padding: 4px 22px 4px 7px; }}
QSpinBox:focus, QDoubleSpinBox:focus {{ padding: 3px 21px 3px 6px; }}
QComboBox QAbstractItemView {{
  background: {c.surface}; border: 1px solid {c.edge}; selection-background-color: {c.selected};
  selection-color: {c.text}; outline: 0;
}}
QCheckBox, QRadioButton {{ spacing: 8px; padding: 3px; border: 2px solid transparent; border-radius: 5px; }}
QCheckBox:focus, QRadioButton:focus {{ border-color: {c.accent}; }}
QCheckBox::indicator, QListView::indicator {{
  width: 14px; height: 14px; background: {c.surface}; border: 1px solid {c.edge}; border-radius: 3px;
}}
QCheckBox::indicator:checked, QListView::indicator:checked {{ image: url({arrows}/check-{name}.svg); }}
QTreeView, QTableView, QListView {{
  background: {c.surface}; alternate-background-color: {c.ground}; border: 1px solid {c.line}; border-radius: 4px;
  selection-background-color: {c.selected}; selection-color: {c.text}; gridline-color: {c.line}; outline: 0;
}}
QTreeView:focus, QTableView:focus, QListView:focus {{ border: 2px solid {c.accent}; }}
QTreeView::item, QListView::item {{ padding: 4px 3px; }}
QTreeView::item:selected, QListView::item:selected, QTableView::item:selected {{
  background: {c.selected}; color: {c.text};
}}
QHeaderView::section {{
  background: {c.raised}; color: {c.text}; border: 0; border-right: 1px solid {c.line};
  border-bottom: 1px solid {c.line}; padding: 5px 7px; font-weight: 600;
}}
QTabWidget::pane {{ border: 1px solid {c.line}; border-radius: 4px; top: -1px; }}
QTabBar::tab {{
  background: transparent; border: 2px solid transparent; border-bottom: 3px solid transparent; padding: 6px 14px;
}}
QTabBar::tab:selected {{ border-bottom-color: {c.accent}; font-weight: 600; }}
QTabBar::tab:hover {{ background: {c.raised}; }}
QTabBar:focus {{ outline: 0; }}
QTabBar::tab:focus {{ border: 2px solid {c.accent}; }}
QGroupBox {{ border: 1px solid {c.line}; border-radius: 6px; margin-top: 11px; padding: 8px 4px 4px 4px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 10px; padding: 0 5px; font-weight: 600; }}
QScrollArea {{ border: 0; background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {c.edge}; border-radius: 4px; min-height: 28px; min-width: 28px; margin: 2px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QSplitter::handle {{ background: {c.line}; }}
QMenu {{ background: {c.surface}; border: 1px solid {c.edge}; padding: 4px; }}
QMenu::item {{ padding: 5px 22px; border-radius: 4px; }}
QMenu::item:selected {{ background: {c.selected}; }}
QMenu::separator {{ height: 1px; background: {c.line}; margin: 4px 8px; }}
QMenuBar {{ background: {c.surface}; border-bottom: 1px solid {c.line}; }}
QMenuBar::item {{ padding: 5px 10px; }}
QMenuBar::item:selected {{ background: {c.selected}; }}
QStatusBar {{ background: {c.surface}; border-top: 1px solid {c.line}; }}
QStatusBar::item {{ border: 0; }}
QProgressBar {{ background: {c.raised}; border: 0; border-radius: 3px; max-height: 6px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}
"""


def kind(widget: QWidget, name: str) -> QWidget:
    """Give a label, button or frame its class in the style sheet."""
    widget.setProperty("kind", name)
    return widget


def mark_wrong(widget: QWidget, wrong: bool) -> None:  # noqa: FBT001 - one value, said by the name
    """Draw a field's edge as wrong, or as usual again."""
    if bool(widget.property("wrong")) != wrong:
        widget.setProperty("wrong", wrong)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
