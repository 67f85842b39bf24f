"""A circuit as a polygon with rounded corners: what the generator and our own circuits are made of.

Host side NumPy. A corner that turns by angle a with radius r uses r tan(|a| / 2) of both edges that
meet there.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from kart_jax.track.line import CentreLine, chord_lengths, resample

STEP = 0.5  # m, between the points of the drawn path before smoothing


def turn_angles(vertices: np.ndarray) -> np.ndarray:
    """Return the angle (V,) rad, positive left, by which the closed polygon (V, 2) turns."""
    edge = np.roll(vertices, -1, axis=0) - vertices
    before = np.roll(edge, 1, axis=0)
    cross = before[:, 0] * edge[:, 1] - before[:, 1] * edge[:, 0]
    return np.arctan2(cross, (before * edge).sum(axis=1))


def straight_lengths(vertices: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return the length (V,) m left straight between the corner at each vertex and the next.

    It is negative where the two corners collide.
    """
    used = radii * np.tan(np.abs(turn_angles(vertices)) / 2)
    edge = np.hypot(*(np.roll(vertices, -1, axis=0) - vertices).T)
    return edge - used - np.roll(used, -1)


def fit_radii(vertices: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Reduce the target radii (V,) m until neighbouring corners share the edge between them."""
    per_radius = np.tan(np.abs(turn_angles(vertices)) / 2)
    edge = np.hypot(*(np.roll(vertices, -1, axis=0) - vertices).T)
    used = target * per_radius
    for _ in range(3):
        spare = 0.98 * edge / (used + np.roll(used, -1))
        used = used * np.minimum(1.0, np.minimum(spare, np.roll(spare, 1)))
    return used / per_radius


def round_corners(vertices: np.ndarray, radii: np.ndarray, start: float) -> np.ndarray:
    """Return the path (M, 2) m along the polygon with rounded corners, points about `STEP` apart.

    Args:
        vertices: (V, 2) m in driving order.
        radii: (V,) m.
        start: 0..1, where on the straight from the last vertex to the first one the path begins.
    """
    angle = turn_angles(vertices)
    used = radii * np.tan(np.abs(angle) / 2)
    edge = np.roll(vertices, -1, axis=0) - vertices
    unit = edge / np.hypot(edge[:, 0], edge[:, 1])[:, None]
    arrive = np.roll(unit, 1, axis=0)
    entry = vertices - arrive * used[:, None]
    leave = vertices + unit * used[:, None]

    first = leave[-1] + start * (entry[0] - leave[-1])
    pieces = []
    here = first
    for k, turn in enumerate(angle):
        pieces += [_straight(here, entry[k]), _arc(entry[k], arrive[k], radii[k], turn)]
        here = leave[k]
    pieces.append(_straight(here, first))
    return np.concatenate(pieces)


def _straight(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return points from `a` up to but without `b`."""
    count = max(1, round(float(np.hypot(*(b - a))) / STEP))
    return a + (b - a) * (np.arange(count) / count)[:, None]


def _arc(entry: np.ndarray, tangent: np.ndarray, radius: float, turn: float) -> np.ndarray:
    """Return points of the arc from `entry` that turns by `turn`, without its end."""
    count = max(2, round(radius * abs(turn) / STEP))
    phi = np.arange(count) / count * abs(turn)
    normal = np.array([-tangent[1], tangent[0]]) * np.sign(turn)
    return entry + radius * (np.sin(phi)[:, None] * tangent + (1 - np.cos(phi))[:, None] * normal)


def soften(path: np.ndarray, blend: float, half_left: float, half_right: float) -> CentreLine:
    """Turn a path of straights and arcs into a `CentreLine` whose curvature changes gently.

    A Gaussian of width `blend` along the path spreads each change of curvature over about 2 `blend`
    metres, and widens a bend of radius r by blend² / (2 r) towards its inside.

    Args:
        path: (M, 2) m, closed, first point on the start line.
        blend: m, standard deviation of the Gaussian.
        half_left: m, half-width on the left.
        half_right: m, half-width on the right.
    """
    closed = np.vstack([path, path[:1]])
    s = chord_lengths(path)
    count = round(s[-1] / STEP)
    at = np.arange(count) * (s[-1] / count)
    even = np.column_stack([np.interp(at, s, closed[:, 0]), np.interp(at, s, closed[:, 1])])
    smooth = gaussian_filter1d(even, blend / STEP, axis=0, mode="wrap")
    half = np.ones(count)
    return resample(smooth[::2], half_left * half[::2], half_right * half[::2])
