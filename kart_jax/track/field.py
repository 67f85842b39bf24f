"""From a `CentreLine` to the device arrays of `Tracks`: samples, barriers, kerbs, cell index.

Host side; the result of one circuit has T = 1. `stack.stack` joins circuits.
"""

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from scipy.spatial import KDTree

from kart_jax.errors import InputError
from kart_jax.track.line import CentreLine
from kart_jax.track.types import SLOPES, SampleColumn, Tracks

CELL_SIZE = 1.0  # m, side of a cell of the index
MAX_SAMPLES = 2**16  # the cell index is uint16
BLOCK = 8  # cells a side of the blocks that are looked up first
MARGIN = 4.0  # m of plane kept around the barriers

RUN_OFF = 6.0  # m of grass between the asphalt edge and the barrier, where there is room
MIN_RUN_OFF = 0.25  # m, the same where another part of the track leaves no more room
# m between a barrier and the line half-way to another part of the track: a cell's half diagonal
# + 0.2
HALF_WAY_CLEARANCE = 0.9

KERB_CURVATURE = 1 / 60.0  # 1/m, bends tighter than this have a kerb
EXIT_KERB = 12.0  # m of kerb on the outside where a bend ends
KERB_TAPER = 1.6  # m, standard deviation of the curve by which a kerb begins and ends

GATE_SPACING = 40.0  # m, about, by default
MIN_DEFAULT_GATES = 4
GRID_SLOTS = 20


class Asphalt:
    """The asphalt as a cloud of points about a metre apart: who owns a point of the plane.

    Each point knows its sample. A point of the plane belongs to the sample whose asphalt is
    nearest, not whose centre line is, so that a wide and a narrow stretch side by side each keep
    their own asphalt.
    """

    def __init__(self, line: CentreLine, step: float = 1.0) -> None:
        """Fill the asphalt of `line` with points `step` metres apart across the track."""
        lanes = max(2, int(np.ceil((line.half_left + line.half_right).max() / step))) + 1
        across = np.linspace(0.0, 1.0, lanes)
        n = -line.half_right[:, None] + across * (line.half_left + line.half_right)[:, None]
        points = np.stack(points_beside(line, n), axis=-1)
        self.tree = KDTree(points.reshape(-1, 2), balanced_tree=False, compact_nodes=False)
        self.lanes = lanes

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distance in m to and sample index of the nearest asphalt, for points (..., 2)."""
        distance, index = self.tree.query(points, workers=-1)
        return np.asarray(distance), np.asarray(index) // self.lanes


def points_beside(line: CentreLine, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return world x, y (N, M) m of offsets `n` (N, M) m from each sample, positive to the left."""
    x = line.x[:, None] - np.sin(line.heading)[:, None] * n
    y = line.y[:, None] + np.cos(line.heading)[:, None] * n
    return x, y


def barrier_offsets(
    line: CentreLine, side: int, asphalt: Asphalt, run_off: float = RUN_OFF
) -> np.ndarray:
    """Return the distance (N,) m from the centre line to the barrier on one side.

    The barrier stands `run_off` metres past the edge, or closer where points further out are nearer
    to another part of the circuit, or past the centre of the bend: there it stays
    `HALF_WAY_CLEARANCE` metres clear of the half-way line.

    Args:
        line: the circuit.
        side: +1 left, -1 right.
        asphalt: of `line`.
        run_off: m, grass between edge and barrier.
    """
    half = line.half_left if side > 0 else line.half_right
    steps = np.arange(0.0, run_off + HALF_WAY_CLEARANCE + 0.25, 0.25)
    points = np.stack(points_beside(line, side * (half[:, None] + steps)), axis=-1)
    distance, _ = asphalt.nearest(points)
    own = distance > steps - 0.1
    free = np.where(own.all(axis=1), steps[-1], steps[np.argmin(own, axis=1)] - 0.25)
    free = np.clip(free - HALF_WAY_CLEARANCE, MIN_RUN_OFF, run_off)

    # The narrowest place within 3 m counts, so that smoothing never moves a barrier past the
    # half-way line.
    reach = max(1, round(3.0 / line.spacing))
    free = minimum_filter1d(free, 2 * reach + 1, mode="wrap")
    return half + gaussian_filter1d(free, reach / 2, mode="wrap", truncate=2.0)


