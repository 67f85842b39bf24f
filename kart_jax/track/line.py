"""The centre line as a smooth periodic spline, resampled to one spacing.

Host side, float64 NumPy. `CentreLine` is what every source of a track (picture, CSV, generator)
produces and what `field.build` turns into device arrays.
"""

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree

from kart_jax.errors import InputError

LAP_LENGTHS = (100.0, 30_000.0)  # m, shortest and longest lap that a picture or a CSV may have
MIN_POINTS = 8  # that close a circuit


@dataclasses.dataclass(frozen=True)
class CentreLine:
    """A closed line sampled at equal arc length in driving direction, from the start line on."""

    x: np.ndarray  # (N,) m, east
    y: np.ndarray  # (N,) m, north
    heading: np.ndarray  # (N,) rad, unwrapped
    curvature: np.ndarray  # (N,) 1/m, positive = left-hand bend
    half_left: np.ndarray  # (N,) m, to the left edge of the asphalt
    half_right: np.ndarray  # (N,) m, to the right edge
    length: float  # m, lap

    @property
    def count(self) -> int:
        """Number of samples N."""
        return len(self.x)

    @property
    def spacing(self) -> float:
        """Arc length between samples in m."""
        return self.length / self.count


def chord_lengths(points: np.ndarray) -> np.ndarray:
    """Return the way (M + 1,) along the chords of closed points (M, 2) to each of them.

    It starts with 0 at the first point and ends with the whole way, back at the first point.
    """
    closed = np.vstack([points, points[:1]])
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])


def periodic_spline(points: np.ndarray, rounds: int = 3) -> tuple[CubicSpline, float]:
    """Interpolate closed points (M, k) by a periodic cubic spline over arc length.

    The first two columns are x and y in m; further columns ride along. The parameter starts as
    chord length and is replaced `rounds` times by the arc length measured on the spline itself.

    Returns:
        The spline over [0, length] and the length in m.

    Raises:
        InputError: a point repeats the one before.
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
    """Measure the arc length of each spline piece by five-point Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(5)
    half = np.diff(knots) / 2
    t = (knots[:-1] + half)[:, None] + half[:, None] * node
    velocity = spline(t, 1)[..., :2]
    return np.hypot(velocity[..., 0], velocity[..., 1]) @ weight * half


def resample(
    points: np.ndarray, half_left: np.ndarray, half_right: np.ndarray, spacing: float = 1.0
) -> CentreLine:
    """Turn closed points into a `CentreLine` with equal spacing close to `spacing`.

    Args:
        points: (M, 2) m, in driving order, first point on the start line, not repeated at the end.
        half_left: (M,) m, half-width to the left at each point.
        half_right: (M,) m, half-width to the right.
        spacing: m, wanted distance between samples.

    Returns:
        A `CentreLine` of round(length / spacing) samples.

    Raises:
        InputError: fewer than 8 points, or consecutive equal points.
    """
    if len(points) < MIN_POINTS:
        raise InputError(
            f"the centre line has {len(points)} points; at least {MIN_POINTS} are needed to close "
            "a circuit"
        )
    spline, length = periodic_spline(np.column_stack([points, half_left, half_right]))
    count = max(MIN_POINTS, round(length / spacing))
    s = np.arange(count) * (length / count)

    position, velocity, acceleration = spline(s), spline(s, 1), spline(s, 2)
    dx, dy = velocity[:, 0], velocity[:, 1]
    return CentreLine(
        x=position[:, 0],
        y=position[:, 1],
        heading=np.unwrap(np.arctan2(dy, dx)),
        curvature=(dx * acceleration[:, 1] - dy * acceleration[:, 0]) / np.hypot(dx, dy) ** 3,
        half_left=position[:, 2],
        half_right=position[:, 3],
        length=length,
    )


def reverse(line: CentreLine) -> CentreLine:
    """Return the same circuit driven the other way round from the same start line."""
    back = np.r_[0, np.arange(line.count - 1, 0, -1)]
    points = np.column_stack([line.x, line.y])[back]
    return resample(points, line.half_right[back], line.half_left[back], line.spacing)


def move_start(line: CentreLine, s: float) -> CentreLine:
    """Return the same circuit with its start line moved to arc length `s` in m."""
    spline, length = periodic_spline(
        np.column_stack([line.x, line.y, line.half_left, line.half_right])
    )
    at = spline(np.mod(s + np.arange(line.count) * (length / line.count), length))
    return resample(at[:, :2], at[:, 2], at[:, 3], line.spacing)


def foot(line: CentreLine, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the feet of points (M, 2) m on the centre line.

    The nearest sample, then two Newton steps on the spline: at the foot (p - c(s)) . c'(s) = 0.

    Returns:
        Arc length s (M,) m in [0, length) and offset n (M,) m, positive left.
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
