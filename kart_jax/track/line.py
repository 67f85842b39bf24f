"""The centre line as a smooth periodic spline, resampled to one spacing.

Host side, float64 NumPy. `Line` is what every source of a track (picture, CSV, generator) produces
and what `field.build` turns into device arrays.
"""

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree

from kart_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Line:
    """A closed centre line sampled at equal arc length in the driving direction; sample 0 is on the
    start line."""

    x: np.ndarray  # (N,) m, east
    y: np.ndarray  # (N,) m, north
    heading: np.ndarray  # (N,) rad, unwrapped
    curvature: np.ndarray  # (N,) 1/m, positive = left-hand bend
    half_left: np.ndarray  # (N,) m, to the left edge of the asphalt
    half_right: np.ndarray  # (N,) m, to the right edge
    length: float  # m

    @property
    def count(self) -> int:
        """Number of samples N."""
        return len(self.x)

    @property
    def spacing(self) -> float:
        """Arc length between samples in m."""
        return self.length / self.count


def periodic_spline(points: np.ndarray, rounds: int = 3) -> tuple[CubicSpline, float]:
    """Interpolate closed points (M, k) by a periodic cubic spline over arc length.

    The first two columns are x and y in m; further columns ride along. The parameter starts as
    chord length and is replaced `rounds` times by the arc length measured on the spline itself.

    Returns:
        The spline over [0, length] and the length in m.
    """
    closed = np.vstack([points, points[:1]])
    chord = np.hypot(*np.diff(closed[:, :2], axis=0).T)
    if not np.all(chord > 0):
        raise InputError("the centre line repeats a point; remove consecutive equal points")
    knots = np.concatenate([[0.0], np.cumsum(chord)])
    for _ in range(rounds):
        spline = CubicSpline(knots, closed, bc_type="periodic")
        knots = np.concatenate([[0.0], np.cumsum(_arc_lengths(spline, knots))])
    return CubicSpline(knots, closed, bc_type="periodic"), float(knots[-1])


def _arc_lengths(spline: CubicSpline, knots: np.ndarray) -> np.ndarray:
    """Arc length of each spline piece by five-point Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(5)
    half = np.diff(knots) / 2
    t = (knots[:-1] + half)[:, None] + half[:, None] * node
    velocity = spline(t, 1)[..., :2]
    return np.hypot(velocity[..., 0], velocity[..., 1]) @ weight * half


def resample(
    points: np.ndarray, half_left: np.ndarray, half_right: np.ndarray, spacing: float = 1.0
) -> Line:
    """Turn closed points into a `Line` with equal spacing close to `spacing`.

    Args:
        points: (M, 2) m, in driving order, first point on the start line, not repeated at the end.
        half_left: (M,) m, half-width to the left at each point.
        half_right: (M,) m, half-width to the right.
        spacing: m, wanted distance between samples.

    Returns:
        A `Line` of round(length / spacing) samples.

    Raises:
        InputError: fewer than 8 points, or consecutive equal points.
    """
    if len(points) < 8:
        raise InputError(
            f"the centre line has {len(points)} points; at least 8 are needed to close a circuit"
        )
    spline, length = periodic_spline(np.column_stack([points, half_left, half_right]))
    count = max(8, round(length / spacing))
    s = np.arange(count) * (length / count)
    position, velocity, acceleration = spline(s), spline(s, 1), spline(s, 2)
    dx, dy = velocity[:, 0], velocity[:, 1]
    curvature = (dx * acceleration[:, 1] - dy * acceleration[:, 0]) / np.hypot(dx, dy) ** 3
    heading = np.unwrap(np.arctan2(dy, dx))
    return Line(
        position[:, 0], position[:, 1], heading, curvature, position[:, 2], position[:, 3], length
    )


def reverse(line: Line) -> Line:
    """The same circuit driven the other way round from the same start line."""
    back = np.r_[0, np.arange(line.count - 1, 0, -1)]
    points = np.column_stack([line.x, line.y])[back]
    return resample(points, line.half_right[back], line.half_left[back], line.spacing)


def start_at(line: Line, s: float) -> Line:
    """The same circuit with its start line moved to arc length `s` in m."""
    spline, length = periodic_spline(
        np.column_stack([line.x, line.y, line.half_left, line.half_right])
    )
    at = spline(np.mod(s + np.arange(line.count) * (length / line.count), length))
    return resample(at[:, :2], at[:, 2], at[:, 3], line.spacing)


def foot(line: Line, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arc length s (M,) m in [0, length) and offset n (M,) m (positive left) of points (M, 2) m.

    The nearest sample, then two Newton steps on the spline: the foot is where (p - c(s)) . c'(s) =
    0.
    """
    spline, length = periodic_spline(np.column_stack([line.x, line.y]))
    _, index = KDTree(np.column_stack([line.x, line.y])).query(points)
    s = index * line.spacing
    for _ in range(2):
        tangent, gap = spline(s, 1), points - spline(s)
        bend = 1.0 - (gap * spline(s, 2)).sum(axis=-1)
        s = np.mod(s + (gap * tangent).sum(axis=-1) / np.maximum(bend, 0.2), length)
    tangent, gap = spline(s, 1), points - spline(s)
    return np.asarray(s), tangent[:, 0] * gap[:, 1] - tangent[:, 1] * gap[:, 0]
