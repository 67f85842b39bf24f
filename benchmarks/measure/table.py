"""The table on the screen: rows of figures, and columns that say how to show them.

A row is a dictionary. A figure in it is a number or a `timing.Spread`. What could not be measured
is absent, with the reason under "note".
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .timing import Spread

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """One column of a table."""

    head: str
    show: Callable[[Row], str]
    width: int
    """Characters that its cells take at least: a row is shown before the others are known."""
    left: bool = False

    def fit(self, cell: str) -> str:
        """Return a cell as wide as the others."""
        width = max(len(self.head), self.width)
        return cell.ljust(width) if self.left else cell.rjust(width)


def text(head: str, name: str, width: int) -> TableColumn:
    """Return a column that shows the entry `name` as it is."""
    return TableColumn(head, lambda row: str(row.get(name, "-")), width, left=True)


def number(head: str, name: str, form: str = "{:,.0f}", scale: float = 1.0) -> TableColumn:
    """Return a column that shows the entry `name`, or its median, times `scale`."""

    def show(row: Row) -> str:
        value = row.get(name)
        value = value.median if isinstance(value, Spread) else value
        return "-" if value is None else form.format(value * scale)

    return TableColumn(head, show, 7)


def extent(head: str, name: str, form: str = "{:,.0f}", scale: float = 1.0) -> TableColumn:
    """Return a column that shows the lowest and the highest of the spread `name`, or the note."""

    def show(row: Row) -> str:
        value = row.get(name)
        if not isinstance(value, Spread):
            return row.get("note", "-")
        return f"{form.format(value.low * scale)} .. {form.format(value.high * scale)}"

    return TableColumn(head, show, 22)


def markdown_line(cells: Sequence[str], columns: Sequence[TableColumn]) -> str:
    """Return one line of a markdown table."""
    fitted = [column.fit(cell) for cell, column in zip(cells, columns, strict=True)]
    return f"| {' | '.join(fitted)} |"
