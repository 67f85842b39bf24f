"""The path a driver follows, as an offset from the centre line on M equal nodes per lap, and its
geometry.

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

from kart_jax.track.types import Column, Tracks

NODE_SPACING = 1.6  # m, largest distance between nodes that still resolves a hairpin of 6 m radius


class Corridor(struct.PyTreeNode):
    """The centre line and where the kart may drive, on M nodes of one circuit."""

    curvature: chex.Array  # (M,) 1/m, of the centre line, positive = left-hand bend
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
    """Nodes per lap for a circuit of so many samples: the power of two that is just enough for
    `NODE_SPACING`.

    Many more would drown second differences in the rounding of float32.
    """
    return 2 ** max(5, int(samples / NODE_SPACING - 1).bit_length())


def sample(tracks: Tracks, track: chex.Array, column: Column, nodes: int) -> chex.Array:
    """One column of the samples of circuit `track` at `nodes` equal steps, by linear interpolation;
    (nodes,)."""
    rows, count = tracks.samples.shape[1], tracks.count[track]
    position = jnp.arange(nodes) * (count / nodes)
    index = jnp.floor(position).astype(jnp.int32)
    values = tracks.samples[..., column].reshape(-1)
    here = jnp.take(values, track * rows + jnp.mod(index, count), mode="clip")
    there = jnp.take(values, track * rows + jnp.mod(index + 1, count), mode="clip")
    return here + (position - index) * (there - here)


def corridor(tracks: Tracks, track: chex.Array, margin: chex.Array, nodes: int) -> Corridor:
    """The band of offsets that keeps `margin` metres between the path and both edges.

    Where the asphalt is narrower than that, the band shrinks to 0.2 m about its middle; on the
    inside of a bend it stops at four fifths of the way to the centre of the bend, where offsets
    stop being unique.
    """
    curvature = sample(tracks, track, Column.CURVATURE, nodes)
    left, right = (
        sample(tracks, track, Column.HALF_LEFT, nodes),
        sample(tracks, track, Column.HALF_RIGHT, nodes),
    )
    middle, reach = (left - right) / 2, jnp.maximum((left + right) / 2 - margin, 0.1)
    limit = 0.8 / jnp.maximum(jnp.abs(curvature), 1e-3)
    low = jnp.where(curvature < 0, jnp.maximum(middle - reach, -limit), middle - reach)
    high = jnp.where(curvature > 0, jnp.minimum(middle + reach, limit), middle + reach)
    return Corridor(curvature, low, high, tracks.length[track] / nodes)


def first_difference(values: chex.Array, step: chex.Array) -> chex.Array:
    """Periodic central first derivative of (M,) values."""
    return (jnp.roll(values, -1) - jnp.roll(values, 1)) / (2 * step)


def second_difference(values: chex.Array, step: chex.Array) -> chex.Array:
    """Periodic central second derivative of (M,) values."""
    return (jnp.roll(values, -1) - 2 * values + jnp.roll(values, 1)) / step**2


def curvature_of(
    n: chex.Array, slope: chex.Array, bend: chex.Array, k: chex.Array, k_slope: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Curvature and stretch of the path (see the module docstring) from n, n', n'', k, k'; shapes
    broadcast."""
    along = 1.0 - n * k
    stretch = jnp.sqrt(along * along + slope * slope)
    turn = along * (along * k + bend) + slope * (n * k_slope + 2.0 * slope * k)
    return turn / stretch**3, stretch


def build(offset: chex.Array, lane: Corridor) -> Path:
    """Geometry of the path with the given offsets (M,) m in a corridor."""
    slope, bend = first_difference(offset, lane.step), second_difference(offset, lane.step)
    k_slope = first_difference(lane.curvature, lane.step)
    curvature, stretch = curvature_of(offset, slope, bend, lane.curvature, k_slope)
    return Path(offset, curvature, jnp.arctan2(slope, 1.0 - offset * lane.curvature), stretch)


def refine(values: chex.Array, times: int) -> chex.Array:
    """Periodic values (..., M) on `times` as many nodes, (..., times M): the same piecewise linear
    function."""
    here, there = values[..., None], jnp.roll(values, -1, axis=-1)[..., None]
    between = here + (there - here) * (jnp.arange(times) / times)
    return between.reshape(*values.shape[:-1], -1)


def along(values: chex.Array, tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Linear interpolation of plan values (T, M) on circuit `track` at centre-line arc length `s`
    (...) m."""
    nodes = values.shape[-1]
    position = jnp.mod(s / tracks.length[track], 1.0) * nodes
    index = jnp.floor(position).astype(jnp.int32)
    flat, start = values.reshape(-1), track * nodes
    here = jnp.take(flat, start + jnp.mod(index, nodes), mode="clip")
    there = jnp.take(flat, start + jnp.mod(index + 1, nodes), mode="clip")
    return here + (position - index) * (there - here)
