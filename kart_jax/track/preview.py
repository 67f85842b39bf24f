"""A picture of a circuit as the simulator sees it: map above, curvature and widths below.

Host side.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.track import field
from kart_jax.track.derive import Circuit
from kart_jax.track.line import CentreLine
from kart_jax.track.types import SampleColumn

GRASS = "#cfe3c4"
ASPHALT = "#5a5d63"
MAX_CURVATURE = 0.12  # 1/m, where the colour scale ends: radius 8 m


def write_preview(circuit: Circuit, path: str | os.PathLike[str]) -> Path:
    """Write the preview of a circuit as a PNG.

    Args:
        circuit: from `derive.load_circuit`.
        path: the file to write; it ends in .png.

    Returns:
        The path written.

    Raises:
        InputError: the path does not end in .png or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(
            f"preview is {path}; only .png is written, so give a name that ends in .png"
        )
    figure = draw_preview(circuit)
    with replacing(path) as part:
        FigureCanvasAgg(figure).print_figure(part, dpi=110, format="png")
    return path


def draw_preview(circuit: Circuit) -> Figure:
    """Draw the preview as a figure; nothing global is touched."""
    line = circuit.line
    stretch = 9.5 * np.ptp(line.y) / np.ptp(line.x)
    tall = float(np.clip(stretch, 4.0, 10.0)) + 1.0  # inches of the map
    figure = Figure(figsize=(11, tall + 3.0), layout="constrained")
    plan, profile = figure.subplots(2, 1, height_ratios=(tall, 2.5))

    rows = field.sample_rows(line, field.rubbered_line(line), field.Asphalt(line))
    _draw_ground(plan, line, rows)
    _draw_line(figure, plan, line)
    _draw_gates(plan, circuit)
    _draw_start(plan, line)
    plan.set_aspect("equal")
    plan.set_xlabel("x in m")
    plan.set_ylabel("y in m")
    plan.set_title(_title(circuit))
    figure.legend(
        *plan.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=7,
        fontsize=8,
        facecolor="#a9adb3",
    )

    _draw_profile(profile, circuit)
    return figure


def _title(circuit: Circuit) -> str:
    """Return name, title and figures of a circuit, for the head of the map."""
    line = circuit.line
    full = line.half_left + line.half_right
    heading = f"{circuit.name}: {circuit.title}\n" if circuit.title else f"{circuit.name}: "
    return (
        f"{heading}{line.length:.0f} m, {full.min():.1f} to {full.max():.1f} m wide, "
        f"tightest radius {1 / np.abs(line.curvature).max():.1f} m, {len(circuit.gates)} gates"
    )


def _draw_ground(plan: Axes, line: CentreLine, rows: np.ndarray) -> None:
    """Draw grass up to the barriers, asphalt, kerbs, barriers and the rubbered line."""
    left = rows[:, SampleColumn.HALF_LEFT]
    right = -rows[:, SampleColumn.HALF_RIGHT]
    outer = [
        _curve_beside(line, rows[:, SampleColumn.BARRIER_LEFT]),
        _curve_beside(line, -rows[:, SampleColumn.BARRIER_RIGHT]),
    ]
    inner = [_curve_beside(line, left), _curve_beside(line, right)]
    plan.set_facecolor("#f4f4ee")
    _draw_band(plan, outer[0], outer[1], GRASS)
    _draw_band(plan, inner[0], inner[1], ASPHALT)
    for number, edge in enumerate(outer):
        plan.plot(*edge.T, color="#30343a", lw=0.8, label="barrier" if number == 0 else None)

    for column, edge, out in (
        (SampleColumn.KERB_LEFT, left, 1.0),
        (SampleColumn.KERB_RIGHT, right, -1.0),
    ):
        curve = _curve_beside(line, edge + 0.4 * out)
        shown = np.where((rows[:, column] > 0.5)[:, None], curve[:-1], np.nan)
        plan.plot(*shown.T, color="#c8342c", lw=1.8, label="kerb" if out > 0 else None)

    rubber = _curve_beside(line, rows[:, SampleColumn.RUBBER])
    plan.plot(*rubber.T, color="#26282c", lw=1.2, alpha=0.7, label="rubber")


