"""From the coverage of pixels to a centre line with half-widths.

Host side. The points as far from the infield as from the outside form one closed curve, the first
guess. It is then refined: march along both normals to where the coverage falls through one half,
move to the middle, smooth, and again. Smoothing is the closed curve p(s) that minimises

    sum |p(s_i) - d_i|² Δs + (c / 2 pi)^6 ∫ |p'''|² ds,

which for evenly spaced points d_i is the filter 1 / (1 + (c f)^6) over spatial frequency f: it
halves waves of length c, and leaves straights and circles alone.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from kart_jax.errors import InputError
from kart_jax.track.image import clean_coverage
from kart_jax.track.line import LAP_LENGTHS, CentreLine, chord_lengths, resample

ROUNDS = 5  # of refinement
CUT = 9.0  # m, wavelength that smoothing halves, for a picture of fine pixels
# Pixels, the same for a coarse picture: the staircase of the edges must not reach the curvature.
CUT_PIXELS = 18.0
MIN_WIDTH = 3.0  # m, a kart is 1.4 m wide
MIN_WIDTH_PIXELS = 4.0  # pixels across the track that a width can be measured from
MAX_WIDTH = 60.0  # m


def trace_line(coverage: np.ndarray, metres_per_pixel: float, name: str) -> CentreLine:
    """Trace the one loop in a picture, counterclockwise, from an arbitrary start.

    Args:
        coverage: (H, W) how much of each pixel is track, row 0 at the top.
        metres_per_pixel: side of a pixel, m.
        name: the file, for messages.

    Returns:
        The `CentreLine`; its origin is the bottom-left corner of the picture.

    Raises:
        InputError: the picture is not one closed loop, or the track is too short, long, narrow or
            wide.
    """
    # From here on row 0 is at the bottom.
    whole, track, infield = (
        part[::-1] for part in clean_coverage(coverage, metres_per_pixel, name)
    )
    points, reach = _middle_curve(track, infield)
    length = chord_lengths(points)[-1] * metres_per_pixel
    if not LAP_LENGTHS[0] <= length <= LAP_LENGTHS[1]:
        raise InputError(
            f"{name}: the lap is {length:.0f} m long with metres_per_pixel {metres_per_pixel:g}; "
            f"allowed are {LAP_LENGTHS[0]:.0f} to {LAP_LENGTHS[1]:.0f} m, so correct "
            "metres_per_pixel in the checkpoints.json"
        )

    cut = max(CUT / metres_per_pixel, CUT_PIXELS)
    step = cut / 20.0
    curve = smooth_even(space_evenly(points, step), step, cut)
    for _ in range(ROUNDS):
        left, right = _edges(whole, curve, reach)
        curve = curve + _normals(curve) * ((left - right) / 2)[:, None]
        curve = space_evenly(smooth_even(curve, step, cut), step)

    left, right = _edges(whole, curve, reach)
    _check_width(curve, left + right, metres_per_pixel, name, whole.shape[0])
    left, right = (smooth_even(half, step, cut) * metres_per_pixel for half in (left, right))
    return resample((curve + 0.5) * metres_per_pixel, left, right, 1.0)


def _middle_curve(track: np.ndarray, infield: np.ndarray) -> tuple[np.ndarray, float]:
    """Find the curve midway between infield and outside.

    Returns:
        The counterclockwise curve (M, 2) px [column, row from the bottom], and how far from it an
        edge can be, px.
    """
    from contourpy import contour_generator

    # The track and the white next to it are all that matters for distances.
    beside = track.copy()
    beside[1:] |= track[:-1]
    beside[:-1] |= track[1:]
    beside[:, 1:] |= track[:, :-1]
    beside[:, :-1] |= track[:, 1:]
    rim = beside & ~track

    pixels = np.argwhere(track)
    inside, _ = KDTree(np.argwhere(rim & infield)).query(pixels, workers=-1)
    outside, _ = KDTree(np.argwhere(rim & ~infield)).query(pixels, workers=-1)
    balance = np.where(infield, -1.0, 1.0)
    balance[track] = inside - outside

    curves = contour_generator(z=balance, line_type="Separate").lines(0.0)
    curve = np.asarray(max(curves, key=len))[:-1]  # the last point repeats the first
    x, y = curve.T
    if float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) < 0:
        curve = curve[::-1]
    return curve, float(np.minimum(inside, outside).max()) * 1.5 + 2.0


def space_evenly(points: np.ndarray, step: float) -> np.ndarray:
    """Return closed points (M, 2) evenly spaced by linear interpolation, about `step` apart."""
    run = chord_lengths(points)
    s = np.arange(max(16, round(run[-1] / step))) * 1.0
    s *= run[-1] / len(s)
    closed = np.vstack([points, points[:1]])
    return np.column_stack([np.interp(s, run, closed[:, 0]), np.interp(s, run, closed[:, 1])])


def smooth_even(values: np.ndarray, step: float, cut: float) -> np.ndarray:
    """Smooth closed, evenly spaced values (M, ...) along their first axis.

    Args:
        values: (M, ...), `step` apart.
        step: distance between two of them.
        cut: wavelength c of the module docstring, in the unit of `step`.
    """
    frequency = np.fft.rfftfreq(len(values), step)
    gain = 1.0 / (1.0 + (cut * frequency) ** 6)
    spectrum = np.fft.rfft(values, axis=0)
    return np.fft.irfft(spectrum * gain.reshape(-1, *[1] * (values.ndim - 1)), len(values), axis=0)


def _normals(curve: np.ndarray) -> np.ndarray:
    """Return the unit normals (M, 2) to the left of a closed, evenly spaced curve."""
    tangent = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    return np.column_stack([-tangent[:, 1], tangent[:, 0]])


def _edges(whole: np.ndarray, curve: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Measure the distance (M,) px from the curve along its normals to left and right edge."""
    offsets = np.arange(0.0, reach, 0.5)
    normals = _normals(curve)
    left, right = (_first_fall(whole, curve, side * normals, offsets) for side in (1.0, -1.0))
    return left, right


