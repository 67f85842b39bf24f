"""Where a point of the plane lies on a circuit: progress, offset, surface, barrier. Pure JAX.

The nearest sample comes from the cell index; the point is then projected onto the local curve
through that sample. With the point at (u, v) in the sample's frame (u along the tangent, v to the
left) and curvature k, the circle of curvature has its centre at (0, 1/k), so

    n = (2 v - k (u² + v²)) / (1 + sqrt((k u)² + (1 - k v)²)),    a = atan2(k u, 1 - k v) / k

are offset and arc length from the sample, which needs no division by k (the arc is written u / (1 -
k v) times atan(q)/q with q = k u / (1 - k v)). The curvature's slope k' turns the tangent at a by
k' a² / 2 more and moves the curve sideways by k' a³ / 6, which moves the foot by n k' a² / 2 / (1 -
k n). Half-widths, barrier and rubber are linear between samples by their own slopes. At most half a
spacing from the sample this is exact to below a millimetre in n for bends as tight as a kart's, and
continuous from sample to sample to the same accuracy.
"""

import chex
import jax.numpy as jnp

from kart_jax.track.types import SLOPES, SampleColumn, TrackPoint, Tracks
from kart_jax.xla.bounds import at_least, at_most, within
from kart_jax.xla.sines import cos_sin

PAST_CENTRE = 0.2  # 1 - k v at and beyond which the arc is measured as if the point were there