def _draw_band(plan: Axes, left: np.ndarray, right: np.ndarray, colour: str) -> None:
    """Fill between two closed curves (N + 1, 2), each quadrilateral by itself.

    So no bend turns inside out.
    """
    quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
    plan.add_collection(
        PolyCollection(list(quads), facecolors=colour, edgecolors=colour, linewidths=0.6)
    )


def _curve_beside(line: CentreLine, n: np.ndarray) -> np.ndarray:
    """Return the closed curve (N + 1, 2) m at offset `n` (N,) from the centre line."""
    curve = np.column_stack(field.points_beside(line, n[:, None]))
    return np.vstack([curve, curve[:1]])


def _draw_line(figure: Figure, plan: Axes, line: CentreLine) -> None:
    """Draw the centre line coloured by curvature."""
    curve = _curve_beside(line, np.zeros(line.count))
    pieces = LineCollection(
        list(np.stack([curve[:-1], curve[1:]], axis=1)), cmap="coolwarm", linewidths=2.2
    )
    pieces.set_array(line.curvature)
    pieces.set_clim(-MAX_CURVATURE, MAX_CURVATURE)
    plan.add_collection(pieces)
    figure.colorbar(
        pieces,
        ax=plan,
        label="curvature in 1/m (left-hand bends positive)",
        shrink=0.7,
        extend="both",
    )


def _draw_gates(plan: Axes, circuit: Circuit) -> None:
    """Draw the gates and the sector lines."""
    line = circuit.line
    for number, s in enumerate(circuit.gates[1:]):
        ends = _line_across(line, s)
        plan.plot(*ends.T, color="white", lw=1.0, label="gate" if number == 0 else None)
    for s, number in zip(circuit.sectors[1:], (2, 3), strict=True):
        ends = _line_across(line, s, 2.0)
        plan.plot(*ends.T, color="#1f6fd6", lw=2.5, label=f"sector {number}")


def _draw_start(plan: Axes, line: CentreLine) -> None:
    """Draw the start line with the driving direction, and the start grid."""
    start = _line_across(line, 0.0, 2.0)
    plan.plot(*start.T, color="#ffb300", lw=3.5, label="start line")
    ahead = min(line.count // 10, round(25 / line.spacing))
    plan.annotate(
        "",
        (line.x[ahead], line.y[ahead]),
        (line.x[0], line.y[0]),
        arrowprops={"arrowstyle": "-|>", "color": "#ffb300", "lw": 2.5, "mutation_scale": 22},
    )

    s, n = field.start_grid(line)
    at = np.mod(np.round(s / line.spacing).astype(int), line.count)
    x = line.x[at] - np.sin(line.heading[at]) * n
    y = line.y[at] + np.cos(line.heading[at]) * n
    plan.plot(x, y, "s", color="#ffe08a", ms=2)


def _line_across(line: CentreLine, s: float, past: float = 0.0) -> np.ndarray:
    """Return the ends (2, 2) m of a line across the track at `s`, `past` metres over the edges."""
    at = round(s / line.spacing) % line.count
    n = np.array([line.half_left[at] + past, -line.half_right[at] - past])
    return np.column_stack(
        [line.x[at] - np.sin(line.heading[at]) * n, line.y[at] + np.cos(line.heading[at]) * n]
    )


def _draw_profile(profile: Axes, circuit: Circuit) -> None:
    """Draw curvature and half-widths over arc length."""
    line = circuit.line
    s = np.arange(line.count) * line.spacing
    profile.plot(s, line.curvature, color="#b23a48", lw=1.0)
    profile.axhline(0.0, color="0.6", lw=0.6)
    profile.set_ylabel("curvature in 1/m", color="#b23a48")
    profile.set_xlabel("distance from the start line in m")
    profile.set_xlim(0.0, line.length)
    for gate in circuit.gates:
        profile.axvline(gate, color="0.85", lw=0.6, zorder=0)
    for sector in circuit.sectors[1:]:
        profile.axvline(sector, color="#1f6fd6", lw=1.4, zorder=0)

    widths = profile.twinx()
    widths.plot(s, line.half_left, color="#2a7f62", lw=1.0, label="to the left edge")
    widths.plot(s, -line.half_right, color="#7a5ab5", lw=1.0, label="to the right edge")
    bound = 1.3 * float(max(line.half_left.max(), line.half_right.max()))
    widths.set_ylim(-bound, bound)
    widths.set_ylabel("offset of the edge in m")
    widths.legend(loc="upper right", fontsize=8)
