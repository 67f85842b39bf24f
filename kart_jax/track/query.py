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

from kart_jax.track.types import Column, TrackPoint, Tracks
from kart_jax.xla.bounds import at_least, at_most, within
from kart_jax.xla.sines import cos_sin

PAST_CENTRE = 0.2  # 1 - k v at and beyond which the arc is measured as if the point were there


def nearest_sample(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> chex.Array:
    """Index (...) int32 of the sample whose asphalt is nearest to the cell of (x, y); outside the
    grid its border."""
    height, width = tracks.cells.shape[1:]
    column = _cell(x - tracks.origin[track, 0], tracks.extent[track, 0], tracks.cell_size)
    row = _cell(y - tracks.origin[track, 1], tracks.extent[track, 1], tracks.cell_size)
    flat = (track * height + row) * width + column
    return jnp.take(tracks.cells.reshape(-1), flat, mode="clip").astype(jnp.int32)


def sample_at(tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Number of the sample nearest to arc length `s` (...) m in [0, length); int32 (...)."""
    index = jnp.round(s * (1.0 / tracks.spacing[track])).astype(jnp.int32)
    return jnp.where(index >= tracks.count[track], 0, index)


def _cell(position: chex.Array, extent: chex.Array, size: float) -> chex.Array:
    """Number of the cell at `position` m from the origin, within the circuit's own cells."""
    return within(position * (1.0 / size), 0.0, extent * (1.0 / size) - 0.5).astype(jnp.int32)


def project(
    tracks: Tracks, track: chex.Array, index: chex.Array, x: chex.Array, y: chex.Array
) -> TrackPoint:
    """Project (x, y) onto the local curve of sample `index`; all arguments broadcast, see the
    module docstring."""
    rows = tracks.samples.shape[1]
    row = jnp.take(
        tracks.samples.reshape(-1, len(Column)), track * rows + index, axis=0, mode="clip"
    )
    tx, ty, k = row[..., Column.TX], row[..., Column.TY], row[..., Column.CURVATURE]
    dx, dy = x - row[..., Column.X], y - row[..., Column.Y]
    u, v = tx * dx + ty * dy, tx * dy - ty * dx
    ku, kv = k * u, 1.0 - k * v
    n = (2.0 * v - k * (u * u + v * v)) / (1.0 + jnp.sqrt(ku * ku + kv * kv + 1e-12))
    safe = at_least(kv, PAST_CENTRE)
    arc = u / safe
    q = k * arc
    arc = arc / (
        1.0 + q * q / 3.0
    )  # atan(q) / q = 1 / (1 + q² / 3) to 1e-4 for the q of half a spacing
    # The slope of the curvature, held to one spacing: a point far outside the grid is not near its
    # sample.
    near = within(arc, -tracks.spacing[track], tracks.spacing[track])
    turn = row[..., Column.CURVATURE_SLOPE] * near * near * 0.5
    n = n - turn * near * (1 / 3)
    arc = arc + n * turn / at_least(1.0 - k * n, PAST_CENTRE)
    angle = k * arc + turn
    c, d = cos_sin(angle)
    # Of its sample no s is beyond the lap; the bound is there so that no compiler rounds product
    # and sum as one, and s is the same in every program.
    s = _within_lap(
        at_most(index * tracks.spacing[track], tracks.length[track]) + arc, tracks.length[track]
    )
    left = n > 0
    half_left = row[..., Column.HALF_LEFT] + row[..., Column.HALF_LEFT_SLOPE] * near
    half_right = row[..., Column.HALF_RIGHT] + row[..., Column.HALF_RIGHT_SLOPE] * near
    barrier = jnp.where(
        left,
        row[..., Column.BARRIER_LEFT] + row[..., Column.BARRIER_LEFT_SLOPE] * near,
        row[..., Column.BARRIER_RIGHT] + row[..., Column.BARRIER_RIGHT_SLOPE] * near,
    )
    kerb = jnp.where(
        left,
        row[..., Column.KERB_LEFT] + row[..., Column.KERB_LEFT_SLOPE] * near,
        row[..., Column.KERB_RIGHT] + row[..., Column.KERB_RIGHT_SLOPE] * near,
    )
    return TrackPoint(
        s=s,
        n=n,
        tx=c * tx - d * ty,
        ty=d * tx + c * ty,
        curvature=k + row[..., Column.CURVATURE_SLOPE] * near,
        half_left=half_left,
        half_right=half_right,
        edge=jnp.abs(n) - jnp.where(left, half_left, half_right),
        barrier=barrier - jnp.abs(n),
        kerb=within(kerb, 0.0, 1.0),
        rubber=row[..., Column.RUBBER] + row[..., Column.RUBBER_SLOPE] * near,
    )


def _within_lap(s: chex.Array, length: chex.Array) -> chex.Array:
    """Arc length `s` (...) m brought into [0, length), without the library's call for each that
    `jnp.mod` is."""
    s = s - length * jnp.floor(s * (1.0 / length))
    s = jnp.where(s < 0.0, s + length, s)
    return jnp.where(s >= length, 0.0, s)  # what is less than the lap by less than float32 can tell


def locate(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> TrackPoint:
    """Find (x, y) on circuit `track`.

    Args:
        tracks: the stack of circuits.
        track: () or (...) int32, which circuit.
        x, y: (...) m, world.

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
    first = project(
        tracks, track, nearest_sample(tracks, track, inside_x, inside_y), inside_x, inside_y
    )
    point = project(tracks, track, sample_at(tracks, track, first.s), inside_x, inside_y)
    return point.replace(
        n=point.n + jnp.where(point.n > 0, beyond, -beyond),
        edge=point.edge + beyond,
        barrier=point.barrier - beyond,
    )


def pose_at(
    tracks: Tracks, track: chex.Array, s: chex.Array, n: chex.Array | float = 0.0
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """World x, y (m) and heading (rad) of the point at arc length `s` and offset `n`; shapes
    broadcast."""
    rows = tracks.samples.shape[1]
    spacing = tracks.spacing[track]
    position = jnp.mod(s, tracks.length[track]) / spacing
    index = jnp.round(position)
    a = (position - index) * spacing
    index = jnp.mod(index.astype(jnp.int32), tracks.count[track])
    row = jnp.take(
        tracks.samples.reshape(-1, len(Column)), track * rows + index, axis=0, mode="clip"
    )
    tx, ty, k = row[..., Column.TX], row[..., Column.TY], row[..., Column.CURVATURE]
    turn = row[..., Column.CURVATURE_SLOPE] * a * a / 2.0
    bend = k * a
    along = a * (1.0 - bend * bend / 6.0)
    across = a * (bend / 2.0 * (1.0 - bend * bend / 12.0) + turn / 3.0)
    c, d = jnp.cos(bend + turn), jnp.sin(bend + turn)
    hx, hy = c * tx - d * ty, d * tx + c * ty
    x = row[..., Column.X] + along * tx - across * ty - n * hy
    y = row[..., Column.Y] + along * ty + across * tx + n * hx
    return x, y, jnp.arctan2(hy, hx)
