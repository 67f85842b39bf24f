"""How much room lies between different parts of one circuit: does it touch or cross itself?

Host side NumPy. Two samples belong to different parts when the way along the track is longer than a
half circle over the gap between them could be: arc / chord > pi/2 for a half circle, and less for
any gentler bend.
"""

import numpy as np
from scipy.spatial import KDTree

from kart_jax.track.line import CentreLine

SAME_PART = 1.75  # arc/chord up to which two samples lie in one bend (a half circle has pi/2)
MAX_INNER_EDGE = 0.95  # half-width over radius: from here on the inner edge folds over itself


def smallest_gap(line: CentreLine, reach: float = 20.0) -> tuple[float, int]:
    """Measure the smallest distance between the asphalt edges of two different parts.

    Args:
        line: the circuit.
        reach: m, gaps wider than this are not looked for.

    Returns:
        The gap in m (negative where the parts overlap, `reach` where everything is further apart)
        and the index of a sample where it is smallest.
    """
    half = np.maximum(line.half_left, line.half_right)
    points = np.column_stack([line.x, line.y])
    i, j = KDTree(points).query_pairs(2.0 * float(half.max()) + reach, output_type="ndarray").T

    along = np.abs(i - j)
    along = np.minimum(along, line.count - along) * line.spacing
    step = points[j] - points[i]
    chord = np.hypot(step[:, 0], step[:, 1])
    other = along > SAME_PART * chord + 2.0 * line.spacing
    if not other.any():
        return reach, 0

    i, j, step, chord = i[other], j[other], step[other], chord[other]
    room = chord - _half_facing(line, i, step) - _half_facing(line, j, -step)
    worst = int(np.argmin(room))
    return min(float(room[worst]), reach), int(i[worst])


def _half_facing(line: CentreLine, index: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the half-width (K,) m of samples `index` on the side to which `step` (K, 2) points."""
    left = np.cos(line.heading[index]) * step[:, 1] - np.sin(line.heading[index]) * step[:, 0] > 0
    return np.where(left, line.half_left[index], line.half_right[index])


def inner_half(line: CentreLine) -> np.ndarray:
    """Return the half-width (N,) m on the inside of the bend at each sample."""
    return np.where(line.curvature > 0, line.half_left, line.half_right)


def is_orderly(line: CentreLine, min_gap: float) -> bool:
    """Tell whether no inner edge folds over itself and parts keep `min_gap` m between edges."""
    folds = np.abs(line.curvature) * inner_half(line)
    return bool((folds < MAX_INNER_EDGE).all()) and smallest_gap(line, min_gap + 1.0)[0] >= min_gap
