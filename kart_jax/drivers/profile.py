"""The speed profile of a path: the fastest quasi-steady speeds that the kart's own limits allow.

The kart is a point mass. With u = v² and path curvature k, a lap is bounded by the corners,
k u <= a_lat(v), then by braking backwards and by driving forwards along it, with what the measured
g-g-v diagram leaves beside cornering at rho = |k| u / a_lat(v):

    u_{i+1} = u_i + 2 a ds,   a_brake = brake(v) share(v, rho),   a_drive = drive(v) - loss(v, rho)

(Brayshaw & Harrison 2005, "A quasi steady state approach to race car lap simulation"). Both passes
run twice round the lap so that the flying lap does not depend on where they start.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.path import Path

MIN_SPEED = 2.0  # m/s, lower bound of the profile, so that times stay finite


class GGVDiagram(struct.PyTreeNode):
    """What one kart can do: its g-g-v diagram, on S equal steps of speed from 0 to `max_speed`.

    The tables have V equal steps of speed over the same range and R equal steps of lateral
    acceleration from 0 to the limit at that speed.
    """

    lateral: chex.Array  # (S,) m/s², steady cornering
    drive: chex.Array  # (S,) m/s², best acceleration, straight; negative above the top speed
    brake: chex.Array  # (S,) m/s², best braking, straight, positive
    coast: chex.Array  # (S,) m/s², straight, closed throttle, negative
    drive_loss: chex.Array  # (V, R) m/s², less acceleration than on the straight
    scrub: chex.Array  # (V, R) m/s², more deceleration than on the straight when coasting
    brake_share: chex.Array  # (V, R) 0..1, of the braking on the straight
    max_speed: chex.Array  # () m/s, speed of the last entry


def at_speed(table: chex.Array, ggv: GGVDiagram, speed: chex.Array) -> chex.Array:
    """Interpolate a (S,) table linearly at speed (...) m/s; beyond the ends the end value."""
    last = table.shape[0] - 1
    position = jnp.clip(speed / ggv.max_speed, 0.0, 1.0) * last
    index = jnp.minimum(position.astype(jnp.int32), last - 1)
    low = jnp.take(table, index, mode="clip")
    high = jnp.take(table, index + 1, mode="clip")
    return low + (position - index) * (high - low)


def in_corner(
    table: chex.Array, ggv: GGVDiagram, speed: chex.Array, lateral: chex.Array
) -> chex.Array:
    """Interpolate a (V, R) table bilinearly at speed (...) and lateral acceleration (...).

    Args:
        table: of the diagram, or on its grid.
        ggv: whose limits the grid is laid over.
        speed: (...) m/s.
        lateral: (...) m/s², any sign.
    """
    rows, columns = table.shape
    row = jnp.clip(speed / ggv.max_speed, 0.0, 1.0) * (rows - 1)
    used = jnp.clip(jnp.abs(lateral) / at_speed(ggv.lateral, ggv, speed), 0.0, 1.0)
    column = used * (columns - 1)
    low = jnp.minimum(row.astype(jnp.int32), rows - 2)
    left = jnp.minimum(column.astype(jnp.int32), columns - 2)

    flat = table.reshape(-1)
    corner = low * columns + left
    right_part = column - left

    def across(index: chex.Array) -> chex.Array:
        here = jnp.take(flat, index, mode="clip")
        there = jnp.take(flat, index + 1, mode="clip")
        return here + right_part * (there - here)

    slower = across(corner)
    faster = across(corner + columns)
    return slower + (row - low) * (faster - slower)


def corner_speed(curvature: chex.Array, ggv: GGVDiagram) -> chex.Array:
    """Return the highest speed (...) m/s with |k| v² <= a_lat(v), at most `max_speed`.

    Args:
        curvature: (...) 1/m, any sign.
        ggv: of the kart.
    """
    grid = jnp.linspace(0.0, 1.0, ggv.lateral.shape[0]) * ggv.max_speed
    tightest = ggv.lateral / jnp.maximum(grid, 0.1) ** 2  # falls with speed
    tightest = jnp.flip(jax.lax.cummax(jnp.flip(tightest)))
    # Interpolate in 1/sqrt(k), a radius-like quantity that is nearly linear in speed.
    reach = jax.lax.rsqrt(tightest)
    target = jax.lax.rsqrt(jnp.maximum(jnp.abs(curvature), 1e-6))
    return jnp.maximum(jnp.interp(target, reach, grid), MIN_SPEED)


def speeds(
    path: Path,
    step: chex.Array,
    ggv: GGVDiagram,
    grip_fraction: chex.Numeric = 1.0,
    brake_fraction: chex.Numeric = 1.0,
) -> chex.Array:
    """Return the speed (M,) m/s at each node of a flying lap.

    Args:
        path: the path on M nodes.
        step: () m, centre-line arc length between nodes.
        ggv: of the kart.
        grip_fraction: () or (M,), part of the lateral limit that the profile counts on.
        brake_fraction: () or (M,), the same of the braking limit.
    """
    # Only part of the lateral limit is there: the same as a corner that much tighter.
    curvature = path.curvature / grip_fraction
    brake_fraction = jnp.broadcast_to(brake_fraction, path.curvature.shape)
    cornering = corner_speed(curvature, ggv) ** 2
    gap = _gaps(path, step)

    def brake(square: chex.Array, node: tuple) -> tuple[chex.Array, chex.Array]:
        top, k, ds, fraction = node
        v = jnp.sqrt(square)
        straight = fraction * at_speed(ggv.brake, ggv, v)
        deceleration = straight * in_corner(ggv.brake_share, ggv, v, k * square)
        square = jnp.minimum(top, square + 2.0 * deceleration * ds)
        return square, square

    def drive(square: chex.Array, node: tuple) -> tuple[chex.Array, chex.Array]:
        top, k, ds = node
        v = jnp.sqrt(square)
        loss = in_corner(ggv.drive_loss, ggv, v, k * square)
        acceleration = at_speed(ggv.drive, ggv, v) - loss
        square = jnp.clip(square + 2.0 * acceleration * ds, MIN_SPEED**2, top)
        return square, square

    # Backwards, node i is reached from node i + 1 over gap i.
    nodes = (cornering, jnp.roll(curvature, -1), gap, jnp.roll(brake_fraction, -1))
    braked = _twice_round(brake, cornering[0], nodes, reverse=True)

    # Forwards, node i is reached from node i - 1 over gap i - 1.
    nodes = (braked, jnp.roll(curvature, 1), jnp.roll(gap, 1))
    return jnp.sqrt(_twice_round(drive, braked[0], nodes, reverse=False))


def _twice_round(
    walk: Callable[[chex.Array, tuple], tuple[chex.Array, chex.Array]],
    start: chex.Array,
    nodes: tuple,
    reverse: bool,
) -> chex.Array:
    """Return the squares (M,) of the second of two rounds; the first finds where it starts."""
    start, _ = jax.lax.scan(walk, start, nodes, reverse=reverse)
    return jax.lax.scan(walk, start, nodes, reverse=reverse)[1]


def accelerations(speed: chex.Array, path: Path, step: chex.Array) -> chex.Array:
    """Return the acceleration (M,) m/s² along the path that the profile (M,) m/s asks for."""
    square = speed * speed
    return (jnp.roll(square, -1) - jnp.roll(square, 1)) / (4.0 * step * path.stretch)


def lap_time(speed: chex.Array, path: Path, step: chex.Array) -> chex.Array:
    """Return the time () s of one lap at the given speeds (M,) m/s."""
    return jnp.sum(2.0 * _gaps(path, step) / (speed + jnp.roll(speed, -1)))


def _gaps(path: Path, step: chex.Array) -> chex.Array:
    """Return the metres of path (M,) from node i to node i + 1."""
    return 0.5 * (path.stretch + jnp.roll(path.stretch, -1)) * step