def kerb_presence(line: CentreLine) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of a kerb, 0..1, lies outside the left and the right edge, (N,) each.

    Kerbs lie on the inside of bends, and on the outside where they end.
    """
    bend = gaussian_filter1d(line.curvature, 3.0 / line.spacing, mode="wrap")
    to_left, to_right = bend > KERB_CURVATURE, bend < -KERB_CURVATURE
    shift = max(1, round(EXIT_KERB / line.spacing))
    left = to_left | (np.roll(to_right, shift) & ~to_right)
    right = to_right | (np.roll(to_left, shift) & ~to_left)
    blur = KERB_TAPER / line.spacing
    return (
        gaussian_filter1d(left * 1.0, blur, mode="wrap"),
        gaussian_filter1d(right * 1.0, blur, mode="wrap"),
    )


def rubbered_line(line: CentreLine) -> np.ndarray:
    """Return a plausible middle (N,) m of the rubbered line.

    It lies inside the bends and drifts back between them: the offset is the bend's curvature,
    smoothed over 15 m and saturated, times the room to the inner edge less 0.9 m for half a kart.
    It is for the eye; drivers compute a racing line of their own.
    """
    bend = np.tanh(40.0 * gaussian_filter1d(line.curvature, 15.0 / line.spacing, mode="wrap"))
    room = np.maximum(np.where(bend > 0, line.half_left, line.half_right) - 0.9, 0.0)
    return gaussian_filter1d(bend * room, 5.0 / line.spacing, mode="wrap")


def sample_rows(line: CentreLine, rubber: np.ndarray, asphalt: Asphalt) -> np.ndarray:
    """Return the (N, 20) rows of `Tracks.samples`.

    Args:
        line: the circuit.
        rubber: (N,) m, offset of the rubbered line.
        asphalt: of `line`.
    """
    kerb_left, kerb_right = kerb_presence(line)
    values = {
        SampleColumn.X: line.x,
        SampleColumn.Y: line.y,
        SampleColumn.TX: np.cos(line.heading),
        SampleColumn.TY: np.sin(line.heading),
        SampleColumn.CURVATURE: line.curvature,
        SampleColumn.HALF_LEFT: line.half_left,
        SampleColumn.HALF_RIGHT: line.half_right,
        SampleColumn.BARRIER_LEFT: barrier_offsets(line, +1, asphalt),
        SampleColumn.BARRIER_RIGHT: barrier_offsets(line, -1, asphalt),
        SampleColumn.KERB_LEFT: kerb_left,
        SampleColumn.KERB_RIGHT: kerb_right,
        SampleColumn.RUBBER: rubber,
    }

    rows = np.zeros((line.count, len(SampleColumn)))
    for column, value in values.items():
        rows[:, column] = value
    for column, slope in SLOPES.items():
        rows[:, slope] = (np.roll(rows[:, column], -1) - np.roll(rows[:, column], 1)) / (
            2.0 * line.spacing
        )
    return rows


def cell_index(
    rows: np.ndarray, asphalt: Asphalt, cell_size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest sample (H, W) uint16 of each cell, and the grid's south-west corner.

    The corner is (2,) m. Blocks of cells that lie wholly behind the barriers share the answer for
    their middle: nothing needs better.
    """
    barriers = rows[:, [SampleColumn.BARRIER_LEFT, SampleColumn.BARRIER_RIGHT]]
    reach = float(barriers.max()) + MARGIN
    centre = rows[:, [SampleColumn.X, SampleColumn.Y]]
    low = centre.min(axis=0) - reach
    high = centre.max(axis=0) + reach

    blocks = np.ceil((high - low) / (BLOCK * cell_size)).astype(int)
    numbers = np.stack(np.meshgrid(*map(np.arange, blocks)), axis=-1)
    middles = low + (numbers + 0.5) * BLOCK * cell_size
    distance, index = asphalt.nearest(middles)
    cells = np.repeat(np.repeat(index.astype(np.uint16), BLOCK, axis=0), BLOCK, axis=1)

    row, column = np.nonzero(distance < RUN_OFF + MARGIN + BLOCK * cell_size)
    inner = np.arange(BLOCK)
    row = (row[:, None, None] * BLOCK + inner[:, None]) + 0 * inner
    column = (column[:, None, None] * BLOCK + inner) + 0 * inner[:, None]
    near = low + (np.stack([column, row], axis=-1) + 0.5) * cell_size
    cells[row, column] = asphalt.nearest(near)[1]
    return cells, low


