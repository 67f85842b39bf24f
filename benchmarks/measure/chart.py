"""The plot of a benchmark: lines over a logarithmic axis, or bars."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .benchmark import Plot
from .table import Row
from .timing import Spread


def draw(plot: Plot, rows: Sequence[Row], title: str, path: Path) -> None:
    """Write the figure of the rows that hold what `plot` shows."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()

    shown = [row for row in rows if row.get(plot.y) is not None]
    if plot.only is not None:
        name, value = plot.only
        shown = [row for row in shown if row[name] == value]
    if any(isinstance(row[plot.x], str) for row in shown):
        _draw_bars(axes, plot, shown)
    else:
        _draw_lines(axes, plot, shown)

    axes.grid(True, alpha=0.3)
    axes.set_title(title, fontsize=8, wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _median(value: Spread | float) -> float:
    """Return the median of a figure."""
    return value.median if isinstance(value, Spread) else value


def _whiskers(values: Sequence[Spread | float]) -> list[list[float]]:
    """Return how far the lowest and the highest are from the median of each figure."""
    below = [v.median - v.low if isinstance(v, Spread) else 0.0 for v in values]
    above = [v.high - v.median if isinstance(v, Spread) else 0.0 for v in values]
    return [below, above]


def _draw_lines(axes: Axes, plot: Plot, rows: Sequence[Row]) -> None:
    """Draw one line for each group of rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        parts = [
            f"{key} {row[key]}" if isinstance(row[key], int) else str(row[key]) for key in plot.by
        ]
        groups.setdefault(", ".join(parts), []).append(row)

    for name, group in groups.items():
        values = [row[plot.y] for row in group]
        x = [row[plot.x] for row in group]
        y = [_median(value) for value in values]
        axes.errorbar(x, y, yerr=_whiskers(values), marker="o", capsize=3, label=name)

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(plot.x.replace("_", " "))
    axes.set_ylabel(plot.label)
    if plot.by:
        axes.legend(fontsize=8)


def _draw_bars(axes: Axes, plot: Plot, rows: Sequence[Row]) -> None:
    """Draw one bar for each row, the first on top."""
    names = [", ".join(str(row[key]) for key in (plot.x, *plot.by)) for row in rows]
    values = [row[plot.y] for row in rows]
    lengths = [_median(value) for value in values]

    axes.barh(range(len(rows)), lengths, xerr=_whiskers(values), capsize=3)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(plot.label)
