"""Random kart circuits with hairpins, esses and straights, in the proportions of real ones.

Host side NumPy; one seed is one circuit on every machine (PCG64). The layout is the outline of a
random branching figure of cells on an uneven grid: its arms give parallel straights with hairpins
at their ends, its notches give esses. The grid is sheared, bent and shaken, the outline's corners
get radii, and what falls outside `BOUNDS` is drawn again from the same stream.
"""

import dataclasses

import numpy as np

from kart_jax.errors import InputError
from kart_jax.track import clearance, corners
from kart_jax.track.line import CentreLine


@dataclasses.dataclass(frozen=True)
class CircuitBounds:
    """Range (low, high) of each property of a kart circuit."""

    length: tuple[float, float] = (900.0, 1700.0)
    """m, lap."""
    width: tuple[float, float] = (8.0, 10.0)
    """m, edge to edge."""
    tightest: tuple[float, float] = (6.0, 12.0)
    """m, smallest radius of the centre line: the hairpin's."""
    straight: tuple[float, float] = (80.0, 180.0)
    """m, longest straight."""
    corners: tuple[int, int] = (10, 16)
    """Number of corners."""
    gap: float = 2.0
    """m, least distance between the edges of different parts."""


@dataclasses.dataclass(frozen=True)
class CircuitMeasures:
    """What `measure_circuit` finds on a circuit."""

    length: float  # m, lap
    width: float  # m, narrowest edge to edge
    tightest: float  # m, smallest radius of the centre line
    straight: float  # m, longest straight
    corners: int  # bends that turn by `CORNER_TURN` or more
    hairpins: int  # bends that turn by `HAIRPIN_TURN` or more


BOUNDS = CircuitBounds()
CORNER_TURN = np.radians(20.0)
HAIRPIN_TURN = np.radians(120.0)
STRAIGHT_RADIUS = 150.0  # m, anything straighter counts as straight
BLEND = 3.0  # m, softening of the change from straight to bend
MAX_ATTEMPTS = 2000  # about one attempt in nine is kept
MAX_SEED = 2**63 - 1

# Chance that a new cell joins the figure, by the number of sides on which it meets it: arms first.
JOIN_CHANCE = (0.0, 1.0, 0.15, 0.05, 0.05)
RING = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # around a cell


def generate_circuit(seed: int) -> CentreLine:
    """Draw the random kart circuit of this seed.

    Args:
        seed: 0 to 2^63 - 1.

    Returns:
        A circuit inside `BOUNDS`; the start line lies on the longest straight.

    Raises:
        InputError: the seed is not a whole number in the range.
    """
    if (
        isinstance(seed, bool)
        or not isinstance(seed, int | np.integer)
        or not 0 <= seed <= MAX_SEED
    ):
        raise InputError(
            f"seed is {seed!r}; a whole number from 0 to {MAX_SEED} is needed; give for example 7"
        )

    rng = np.random.Generator(np.random.PCG64(int(seed)))
    for _ in range(MAX_ATTEMPTS):
        vertices = _layout(rng)
        line = None if vertices is None else _dress(rng, vertices)
        if line is not None and is_valid(line):
            return line
    # The chance of this is (8/9)^2000.
    raise RuntimeError(f"seed {seed} gave no circuit in {MAX_ATTEMPTS} attempts")


def measure_circuit(line: CentreLine) -> CircuitMeasures:
    """Measure length, width, radii, straights and corners of any circuit."""
    bends = _runs(np.sign(line.curvature) * (np.abs(line.curvature) > 1 / STRAIGHT_RADIUS))
    turn = [abs(float(line.curvature[i].sum())) * line.spacing for kind, i in bends if kind != 0]
    straight = [len(i) * line.spacing for kind, i in bends if kind == 0]
    return CircuitMeasures(
        length=line.length,
        width=float((line.half_left + line.half_right).min()),
        tightest=float(1 / np.abs(line.curvature).max()),
        straight=max(straight, default=0.0),
        corners=sum(t >= CORNER_TURN for t in turn),
        hairpins=sum(t >= HAIRPIN_TURN for t in turn),
    )


def is_valid(line: CentreLine, bounds: CircuitBounds = BOUNDS) -> bool:
    """Tell whether a circuit lies inside the bounds, has a hairpin and keeps its parts apart."""
    found = measure_circuit(line)
    ranges = ("length", "width", "tightest", "straight", "corners")
    inside = all(
        getattr(bounds, k)[0] <= getattr(found, k) <= getattr(bounds, k)[1] for k in ranges
    )
    return inside and found.hairpins > 0 and clearance.is_orderly(line, bounds.gap)