def default_gates(line: CentreLine) -> np.ndarray:
    """Return gates (G,) m about every `GATE_SPACING`, the first on the start line."""
    count = max(MIN_DEFAULT_GATES, round(line.length / GATE_SPACING))
    return np.linspace(0.0, line.length, count, endpoint=False)


def default_sectors(line: CentreLine) -> np.ndarray:
    """Return the starts (3,) m of three sectors of equal length."""
    return np.arange(3) * (line.length / 3)


def start_grid(line: CentreLine) -> tuple[np.ndarray, np.ndarray]:
    """Return arc length and offset (P,) m of the start-grid slots.

    They are staggered, the first 6 m before the line on the left.
    """
    slots = np.arange(GRID_SLOTS)
    s = line.length - 6.0 - 4.0 * slots
    at = np.mod(np.round(s / line.spacing).astype(int), line.count)
    n = np.where(
        slots % 2 == 0,
        np.minimum(1.5, 0.4 * line.half_left[at]),
        -np.minimum(1.5, 0.4 * line.half_right[at]),
    )
    return s, n


def build(
    line: CentreLine,
    gates: np.ndarray | None = None,
    sectors: np.ndarray | None = None,
    cell_size: float = CELL_SIZE,
    rubber: np.ndarray | None = None,
) -> Tracks:
    """Build the device arrays (T = 1) of one circuit.

    Args:
        line: the centre line with half-widths.
        gates: (G,) m, ascending arc lengths, first 0; default one about every 40 m.
        sectors: (3,) m, ascending, first 0; default thirds.
        cell_size: m, side of a cell of the index.
        rubber: (N,) m, offset of the rubbered line; default `rubbered_line`.

    Raises:
        InputError: the line has more samples than the index can name.
    """
    if line.count > MAX_SAMPLES:
        raise InputError(
            f"the track has {line.count} samples; at most {MAX_SAMPLES} fit, so widen the spacing"
        )
    asphalt = Asphalt(line)
    rows = sample_rows(line, rubbered_line(line) if rubber is None else rubber, asphalt)
    cells, origin = cell_index(rows, asphalt, cell_size)
    height, width = cells.shape
    gates = default_gates(line) if gates is None else gates
    sectors = default_sectors(line) if sectors is None else sectors
    grid_s, grid_n = start_grid(line)

    return Tracks(
        samples=jnp.asarray(rows[None], jnp.float32),
        count=jnp.asarray([line.count], jnp.int32),
        spacing=jnp.asarray([line.spacing], jnp.float32),
        length=jnp.asarray([line.length], jnp.float32),
        cells=jnp.asarray(cells[None], jnp.uint16),
        origin=jnp.asarray(origin[None], jnp.float32),
        extent=jnp.asarray([[width * cell_size, height * cell_size]], jnp.float32),
        gates=jnp.asarray(gates[None], jnp.float32),
        gate_count=jnp.asarray([len(gates)], jnp.int32),
        sectors=jnp.asarray(sectors[None], jnp.float32),
        grid_s=jnp.asarray(grid_s[None], jnp.float32),
        grid_n=jnp.asarray(grid_n[None], jnp.float32),
        cell_size=cell_size,
    )