def _first_fall(
    whole: np.ndarray, curve: np.ndarray, direction: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Find the distance (M,) px along `direction` where the coverage first falls through half."""
    x = curve[:, :1] + direction[:, :1] * offsets
    y = curve[:, 1:] + direction[:, 1:] * offsets
    seen = ndimage.map_coordinates(whole, [y, x], order=1, mode="constant")
    off = seen < 0.5
    last = np.where(off.any(axis=1), np.maximum(np.argmax(off, axis=1), 1), len(offsets) - 1)

    rows = np.arange(len(curve))
    before, after = seen[rows, last - 1], seen[rows, last]
    part = np.clip((before - 0.5) / np.maximum(before - after, 1e-6), 0.0, 1.0)
    return offsets[last - 1] + part * (offsets[last] - offsets[last - 1])


def _check_width(
    curve: np.ndarray, width: np.ndarray, metres_per_pixel: float, name: str, height: int
) -> None:
    """Refuse a track that is too narrow or too wide somewhere."""
    least = max(MIN_WIDTH / metres_per_pixel, MIN_WIDTH_PIXELS)
    narrow, wide = int(np.argmin(width)), int(np.argmax(width))
    for at, bad in (
        (narrow, width[narrow] < least),
        (wide, width[wide] * metres_per_pixel > MAX_WIDTH),
    ):
        if bad:
            column, row = np.round([curve[at, 0], height - 1 - curve[at, 1]]).astype(int)
            raise InputError(
                f"{name}: the track is {width[at] * metres_per_pixel:.1f} m ({width[at]:.0f} "
                f"pixels) wide at pixel [{column}, {row}]; allowed are "
                f"{least * metres_per_pixel:.1f} to {MAX_WIDTH:.0f} m, so draw it "
                f"{'wider' if at == narrow else 'narrower'} there or correct metres_per_pixel"
            )
