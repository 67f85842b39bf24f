"""A benchmark: its rows, the columns they are shown in, the plot and what follows from them."""

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .table import Row, TableColumn


@dataclasses.dataclass(frozen=True)
class Plot:
    """Lines over a logarithmic axis, or bars where `x` holds words."""

    x: str
    """Entry of a row along the axis."""
    y: str
    """Figure that is drawn; a `Spread` gets a bar from lowest to highest."""
    label: str
    """Of the figure, with its unit."""
    by: tuple[str, ...] = ()
    """Entries that tell one line from another."""
    only: tuple[str, Any] | None = None
    """Entry and value of the rows that are drawn; None = all rows."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What `report.run` needs to know of a script."""

    name: str
    columns: tuple[TableColumn, ...]
    rows: Callable[[argparse.Namespace], Iterator[Row]]
    """Measure; each row is shown as soon as it is there."""
    plot: Plot | None = None
    conclude: Callable[[list[Row]], Sequence[str]] = lambda rows: ()
    """Sentences below the table."""
