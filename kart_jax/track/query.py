"""Where a point of the plane lies on a circuit: progress, offset, surface, barrier. Pure JAX.

The nearest sample comes from the cell index; the point is then projected onto the circle of that sample's
curvature, which is exact on straights and in bends of constant radius. With the point at (u, v) in the
frame of the sample (u along the tangent, v to the left) and curvature k, the circle's centre is (0, 1/k), so

    n = (2 v - k (u² + v²)) / (1 + sqrt((k u)² + (1 - k v)²)),    s = s_i + atan2(k u, 1 - k v) / k

which needs no division by k (the arc is written u / (1 - k v) times atan(q)/q with q = k u / (1 - k v)).
"""

import chex
import jax.numpy as jnp

from kart_jax.track.types import Column, TrackPoint, Tracks


def nearest_sample(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> chex.Array:
    """Index (...) int32 of the centre-line sample nearest to the cell of (x, y); outside the grid the border cell."""
    height, width = tracks.cells.shape[1:]
    ox, oy = tracks.origin[track, 0], tracks.origin[track, 1]
    column = jnp.clip((x - ox) / tracks.cell_size, 0, width - 1).astype(jnp.int32)
    row = jnp.clip((y - oy) / tracks.cell_size, 0, height - 1).astype(jnp.int32)
    flat = (track * height + row) * width + column
    return jnp.take(tracks.cells.reshape(-1), flat, mode="clip").astype(jnp.int32)


def project(tracks: Tracks, track: chex.Array, index: chex.Array, x: chex.Array, y: chex.Array) -> TrackPoint:
    """Project (x, y) onto the local circle of sample `index`; all arguments broadcast, see the module docstring."""
    rows = tracks.samples.shape[1]
    row = jnp.take(tracks.samples.reshape(-1, len(Column)), track * rows + index, axis=0, mode="clip")
    tx, ty, k = row[..., Column.TX], row[..., Column.TY], row[..., Column.CURVATURE]
    dx, dy = x - row[..., Column.X], y - row[..., Column.Y]
    u, v = tx * dx + ty * dy, tx * dy - ty * dx
    ku, kv = k * u, 1.0 - k * v
    root = jnp.sqrt(ku * ku + kv * kv + 1e-12)
    n = (2.0 * v - k * (u * u + v * v)) / (1.0 + root)
    safe = jnp.maximum(kv, 0.2)  # only a point past four fifths of the way to the bend's centre is limited
    q = ku / safe
    arc = u / safe * (1.0 / (1.0 + q * q / 3.0))
    length = tracks.length[track]
    s = jnp.mod(index * tracks.spacing[track] + arc, length)
    left = n > 0
    half_left, half_right = row[..., Column.HALF_LEFT], row[..., Column.HALF_RIGHT]
    barrier = jnp.where(left, row[..., Column.BARRIER_LEFT], row[..., Column.BARRIER_RIGHT])
    # The tangent at the foot of the point: the sample's tangent turned by the arc's angle.
    c, d = kv / root, ku / root
    return TrackPoint(
        s=s,
        n=n,
        tx=c * tx - d * ty,
        ty=d * tx + c * ty,
        curvature=k,
        half_left=half_left,
        half_right=half_right,
        edge=jnp.abs(n) - jnp.where(left, half_left, half_right),
        barrier=barrier - jnp.abs(n),
        kerb=jnp.where(left, row[..., Column.KERB_LEFT], row[..., Column.KERB_RIGHT]),
        rubber=row[..., Column.RUBBER],
    )


def locate(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> TrackPoint:
    """Find (x, y) on circuit `track`.

    Args:
        tracks: the stack of circuits.
        track: () or (...) int32, which circuit.
        x, y: (...) m, world.

    Returns:
        A `TrackPoint` with fields of shape (...). One Newton step is taken: the sample nearest to the first foot
        is looked up again, so that the circle used is at most half a spacing away.
    """
    first = project(tracks, track, nearest_sample(tracks, track, x, y), x, y)
    count = tracks.count[track]
    index = jnp.mod(jnp.round(first.s / tracks.spacing[track]).astype(jnp.int32), count)
    return project(tracks, track, index, x, y)


def pose_at(
    tracks: Tracks, track: chex.Array, s: chex.Array, n: chex.Array = 0.0
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """World x, y (m) and heading (rad) of the point at arc length `s` and offset `n`; shapes broadcast."""
    rows = tracks.samples.shape[1]
    spacing = tracks.spacing[track]
    position = jnp.mod(s, tracks.length[track]) / spacing
    index = jnp.floor(position).astype(jnp.int32)
    u = (position - index) * spacing
    index = jnp.mod(index, tracks.count[track])
    row = jnp.take(tracks.samples.reshape(-1, len(Column)), track * rows + index, axis=0, mode="clip")
    tx, ty, k = row[..., Column.TX], row[..., Column.TY], row[..., Column.CURVATURE]
    angle = k * u
    along = u * (1.0 - angle * angle / 6.0)
    across = u * angle / 2.0 * (1.0 - angle * angle / 12.0)
    c, d = jnp.cos(angle), jnp.sin(angle)
    hx, hy = c * tx - d * ty, d * tx + c * ty
    x = row[..., Column.X] + along * tx - across * ty - n * hy
    y = row[..., Column.Y] + along * ty + across * tx + n * hx
    return x, y, jnp.arctan2(hy, hx)
