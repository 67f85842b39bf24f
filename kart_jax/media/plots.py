"""Draw telemetry: one page per lap with map, lap table, speed, controls and g-g diagram.

matplotlib's object interface with the Agg canvas, so that nothing here opens a window or touches
global state.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.media.top_view import asphalt_edges
from kart_jax.telemetry.laps import ChosenLap, Lap, choose_lap, format_time
from kart_jax.telemetry.log import Log
from kart_jax.track.types import Tracks

INK = "#1b1f24"
FAINT = "#c9ced6"
BLUE = "#2563eb"
GREEN = "#15935a"
RED = "#d43c33"

FORMATS = (".png", ".pdf", ".svg")
MAX_LAPS = 9  # rows of the lap table: the last ones
NEEDED = (
    "step",
    "time",
    "x",
    "y",
    "speed",
    "steering",
    "throttle",
    "brake",
    "lateral_g",
    "longitudinal_g",
)


def lap_figure(log: Log, number: int | None = None) -> Figure:
    """Draw one lap on a page.

    Args:
        log: telemetry with at least the channels in `NEEDED`.
        number: which complete lap, from 1; None = the best, or everything where no lap is complete.

    Returns:
        A figure of 16 by 10 inches with its own Agg canvas.

    Raises:
        InputError: a channel or the lap is missing.
    """
    chosen = choose_lap(log, number)
    rows = chosen.rows
    for name in NEEDED:
        rows[name]

    figure = Figure(figsize=(16, 10), layout="constrained")
    FigureCanvasAgg(figure)
    grid = GridSpec(
        4, 3, figure=figure, width_ratios=(1.1, 1.0, 1.0), height_ratios=(1.2, 0.75, 0.75, 1.3)
    )
    draw_map(figure.add_subplot(grid[:3, 0]), rows)
    draw_lap_table(figure.add_subplot(grid[3, 0]), chosen.laps, chosen.lap)

    along, label = _abscissa(chosen)
    speed = figure.add_subplot(grid[0, 1:])
    draw_speed(speed, along, rows)
    draw_pedals(figure.add_subplot(grid[1, 1:], sharex=speed), along, rows)
    draw_steering(figure.add_subplot(grid[2, 1:], sharex=speed), along, rows, label)
    draw_gg(figure.add_subplot(grid[3, 1]), rows)
    draw_g_traces(figure.add_subplot(grid[3, 2]), along, rows, label)

    figure.suptitle(_title(log, chosen.lap), color=INK, fontsize=15, fontweight="bold")
    return figure


def _title(log: Log, lap: Lap | None) -> str:
    """Return the line above the page."""
    name = Path(log.source).name
    if lap is None:
        return f"{name}: {len(log)} steps, no complete lap"
    valid = "" if lap.valid else ", not valid"
    return f"{name}: lap {lap.number}, {format_time(lap.time)}{valid}"


def _abscissa(chosen: ChosenLap) -> tuple[np.ndarray, str]:
    """Return what traces are drawn over: metres of the lap, or seconds where there is no lap."""
    rows = chosen.rows
    if chosen.lap is not None:
        return rows["lap_distance"], "distance along the lap in m"
    return rows["time"] - rows["time"][0], "time in s"


def draw_circuit(axes: Axes, tracks: Tracks, track: int = 0) -> None:
    """Draw the asphalt of a circuit from above, in m, with the start line.

    Args:
        axes: where; whatever is drawn next lies on it.
        tracks: the stack of circuits.
        track: which of them.
    """
    left, right = asphalt_edges(tracks, track)

    # Piece by piece, so that inner and outer edge need no telling apart.
    pieces = np.stack([left, np.roll(left, -1, 0), np.roll(right, -1, 0), right], axis=1)
    axes.add_collection(
        PolyCollection(list(pieces), facecolors=FAINT, edgecolors=FAINT, linewidths=0.5, zorder=0)
    )
    axes.plot(*np.stack([left[0], right[0]], axis=1), color=INK, linewidth=2.0, zorder=0.5)

    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_xlabel("x in m (east)")
    axes.set_ylabel("y in m (north)")


def draw_map(axes: Axes, rows: Log) -> None:
    """Draw the path on the circuit, coloured by speed in km/h."""
    points = np.column_stack([rows["x"], rows["y"]])
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    lines = LineCollection(list(pieces), cmap="turbo", linewidths=3.5, capstyle="round")
    lines.set_array(rows["speed"][:-1])
    axes.add_collection(lines)
    axes.plot(*points[0], "o", color=INK, markersize=8)
    axes.annotate("start", points[0], xytext=(8, 8), textcoords="offset points", color=INK)

    axes.set_aspect("equal")
    axes.margins(0.06)
    axes.autoscale_view()
    axes.set_axis_off()

    axes.figure.colorbar(
        lines, ax=axes, shrink=0.6, location="bottom", pad=0.01, label="speed in km/h"
    )


def draw_lap_table(axes: Axes, laps: list[Lap], chosen: Lap | None) -> None:
    """Draw lap and sector times; the chosen lap is bold, the best of each sector green."""
    axes.set_axis_off()
    if not laps:
        axes.text(0.5, 0.5, "no complete lap", ha="center", va="center", color=INK)
        return

    shown = laps[-MAX_LAPS:]
    width = max(len(lap.sectors) for lap in shown)
    head = ["lap", "time", *(f"sector {k + 1}" for k in range(width))]
    cells = [
        [str(lap.number) + ("" if lap.valid else " ×"), format_time(lap.time)]
        + [format_time(sector) for sector in lap.sectors]
        + [""] * (width - len(lap.sectors))
        for lap in shown
    ]
    table = axes.table(cellText=cells, colLabels=head, cellLoc="center", loc="upper center")
    table.auto_set_font_size(False)
    table.set_fontsize(11)

    best = [min(lap.sectors[k] for lap in shown if len(lap.sectors) > k) for k in range(width)]
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor(FAINT)
        if not row:
            continue
        lap = shown[row - 1]
        if lap is chosen:
            cell.get_text().set_fontweight("bold")
        sector = column - 2
        if 0 <= sector < len(lap.sectors) and lap.sectors[sector] == best[sector]:
            cell.get_text().set_color(GREEN)


def _finish(axes: Axes, label: str, grid: bool = True) -> None:
    """Label the ordinate and give a trace the look of all."""
    axes.set_ylabel(label)
    if grid:
        axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.0)


def draw_speed(axes: Axes, along: np.ndarray, rows: Log) -> None:
    """Draw speed over the lap, with its lowest and highest value."""
    speed = rows["speed"]
    axes.plot(along, speed, color=BLUE, linewidth=1.8)

    for index, side in ((int(np.argmin(speed)), -14), (int(np.argmax(speed)), 6)):
        axes.annotate(
            f"{speed[index]:.0f}",
            (float(along[index]), float(speed[index])),
            xytext=(0, side),
            textcoords="offset points",
            ha="center",
            color=INK,
        )

    axes.margins(y=0.15)
    _finish(axes, "speed in km/h")


def draw_pedals(axes: Axes, along: np.ndarray, rows: Log) -> None:
    """Draw the throttle in green and the brake in red."""
    axes.fill_between(along, rows["throttle"], color=GREEN, alpha=0.25, linewidth=0)
    axes.plot(along, rows["throttle"], color=GREEN, linewidth=1.2, label="throttle")
    axes.plot(along, rows["brake"], color=RED, linewidth=1.4, label="brake")
    axes.set_ylim(-4, 104)
    axes.legend(loc="upper right", ncols=2, frameon=True, framealpha=0.9)
    _finish(axes, "pedals in %")


def draw_steering(axes: Axes, along: np.ndarray, rows: Log, label: str) -> None:
    """Draw the steering over the lap, left up."""
    axes.axhline(0.0, color=FAINT)
    axes.plot(along, rows["steering"], color=INK, linewidth=1.4)
    axes.set_xlabel(label)
    _finish(axes, "steering in deg\n(left up)")


def draw_gg(axes: Axes, rows: Log) -> None:
    """Draw the g-g diagram, right-hand bends to the right, as a driver feels the kart turn."""
    lateral = -rows["lateral_g"]
    longitudinal = rows["longitudinal_g"]
    most = float(np.percentile(np.nan_to_num(np.hypot(lateral, longitudinal)), 99.5))
    reach = max(1.0, most * 1.15)

    angle = np.linspace(0.0, 2.0 * np.pi, 90)
    for radius in np.arange(0.5, reach, 0.5):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=FAINT, linewidth=0.7)
    axes.scatter(lateral, longitudinal, s=7, c=rows["speed"], cmap="turbo", linewidths=0)

    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xlabel("lateral in g (left turn · right turn)")
    _finish(axes, "longitudinal in g\n(braking · speeding up)", grid=False)


def draw_g_traces(axes: Axes, along: np.ndarray, rows: Log, label: str) -> None:
    """Draw lateral and longitudinal g over the lap."""
    axes.axhline(0.0, color=FAINT)
    axes.plot(along, rows["lateral_g"], color=BLUE, linewidth=1.2, label="lateral (left up)")
    axes.plot(along, rows["longitudinal_g"], color=RED, linewidth=1.2, label="longitudinal")
    axes.legend(loc="upper right", ncols=2, frameon=True, framealpha=0.9)
    axes.margins(y=0.25)
    axes.set_xlabel(label)
    _finish(axes, "acceleration in g")


def save_figure(figure: Figure, path: str | Path, dpi: int = 100) -> None:
    """Write a figure; the ending of the path chooses PNG, PDF or SVG.

    Raises:
        InputError: another ending, or the path cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            f"{path}: the ending is {ending or 'missing'}; allowed are {', '.join(FORMATS)}"
        )
    with replacing(path) as part:
        figure.savefig(part, format=ending[1:], dpi=dpi, facecolor="white")
