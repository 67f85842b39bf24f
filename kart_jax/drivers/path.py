"""The path a driver follows: offsets from the centre line on M equal nodes per lap, its geometry.

Nodes are equally spaced in centre-line arc length, so all derivatives are periodic differences,
whatever the number of samples of the circuit. With offset n, centre-line curvature k and primes for
d/ds, the path p = c + n N has

    stretch   g = |p'| = sqrt((1 - n k)² + n'²)
    curvature   = ((1 - n k) ((1 - n k) k + n'') + n' (n k' + 2 n' k)) / g³
    heading relative to the centre line = atan2(n', 1 - n k)
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.track.types import SampleColumn, Tracks

NODE_SPACING = 1.6  # m, largest distance between nodes that still resolves a hairpin of 6 m radius
MIN_HALF_WIDTH = 0.1  # m, of the corridor where the asphalt is narrower than the kart


class Corridor(struct.PyTreeNode):
    """The centre line and where the kart may drive, on M nodes of one circuit."""

    curvature: chex.Array  # (M,) 1/m, of the centre line, positive = left-hand corner
    low: chex.Array  # (M,) m, lowest allowed offset (right side)
    high: chex.Array  # (M,) m, highest allowed offset (left side)
    step: chex.Array  # () m, centre-line arc length between nodes


class Path(struct.PyTreeNode):
    """One path round one circuit, on M nodes."""

    offset: chex.Array  # (M,) m, from the centre line, positive = left
    curvature: chex.Array  # (M,) 1/m, of the path
    angle: chex.Array  # (M,) rad, heading of the path relative to the centre line
    stretch: chex.Array  # (M,) metres of path per metre of centre line


def node_count(samples: int) -> int:
    """Return the nodes per lap of a circuit: the power of two just enough for `NODE_SPACING`.

    Many more would drown second differences in the rounding of float32.

    Args:
        samples: of the circuit's centre line, a metre apart.
    """
    return 2 ** max(5, int(samples / NODE_SPACING - 1).bit_length())


def sample(tracks: Tracks, track: chex.Array, column: SampleColumn, nodes: int) -> chex.Array:
    """Interpolate one column of circuit `track` linearly at `nodes` equal steps; (nodes,)."""
    rows = tracks.samples.shape[1]
    count = tracks.count[track]
    position = jnp.arange(nodes) * (count / nodes)
    index = jnp.floor(position).astype(jnp.int32)
    values = tracks.samples[..., column].reshape(-1)
    here = jnp.take(values, track * rows + jnp.mod(index, count), mode="clip")
    there = jnp.take(values, track * rows + jnp.mod(index + 1, count), mode="clip")
    return here + (position - index) * (there - here)


def find_corridor(tracks: Tracks, track: chex.Array, margin: chex.Array, nodes: int) -> Corridor:
    """Find the band of offsets that keeps `margin` metres between the path and both edges.

    Where the asphalt is narrower than that, the band shrinks to 0.2 m about its middle; on the
    inside of a corner it stops at four fifths of the way to the centre of the corner, where offsets
    stop being unique.
    """
    curvature = sample(tracks, track, SampleColumn.CURVATURE, nodes)
    left = sample(tracks, track, SampleColumn.HALF_LEFT, nodes)
    right = sample(tracks, track, SampleColumn.HALF_RIGHT, nodes)
    middle = (left - right) / 2
    reach = jnp.maximum((left + right) / 2 - margin, MIN_HALF_WIDTH)

    limit = 0.8 / jnp.maximum(jnp.abs(curvature), 1e-3)
    low = jnp.where(curvature < 0, jnp.maximum(middle - reach, -limit), middle - reach)
    high = jnp.where(curvature > 0, jnp.minimum(middle + reach, limit), middle + reach)
    return Corridor(curvature=curvature, low=low, high=high, step=tracks.length[track] / nodes)


def first_difference(values: chex.Array, step: chex.Array) -> chex.Array:
    """Return the periodic central first derivative of (M,) values."""
    return (jnp.roll(values, -1) - jnp.roll(values, 1)) / (2 * step)


def second_difference(values: chex.Array, step: chex.Array) -> chex.Array:
    """Return the periodic central second derivative of (M,) values."""
    return (jnp.roll(values, -1) - 2 * values + jnp.roll(values, 1)) / step**2


def curvature_and_stretch(
    n: chex.Array, dn: chex.Array, d2n: chex.Array, k: chex.Array, dk: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Return curvature and stretch of the path from n, n', n'', k, k'; shapes broadcast.

    The formulas are those of the module docstring.
    """
    along = 1.0 - n * k
    stretch = jnp.sqrt(along * along + dn * dn)
    numerator = along * (along * k + d2n) + dn * (n * dk + 2.0 * dn * k)
    return numerator / stretch**3, stretch


def build(offset: chex.Array, corridor: Corridor) -> Path:
    """Return the path with the given offsets (M,) m in a corridor."""
    k = corridor.curvature
    dn = first_difference(offset, corridor.step)
    d2n = second_difference(offset, corridor.step)
    dk = first_difference(k, corridor.step)
    curvature, stretch = curvature_and_stretch(offset, dn, d2n, k, dk)
    angle = jnp.arctan2(dn, 1.0 - offset * k)
    return Path(offset=offset, curvature=curvature, angle=angle, stretch=stretch)


def refine(values: chex.Array, times: int) -> chex.Array:
    """Return periodic values (..., M) on `times` as many nodes: the same piecewise linear function.

    Returns:
        (..., times M)
    """
    here = values[..., None]
    there = jnp.roll(values, -1, axis=-1)[..., None]
    between = here + (there - here) * (jnp.arange(times) / times)
    return between.reshape(*values.shape[:-1], -1)


def interpolate(values: chex.Array, tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Interpolate plan values (T, M) linearly on circuit `track` at arc length `s` (...) m."""
    nodes = values.shape[-1]
    position = jnp.mod(s / tracks.length[track], 1.0) * nodes
    index = jnp.floor(position).astype(jnp.int32)

    flat = values.reshape(-1)
    start = track * nodes
    here = jnp.take(flat, start + jnp.mod(index, nodes), mode="clip")
    there = jnp.take(flat, start + jnp.mod(index + 1, nodes), mode="clip")
    return here + (position - index) * (there - here)
