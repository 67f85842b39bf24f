"""From a `Line` to the device arrays of `Tracks`: sample rows, barriers, kerbs and the cell index.

Host side; the result of one circuit has T = 1. `stack.stack` joins circuits.
"""

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from scipy.spatial import cKDTree

from kart_jax.track.line import Line
from kart_jax.track.types import Column, Tracks

RUN_OFF = 6.0  # m of grass between the asphalt edge and the barrier, where there is room
MARGIN = 4.0  # m of plane kept around the barriers
KERB_CURVATURE = 1 / 60.0  # 1/m, bends tighter than this have a kerb


def barrier_offsets(line: Line, side: int, tree: cKDTree, run_off: float = RUN_OFF) -> np.ndarray:
    """Distance from the centre line to the barrier on one side (+1 left, -1 right), (N,) m.

    The barrier stands `run_off` metres past the edge, or closer where points further out belong to another
    part of the circuit (their nearest centre-line sample is a different stretch).
    """
    half = line.half_left if side > 0 else line.half_right
    steps = np.arange(0.0, run_off + 0.25, 0.25)
    offset = half[:, None] + steps
    nx, ny = -np.sin(line.heading) * side, np.cos(line.heading) * side
    points = np.stack([line.x[:, None] + nx[:, None] * offset, line.y[:, None] + ny[:, None] * offset], axis=-1)
    distance, _ = tree.query(points, workers=-1)
    own = distance > offset - 0.05
    reach = np.where(own.all(axis=1), len(steps) - 1, np.argmin(own, axis=1) - 1)
    free = half + np.where(own.all(axis=1), run_off, np.maximum(steps[np.maximum(reach, 0)] - 0.5, 0.25))
    return gaussian_filter1d(minimum_filter1d(free, 5, mode="wrap"), 1.5, mode="wrap")


def kerbs(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Kerb presence 0..1 outside the left and right edge, (N,) each: inside of bends, and outside at the exit."""
    bend = gaussian_filter1d(line.curvature, 3.0 / line.spacing, mode="wrap")
    left, right = (bend > KERB_CURVATURE).astype(float), (bend < -KERB_CURVATURE).astype(float)
    shift = round(12.0 / line.spacing)
    exits = [np.maximum(a, np.roll(b, shift)) for a, b in ((left, right), (right, left))]
    return tuple(gaussian_filter1d(e, 1.0 / line.spacing, mode="wrap") for e in exits)  # type: ignore[return-value]


def sample_rows(line: Line, rubber: np.ndarray | None = None) -> np.ndarray:
    """The (N, 12) rows of `Tracks.samples`; `rubber` is the offset (N,) m of the rubbered line, default 0."""
    tree = cKDTree(np.column_stack([line.x, line.y]))
    rows = np.zeros((line.count, len(Column)))
    rows[:, Column.X], rows[:, Column.Y] = line.x, line.y
    rows[:, Column.TX], rows[:, Column.TY] = np.cos(line.heading), np.sin(line.heading)
    rows[:, Column.CURVATURE] = line.curvature
    rows[:, Column.HALF_LEFT], rows[:, Column.HALF_RIGHT] = line.half_left, line.half_right
    rows[:, Column.BARRIER_LEFT] = barrier_offsets(line, +1, tree)
    rows[:, Column.BARRIER_RIGHT] = barrier_offsets(line, -1, tree)
    rows[:, Column.KERB_LEFT], rows[:, Column.KERB_RIGHT] = kerbs(line)
    rows[:, Column.RUBBER] = 0.0 if rubber is None else rubber
    return rows


def cell_index(rows: np.ndarray, cell_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Nearest-sample index per cell (H, W) uint16 and the south-west corner (2,) m of the grid."""
    centre = rows[:, [Column.X, Column.Y]]
    reach = float(rows[:, [Column.BARRIER_LEFT, Column.BARRIER_RIGHT]].max()) + MARGIN
    low, high = centre.min(axis=0) - reach, centre.max(axis=0) + reach
    width, height = np.ceil((high - low) / cell_size).astype(int)
    cx = low[0] + (np.arange(width) + 0.5) * cell_size
    cy = low[1] + (np.arange(height) + 0.5) * cell_size
    plane = np.stack(np.meshgrid(cx, cy), axis=-1)
    _, index = cKDTree(centre).query(plane, workers=-1)
    return index.astype(np.uint16), low


def build(
    line: Line,
    gates: np.ndarray | None = None,
    sectors: np.ndarray | None = None,
    cell_size: float = 1.0,
    rubber: np.ndarray | None = None,
) -> Tracks:
    """Device arrays (T = 1) of one circuit.

    Args:
        line: the centre line with half-widths.
        gates: (G,) m, ascending arc lengths, first 0; default one about every 40 m.
        sectors: (3,) m, ascending, first 0; default thirds.
        cell_size: m, side of a cell of the index.
        rubber: (N,) m, offset of the rubbered line.
    """
    rows = sample_rows(line, rubber)
    cells, origin = cell_index(rows, cell_size)
    if gates is None:
        gates = np.linspace(0.0, line.length, max(4, round(line.length / 40.0)), endpoint=False)
    if sectors is None:
        sectors = np.arange(3) * (line.length / 3)
    slots = np.arange(8)
    return Tracks(
        samples=jnp.asarray(rows[None], jnp.float32),
        count=jnp.asarray([line.count], jnp.int32),
        spacing=jnp.asarray([line.spacing], jnp.float32),
        length=jnp.asarray([line.length], jnp.float32),
        cells=jnp.asarray(cells[None], jnp.uint16),
        origin=jnp.asarray(origin[None], jnp.float32),
        gates=jnp.asarray(gates[None], jnp.float32),
        gate_count=jnp.asarray([len(gates)], jnp.int32),
        sectors=jnp.asarray(sectors[None], jnp.float32),
        grid_s=jnp.asarray((line.length - 6.0 - 4.0 * slots)[None], jnp.float32),
        grid_n=jnp.asarray(np.where(slots % 2 == 0, 1.2, -1.2)[None], jnp.float32),
        cell_size=cell_size,
    )
