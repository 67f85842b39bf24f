"""The speed profile of a path: the fastest speeds that the kart's own limits allow, point mass,
quasi-steady.

With u = v² and path curvature k, a lap is bounded by the bends, k u <= a_lat(v), then by braking
backwards and by driving forwards along it, with what the measured g-g-v diagram leaves beside
cornering at rho = |k| u / a_lat(v):

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

SLOWEST = 2.0  # m/s, lower bound of the profile, so that times stay finite


class Limits(struct.PyTreeNode):
    """The g-g-v diagram of one kart, on S equal steps of speed from 0 to `top`.

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
    top: chex.Array  # () m/s, speed of the last entry


def at_speed(table: chex.Array, limits: Limits, speed: chex.Array) -> chex.Array:
    """Linear interpolation of a (S,) table of `limits` at speed (...) m/s; beyond the ends the end
    value."""
    last = table.shape[0] - 1
    position = jnp.clip(speed / limits.top, 0.0, 1.0) * last
    index = jnp.minimum(position.astype(jnp.int32), last - 1)
    low, high = jnp.take(table, index, mode="clip"), jnp.take(table, index + 1, mode="clip")
    return low + (position - index) * (high - low)


def corner_speed(curvature: chex.Array, limits: Limits) -> chex.Array:
    """Highest speed (...) m/s with |k| v² <= a_lat(v), and at most `top`; curvature (...) 1/m."""
    grid = jnp.linspace(0.0, 1.0, limits.lateral.shape[0]) * limits.top
    tightest = limits.lateral / jnp.maximum(grid, 0.1) ** 2  # falls with speed
    tightest = jnp.flip(jax.lax.cummax(jnp.flip(tightest)))
    # Interpolate in 1/sqrt(k), a radius-like quantity that is nearly linear in speed.
    reach = jax.lax.rsqrt(tightest)
    wanted = jax.lax.rsqrt(jnp.maximum(jnp.abs(curvature), 1e-6))
    return jnp.maximum(jnp.interp(wanted, reach, grid), SLOWEST)


def in_bend(
    table: chex.Array, limits: Limits, speed: chex.Array, lateral: chex.Array
) -> chex.Array:
    """Bilinear interpolation of a (V, R) table at speed (...) m/s and lateral acceleration (...)
    m/s², any sign."""
    rows, columns = table.shape
    row = jnp.clip(speed / limits.top, 0.0, 1.0) * (rows - 1)
    column = jnp.clip(jnp.abs(lateral) / at_speed(limits.lateral, limits, speed), 0.0, 1.0) * (
        columns - 1
    )
    low = jnp.minimum(row.astype(jnp.int32), rows - 2)
    left = jnp.minimum(column.astype(jnp.int32), columns - 2)
    down, along = row - low, column - left
    flat, corner = table.reshape(-1), low * columns + left

    def across(index: chex.Array) -> chex.Array:
        here, there = jnp.take(flat, index, mode="clip"), jnp.take(flat, index + 1, mode="clip")
        return here + along * (there - here)

    near, far = across(corner), across(corner + columns)
    return near + down * (far - near)


def speeds(
    path: Path,
    step: chex.Array,
    limits: Limits,
    use: chex.Numeric = 1.0,
    use_brake: chex.Numeric = 1.0,
) -> chex.Array:
    """Speed (M,) m/s at each node of a flying lap.

    Args:
        path: the path on M nodes.
        step: () m, centre-line arc length between nodes.
        limits: the kart's limits.
        use, use_brake: () or (M,), part of the lateral and of the braking limit that the profile
            counts on.
    """
    # Only part `use` of the lateral limit is there: the same as a bend that much tighter.
    curvature, use_brake = path.curvature / use, jnp.broadcast_to(use_brake, path.curvature.shape)
    bend = corner_speed(curvature, limits) ** 2
    gap = 0.5 * (path.stretch + jnp.roll(path.stretch, -1)) * step  # from node i to i + 1

    def brake(square: chex.Array, node: tuple) -> tuple[chex.Array, chex.Array]:
        top, k, ds, part = node
        v = jnp.sqrt(square)
        room = (
            part
            * at_speed(limits.brake, limits, v)
            * in_bend(limits.brake_share, limits, v, k * square)
        )
        square = jnp.minimum(top, square + 2.0 * room * ds)
        return square, square

    def drive(square: chex.Array, node: tuple) -> tuple[chex.Array, chex.Array]:
        top, k, ds = node
        v = jnp.sqrt(square)
        push = at_speed(limits.drive, limits, v) - in_bend(limits.drive_loss, limits, v, k * square)
        square = jnp.clip(square + 2.0 * push * ds, SLOWEST**2, top)
        return square, square

    # Walking backwards, node i is reached from node i + 1 over gap i; forwards from node i - 1 over
    # gap i - 1.
    nodes = (bend, jnp.roll(curvature, -1), gap, jnp.roll(use_brake, -1))
    braked = _twice_round(brake, bend[0], nodes, reverse=True)
    nodes = (braked, jnp.roll(curvature, 1), jnp.roll(gap, 1))
    return jnp.sqrt(_twice_round(drive, braked[0], nodes, reverse=False))


def _twice_round(
    walk: Callable[[chex.Array, tuple], tuple[chex.Array, chex.Array]],
    start: chex.Array,
    nodes: tuple,
    reverse: bool,
) -> chex.Array:
    """Squares (M,) of the second of two rounds; the first only finds the speed at which it
    starts."""
    start, _ = jax.lax.scan(walk, start, nodes, reverse=reverse)
    return jax.lax.scan(walk, start, nodes, reverse=reverse)[1]


def accelerations(speed: chex.Array, path: Path, step: chex.Array) -> chex.Array:
    """Longitudinal acceleration (M,) m/s² along the path that the profile (M,) m/s asks for."""
    square = speed * speed
    return (jnp.roll(square, -1) - jnp.roll(square, 1)) / (4.0 * step * path.stretch)


def lap_time(speed: chex.Array, path: Path, step: chex.Array) -> chex.Array:
    """Time () s of one lap at the given speeds (M,) m/s."""
    gap = 0.5 * (path.stretch + jnp.roll(path.stretch, -1)) * step
    return jnp.sum(2.0 * gap / (speed + jnp.roll(speed, -1)))
