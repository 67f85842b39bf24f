"""From the table of a circuit, a corner sequence or a polygon, to its centre line.

Car circuits are corner sequences (straight lengths, corner radii and angles) as racing guides
describe them; `close_sequence` changes each number a little until the lap closes at its real
length. Kart circuits are polygons with a radius at each corner, which close by themselves.
"""

import dataclasses

import numpy as np
from scipy.optimize import least_squares

from kart_jax.track import corners
from kart_jax.track.line import CentreLine


@dataclasses.dataclass(frozen=True)
class Piece:
    """A straight (angle 0) or a bend of one radius."""

    length: float
    """Straight: length, m. Bend: radius, m."""
    angle: float = 0.0
    """Turn in degrees, positive left; 0 = straight."""


@dataclasses.dataclass(frozen=True)
class CornerSequence:
    """A car circuit as the corner sequence from the start line around to it."""

    title: str
    """One line for lists and previews."""
    lap: float
    """Real length of a lap, m."""
    width: float
    """Asphalt from edge to edge, m."""
    heading: float
    """Direction of the start straight, degrees counter-clockwise from east."""
    pieces: tuple[Piece, ...]
    """From the start line in driving order."""
    blend: float = 5.0
    """Softening of the changes of curvature, m."""
    metres_per_pixel: float = 1.0
    """Scale of the picture."""


@dataclasses.dataclass(frozen=True)
class CornerPolygon:
    """A kart circuit as corner points with radii; it starts between the last and the first one."""

    title: str
    """One line for lists and previews."""
    lap: float
    """Length of a lap, m; the corner points are scaled to it."""
    width: float
    """Asphalt from edge to edge, m."""
    corners: tuple[tuple[float, float, float], ...]
    """x m, y m, radius m, in driving order."""
    start: float = 0.6
    """0..1, place of the start line on its straight."""
    blend: float = 2.5
    """Softening of the changes of curvature, m."""
    metres_per_pixel: float = 0.25
    """Scale of the picture."""


Layout = CornerSequence | CornerPolygon


def straight(length: float) -> Piece:
    """Return a piece of `length` m without a turn."""
    return Piece(length)


def left(radius: float, angle: float) -> Piece:
    """Return a bend of `radius` m to the left by `angle` degrees."""
    return Piece(radius, angle)


def right(radius: float, angle: float) -> Piece:
    """Return a bend of `radius` m to the right by `angle` degrees."""
    return Piece(radius, -angle)


def build_line(layout: Layout) -> CentreLine:
    """Build the circuit of a table, at exactly its lap length."""
    half = layout.width / 2
    if isinstance(layout, CornerSequence):
        path = close_sequence(layout)
    else:
        table = np.array(layout.corners)
        radii = corners.fit_radii(table[:, :2], table[:, 2])
        path = corners.round_corners(table[:, :2], radii, layout.start)
    for _ in range(2):  # softening shortens the lap by a few metres
        path = path * (layout.lap / corners.soften(path, layout.blend, half, half).length)
    return corners.soften(path, layout.blend, half, half)


def close_sequence(sequence: CornerSequence) -> np.ndarray:
    """Change the numbers of a corner sequence as little as possible so that the lap closes.

    Straights may stretch (weight 15 % + 10 m), radii (15 %) and angles (3° + 5 %); the end must
    meet the start in place and direction and the lap must have its length, each to a millimetre or
    so.

    Returns:
        The path (M, 2) m.
    """
    size = np.array([p.length for p in sequence.pieces], float)
    turn = np.radians([p.angle for p in sequence.pieces])
    bend = turn != 0
    size_step = np.where(bend, 0.15 * size, 0.15 * size + 10.0)
    turn_step = np.where(bend, np.radians(3.0) + 0.05 * np.abs(turn), 0.0)
    count = len(size)
    full_turn = 2 * np.pi * np.sign(turn.sum())

    def unpack(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(size + size_step * z[:count], 0.3 * size), turn + turn_step * z[count:]

    def misfit(z: np.ndarray) -> np.ndarray:
        sizes, angles = unpack(z)
        end, lengths = _ends(sizes, angles, bend)
        hard = [
            end[-1].real,
            end[-1].imag,
            lengths.sum() - sequence.lap,
            100.0 * (angles.sum() - full_turn),
        ]
        return np.concatenate([z, 1e3 * np.array(hard)])

    sizes, angles = unpack(least_squares(misfit, np.zeros(2 * count)).x)
    return _walk(sizes, angles, bend, np.radians(sequence.heading))


def _ends(sizes: np.ndarray, angles: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the end points (P,) as complex m and lengths (P,) m of the pieces.

    They begin at the origin, heading east. The chord of an arc of length l and turn a is
    l sinc(a / 2), at half the turn.
    """
    lengths = np.where(bend, sizes * np.abs(angles), sizes)
    after = np.cumsum(angles)
    chord = lengths * np.sinc(angles / (2 * np.pi))
    return np.cumsum(chord * np.exp(1j * (after - angles / 2))), lengths


def _walk(sizes: np.ndarray, angles: np.ndarray, bend: np.ndarray, heading: float) -> np.ndarray:
    """Return points (M, 2) m along the pieces, about `corners.STEP` apart."""
    lengths = np.where(bend, sizes * np.abs(angles), sizes)
    turns, steps = [], []
    for length, angle in zip(lengths, angles, strict=True):
        count = max(1, round(length / corners.STEP))
        turns += [angle / count] * count
        steps += [length / count] * count
    ends, _ = _ends(np.array(steps), np.array(turns), np.zeros(len(steps), bool))
    path = np.concatenate([[0.0], ends[:-1]]) * np.exp(1j * heading)
    return np.column_stack([path.real, path.imag])