def nearest_sample(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> chex.Array:
    """Return the index (...) int32 of the sample whose asphalt is nearest to the cell of (x, y).

    Outside the grid its border counts.
    """
    height, width = tracks.cells.shape[1:]
    column = _cell(x - tracks.origin[track, 0], tracks.extent[track, 0], tracks.cell_size)
    row = _cell(y - tracks.origin[track, 1], tracks.extent[track, 1], tracks.cell_size)
    flat = (track * height + row) * width + column
    return jnp.take(tracks.cells.reshape(-1), flat, mode="clip").astype(jnp.int32)


def sample_at(tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Return the index (...) int32 of the sample nearest to `s` (...) m, in [0, length)."""
    index = jnp.round(s * (1.0 / tracks.spacing[track])).astype(jnp.int32)
    return jnp.where(index >= tracks.count[track], 0, index)


def project(
    tracks: Tracks, track: chex.Array, index: chex.Array, x: chex.Array, y: chex.Array
) -> TrackPoint:
    """Project (x, y) in m onto the local curve of sample `index`; see the module docstring.

    All arguments but `tracks` broadcast; `track` and `index` are int32.
    """
    row = _row(tracks, track, index)
    spacing, length = tracks.spacing[track], tracks.length[track]
    n, arc, near, turn = _foot(row, x, y, spacing)

    tx = row[..., SampleColumn.TX]
    ty = row[..., SampleColumn.TY]
    k = row[..., SampleColumn.CURVATURE]
    c, d = cos_sin(k * arc + turn)
    # Of its sample no s is beyond the lap; the bound is there so that no compiler rounds product
    # and sum as one, and s is the same in every program.
    s = _within_lap(at_most(index * spacing, length) + arc, length)

    left = n > 0
    half_left = _beside(row, SampleColumn.HALF_LEFT, near)
    half_right = _beside(row, SampleColumn.HALF_RIGHT, near)
    barrier = jnp.where(
        left,
        _beside(row, SampleColumn.BARRIER_LEFT, near),
        _beside(row, SampleColumn.BARRIER_RIGHT, near),
    )
    kerb = jnp.where(
        left,
        _beside(row, SampleColumn.KERB_LEFT, near),
        _beside(row, SampleColumn.KERB_RIGHT, near),
    )
    return TrackPoint(
        s=s,
        n=n,
        tx=c * tx - d * ty,
        ty=d * tx + c * ty,
        curvature=_beside(row, SampleColumn.CURVATURE, near),
        half_left=half_left,
        half_right=half_right,
        edge=jnp.abs(n) - jnp.where(left, half_left, half_right),
        barrier=barrier - jnp.abs(n),
        kerb=within(kerb, 0.0, 1.0),
        rubber=_beside(row, SampleColumn.RUBBER, near),
    )


def locate(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> TrackPoint:
    """Find (x, y) on circuit `track`.

    Args:
        tracks: the stack of circuits.
        track: () or (...) int32, which circuit.
        x: (...) m, world.
        y: (...) m, world.

    Returns:
        A `TrackPoint` with fields of shape (...). The sample nearest to the first foot is looked up
        again, so that the curve used is at most half a spacing away. A point outside the grid is
        projected from the grid's border, and its distance from there is added to the offset, so
        that nothing far away looks like asphalt.
    """
    low, size = tracks.origin[track], tracks.extent[track]
    inside_x = within(x, low[..., 0], low[..., 0] + size[..., 0])
    inside_y = within(y, low[..., 1], low[..., 1] + size[..., 1])
    beyond = jnp.abs(x - inside_x) + jnp.abs(y - inside_y)

    guess = nearest_sample(tracks, track, inside_x, inside_y)
    first = project(tracks, track, guess, inside_x, inside_y)
    point = project(tracks, track, sample_at(tracks, track, first.s), inside_x, inside_y)
    return point.replace(
        n=point.n + jnp.where(point.n > 0, beyond, -beyond),
        edge=point.edge + beyond,
        barrier=point.barrier - beyond,
    )


def pose_at(
    tracks: Tracks, track: chex.Array, s: chex.Array, n: chex.Array | float = 0.0
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return world x, y (m) and heading (rad) of the point at arc length `s` and offset `n`.

    Shapes broadcast.
    """
    spacing = tracks.spacing[track]
    position = jnp.mod(s, tracks.length[track]) / spacing
    index = jnp.round(position)
    a = (position - index) * spacing
    index = jnp.mod(index.astype(jnp.int32), tracks.count[track])
    row = _row(tracks, track, index)

    tx = row[..., SampleColumn.TX]
    ty = row[..., SampleColumn.TY]
    k = row[..., SampleColumn.CURVATURE]
    turn = row[..., SampleColumn.CURVATURE_SLOPE] * a * a / 2.0
    bend = k * a
    along = a * (1.0 - bend * bend / 6.0)
    across = a * (bend / 2.0 * (1.0 - bend * bend / 12.0) + turn / 3.0)

    c, d = jnp.cos(bend + turn), jnp.sin(bend + turn)
    hx, hy = c * tx - d * ty, d * tx + c * ty
    x = row[..., SampleColumn.X] + along * tx - across * ty - n * hy
    y = row[..., SampleColumn.Y] + along * ty + across * tx + n * hx
    return x, y, jnp.arctan2(hy, hx)


def _cell(position: chex.Array, extent: chex.Array, size: float) -> chex.Array:
    """Return the number of the cell at `position` m from the origin, within the circuit's own."""
    return within(position * (1.0 / size), 0.0, extent * (1.0 / size) - 0.5).astype(jnp.int32)


def _row(tracks: Tracks, track: chex.Array, index: chex.Array) -> chex.Array:
    """Return the row (..., 20) of sample `index` of circuit `track`."""
    rows = tracks.samples.shape[1]
    flat = tracks.samples.reshape(-1, len(SampleColumn))
    return jnp.take(flat, track * rows + index, axis=0, mode="clip")


def _foot(
    row: chex.Array, x: chex.Array, y: chex.Array, spacing: chex.Array
) -> tuple[chex.Array, chex.Array, chex.Array, chex.Array]:
    """Find the foot of (x, y) on the local curve of a sample's row.

    Returns:
        Offset n in m; arc length in m from the sample; the same held to one spacing; the angle in
        rad by which the curvature's slope turns the tangent there.
    """
    tx = row[..., SampleColumn.TX]
    ty = row[..., SampleColumn.TY]
    k = row[..., SampleColumn.CURVATURE]
    dx, dy = x - row[..., SampleColumn.X], y - row[..., SampleColumn.Y]
    u, v = tx * dx + ty * dy, tx * dy - ty * dx

    ku, kv = k * u, 1.0 - k * v
    n = (2.0 * v - k * (u * u + v * v)) / (1.0 + jnp.sqrt(ku * ku + kv * kv + 1e-12))
    safe = at_least(kv, PAST_CENTRE)
    arc = u / safe
    q = k * arc
    # atan(q) / q = 1 / (1 + q² / 3) to 1e-4 for the q of half a spacing
    arc = arc / (1.0 + q * q / 3.0)

    # The slope of the curvature, held to one spacing: a point far outside the grid is not near its
    # sample.
    near = within(arc, -spacing, spacing)
    turn = row[..., SampleColumn.CURVATURE_SLOPE] * near * near * 0.5
    n = n - turn * near * (1 / 3)
    arc = arc + n * turn / at_least(1.0 - k * n, PAST_CENTRE)
    return n, arc, near, turn


def _beside(row: chex.Array, column: SampleColumn, near: chex.Array) -> chex.Array:
    """Return the value of a column `near` metres along the line from its sample."""
    return row[..., column] + row[..., SLOPES[column]] * near


def _within_lap(s: chex.Array, length: chex.Array) -> chex.Array:
    """Return arc length `s` (...) m brought into [0, length).

    `jnp.mod` would be a call of the library for each.
    """
    s = s - length * jnp.floor(s * (1.0 / length))
    s = jnp.where(s < 0.0, s + length, s)
    return jnp.where(s >= length, 0.0, s)  # what is less than the lap by less than float32 can tell