def _runs(kind: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Split a periodic row (N,) into runs of one value: (value, indices) each."""
    breaks = np.flatnonzero(kind != np.roll(kind, 1))
    if len(breaks) == 0:
        return [(float(kind[0]), np.arange(len(kind)))]
    index = np.roll(np.arange(len(kind)), -breaks[0])
    return [(float(kind[i[0]]), i) for i in np.split(index, breaks[1:] - breaks[0])]


def _layout(rng: np.random.Generator) -> np.ndarray | None:
    """Draw the corners (V, 2) m of a random folded outline.

    None when the figure has too few or too many of them.
    """
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    figure = _figure(rng, columns, rows, int(rng.integers(5, min(13, columns * rows))))
    if figure is None:
        return None
    outline = _outline(figure)
    is_corner = np.abs(corners.turn_angles(outline.astype(float))) > 0.1
    if not 10 <= is_corner.sum() <= 22:
        return None

    # Some points that lie straight ahead become kinks.
    outline = outline[is_corner | (rng.random(len(outline)) < 0.35)]
    across = np.concatenate([[0.0], np.cumsum(rng.uniform(48.0, 100.0, columns + 2))])
    up = np.concatenate([[0.0], np.cumsum(rng.uniform(23.0, 45.0, rows + 2))])
    return _warp(rng, np.column_stack([across[outline[:, 0]], up[outline[:, 1]]]))


def _figure(rng: np.random.Generator, columns: int, rows: int, size: int) -> np.ndarray | None:
    """Grow a figure of `size` cells without holes on a padded grid, preferring arms.

    Returns:
        The mask (columns + 2, rows + 2) of its cells; None when no further cell can join.
    """
    grid = np.zeros((columns + 2, rows + 2), bool)
    grid[1 + rng.integers(columns), 1 + rng.integers(rows)] = True

    for _ in range(size - 1):
        cells, weights = [], []
        for i, j in np.argwhere(~grid[1:-1, 1:-1]) + 1:
            around = [bool(grid[i + a, j + b]) for a, b in RING]
            # Two changes around the ring: the new cell meets the figure in one piece, so no hole
            # can close.
            if any(around[0::2]) and sum(around[q] != around[q - 1] for q in range(8)) == 2:
                cells.append((i, j))
                weights.append(JOIN_CHANCE[sum(around[0::2])])
        if not cells:
            return None
        total = np.cumsum(weights)
        grid[cells[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]] = True
    return grid


def _outline(grid: np.ndarray) -> np.ndarray:
    """Return the grid points (V, 2) int along the boundary of a figure, counter-clockwise."""
    after: dict[tuple[int, int], tuple[int, int]] = {}
    for i, j in np.argwhere(grid).tolist():
        if not grid[i, j - 1]:
            after[i, j] = (i + 1, j)
        if not grid[i + 1, j]:
            after[i + 1, j] = (i + 1, j + 1)
        if not grid[i, j + 1]:
            after[i + 1, j + 1] = (i, j + 1)
        if not grid[i - 1, j]:
            after[i, j + 1] = (i, j)

    path = [next(iter(after))]
    while after[path[-1]] != path[0]:
        path.append(after[path[-1]])
    return np.array(path)


def _warp(rng: np.random.Generator, vertices: np.ndarray) -> np.ndarray:
    """Shear, bend, shake and mirror the outline: nothing is left of the grid's right angles."""
    x, y = (vertices - vertices.mean(axis=0)).T
    shear, arch = rng.uniform(-0.5, 0.5), rng.uniform(-0.35, 0.35, 2)
    bent = np.column_stack(
        [x + shear * y + arch[0] * y * y / np.ptp(y) * 2, y + arch[1] * x * x / np.ptp(x) * 2]
    )
    bent += rng.uniform(-1.0, 1.0, bent.shape) * (14.0, 6.0)
    bent = bent[np.abs(corners.turn_angles(bent)) > np.radians(10.0)]

    angle = rng.uniform(0.0, 2 * np.pi)
    turned = bent @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return turned[::-1].copy() if rng.random() < 0.5 else turned


def _dress(rng: np.random.Generator, vertices: np.ndarray) -> CentreLine | None:
    """Give the outline size, radii and width; None where a corner is too sharp for it."""
    angle = np.abs(corners.turn_angles(vertices))
    half = rng.uniform(*BOUNDS.width) / 2
    lap_target = rng.uniform(BOUNDS.length[0] * 1.03, BOUNDS.length[1] * 0.97)
    if angle.max() > np.radians(150.0):
        return None

    sharp, medium = angle > np.radians(100.0), angle > np.radians(60.0)
    low = np.where(sharp, 8.0, np.where(medium, 10.0, 18.0))
    high = np.where(sharp, 12.5, np.where(medium, 36.0, 80.0))
    radius_target = low + (high - low) * rng.random(len(vertices))
    radii = corners.fit_radii(vertices, radius_target)
    lap = corners.straight_lengths(vertices, radii).sum() + (radii * angle).sum()

    vertices = vertices * np.clip(lap_target / lap, 0.95, 1.3)
    radii = corners.fit_radii(vertices, radius_target)
    straight = corners.straight_lengths(vertices, radii)
    if radii.min() < 7.2 or not BOUNDS.straight[0] < straight.max() < BOUNDS.straight[1]:
        return None

    first = (int(np.argmax(straight)) + 1) % len(vertices)
    path = corners.round_corners(
        np.roll(vertices, -first, axis=0), np.roll(radii, -first), start=0.6
    )
    return corners.soften(path, BLEND, half, half)
