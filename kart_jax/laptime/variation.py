"""A plan varied by a few numbers round the lap: another line, other parts of the grip and of the
brakes in use.

Every quantity is a periodic uniform cubic B-spline on K equal steps of centre-line arc length, so
that offset, slope and curvature of the line stay continuous and each number acts on two steps to
either side of its place only:

    x(s) = sum_j c_j B(s K / L - j),   B(u) = 2/3 - u² + |u|³/2 for |u| < 1, (2 - |u|)³/6 for 1 <= |u| < 2, else 0

(de Boor 1978, "A practical guide to splines"). The line has a second set of numbers whose B is
`BROAD` times as wide: a long bend is driven further in or out as a whole, which its narrow numbers
could only do one dent after the other, each slower than the line before. All numbers zero is the
plan itself.
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers import path, profile
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.types import Plan

BROAD = 4  # width of the broad moves of the line, in steps between places
LEAST_USE, MOST_USE = 0.7, 1.3  # parts of the measured limits outside of which no plan is tried


class Variation(struct.PyTreeNode):
    """Coefficients of the splines, at the places j L / K, j = 0 .. K - 1."""

    offset: chex.Array  # (K,) m, added to the line, positive = left
    shift: chex.Array  # (K,) m, the same, broadly
    use: chex.Array  # (K,) added to the part of the lateral limit that the speeds count on
    use_brake: chex.Array  # (K,) added to the part of the braking limit


def still(knots: int) -> Variation:
    """The variation of `knots` places that changes nothing."""
    return Variation(*jnp.zeros((4, knots)))


def spline(coefficients: chex.Array, nodes: int) -> chex.Array:
    """Values (M,) of the module docstring's spline at `nodes` equal steps round the lap;
    coefficients (K,), K >= 4."""
    knots = coefficients.shape[0]
    place = jnp.arange(nodes) * (knots / nodes)
    first = jnp.floor(place).astype(jnp.int32)
    t = place - first
    weights = (
        (1 - t) ** 3 / 6,
        2 / 3 - t * t + t**3 / 2,
        2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2,
        t**3 / 6,
    )
    return sum(w * coefficients[jnp.mod(first + k - 1, knots)] for k, w in enumerate(weights))  # type: ignore[return-value]


def broadened(coefficients: chex.Array) -> chex.Array:
    """Coefficients (K,) of `spline` for broad moves of (K,) m: sum_j c_j B((i - j) / BROAD), round
    the lap."""
    u = jnp.abs(jnp.arange(1 - 2 * BROAD, 2 * BROAD)) / BROAD
    weights = jnp.where(u < 1, 2 / 3 - u * u + u**3 / 2, (2 - u) ** 3 / 6)
    places = jnp.arange(coefficients.shape[0])[:, None] - jnp.arange(1 - 2 * BROAD, 2 * BROAD)
    return coefficients[jnp.mod(places, coefficients.shape[0])] @ weights


def vary(plan: Plan, lane: Corridor, use: float, use_brake: float, change: Variation) -> Plan:
    """The plan with its line moved and its speeds computed anew.

    Args:
        plan: for one circuit (T = 1) on M nodes.
        lane: where the line may lie, on M nodes.
        use, use_brake: parts of the lateral and of the braking limit that `plan` counts on.
        change: coefficients.
    """
    nodes = plan.speed.shape[-1]
    wanted = plan.path.offset[0] + spline(change.offset + broadened(change.shift), nodes)
    way = path.build(jnp.clip(wanted, lane.low, lane.high), lane)
    part, part_brake = (
        jnp.clip(base + spline(added, nodes), LEAST_USE, MOST_USE)
        for base, added in ((use, change.use), (use_brake, change.use_brake))
    )
    speed = profile.speeds(way, lane.step, plan.limits, part, part_brake)
    acceleration = profile.accelerations(speed, way, lane.step)
    time = profile.lap_time(speed, way, lane.step)
    way, speed, acceleration = (
        way.replace(
            offset=way.offset[None],
            curvature=way.curvature[None],
            angle=way.angle[None],
            stretch=way.stretch[None],
        ),
        speed[None],
        acceleration[None],
    )
    return plan.replace(path=way, speed=speed, acceleration=acceleration, lap_time=time[None])
