"""A table of rows that can be sorted, filtered and read by a screen reader."""

from collections.abc import Iterable, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from clients.desktop.widgets import named

ROW_HEIGHT = 30


def make_table(name: str, headings: Sequence[str], widths: Sequence[int]) -> QTableWidget:
    """An empty table; the last column takes what is left."""
    table = named(QTableWidget(0, len(headings)), name)
    table.setHorizontalHeaderLabels(list(headings))
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    header = table.horizontalHeader()
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setStretchLastSection(True)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    header.setHighlightSections(False)
    for column, width in enumerate(widths):
        table.setColumnWidth(column, width)
    return table


def fill_table(table: QTableWidget, rows: Iterable[tuple[Any, Sequence[str], QIcon | None]]) -> None:
    """Show these rows: what stands behind each, its texts, and a sign before the first."""
    chosen = selected(table)
    listed = list(rows)
    table.setRowCount(len(listed))
    for at, (behind, texts, icon) in enumerate(listed):
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if column == 0:
                item.setData(Qt.ItemDataRole.UserRole, behind)
                if icon is not None:
                    item.setIcon(icon)
            table.setItem(at, column, item)
        if behind is not None and behind == chosen:
            table.selectRow(at)


def selected(table: QTableWidget) -> Any:
    """What stands behind the selected row."""
    row = table.currentRow()
    item = table.item(row, 0) if row >= 0 else None
    return item.data(Qt.ItemDataRole.UserRole) if item is not None else None
