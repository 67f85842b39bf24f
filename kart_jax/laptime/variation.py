"""A plan varied by a few numbers round the lap: its line, and the parts of grip and brakes it uses.

Every quantity is a periodic uniform cubic B-spline on J equal steps of centre-line arc length, so
that offset, slope and curvature of the line stay continuous and each number acts on two steps to
either side of its place only:

    x(s) = sum_j c_j B(s J / L - j),
    B(u) = 2/3 - u² + |u|³/2 for |u| < 1,  (2 - |u|)³/6 for 1 <= |u| < 2,  else 0

(de Boor 1978, "A practical guide to splines"). The line has a second set of numbers whose B is
`BROAD` times as wide: a long corner is driven further in or out as a whole, which its narrow
numbers could only do one dent after the other, each slower than the line before. All numbers zero
is the plan itself.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers import path as paths
from kart_jax.drivers import profile
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.types import Plan

BROAD = 4  # width of the broad moves of the line, in steps between places
MIN_FRACTION = 0.7  # of the measured limits, below which no plan is tried
MAX_FRACTION = 1.3  # of the measured limits, above which no plan is tried


class PlanVariation(struct.PyTreeNode):
    """Coefficients of the splines, at the places j L / J, j = 0 .. J - 1."""

    offset: chex.Array  # (J,) m, added to the line, positive = left
    broad_offset: chex.Array  # (J,) m, the same, broadly
    grip_fraction: chex.Array  # (J,) added to the part of the lateral limit that speeds count on
    brake_fraction: chex.Array  # (J,) added to the part of the braking limit


class UsedFractions(struct.PyTreeNode):
    """What a plan's speeds count on before it is varied."""

    grip: chex.Numeric  # () of the lateral limit
    brake: chex.Numeric  # () of the braking limit


def no_variation(knots: int) -> PlanVariation:
    """Return the variation of `knots` places that changes nothing."""
    return PlanVariation(*jnp.zeros((4, knots)))


def spline(coefficients: chex.Array, nodes: int) -> chex.Array:
    """Return the values (M,) of the spline of coefficients (J,) at `nodes` equal steps; J >= 4."""
    knots = coefficients.shape[0]
    position = jnp.arange(nodes) * (knots / nodes)
    first = jnp.floor(position).astype(jnp.int32)
    t = position - first
    weights = (
        (1 - t) ** 3 / 6,
        2 / 3 - t * t + t**3 / 2,
        2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2,
        t**3 / 6,
    )
    terms = [w * coefficients[jnp.mod(first + k - 1, knots)] for k, w in enumerate(weights)]
    return terms[0] + terms[1] + terms[2] + terms[3]


def broaden(coefficients: chex.Array) -> chex.Array:
    """Return coefficients (J,) of `spline` that make broad moves of (J,) m round the lap.

    They are sum_j c_j B((i - j) / BROAD).
    """
    neighbours = jnp.arange(1 - 2 * BROAD, 2 * BROAD)
    u = jnp.abs(neighbours) / BROAD
    weights = jnp.where(u < 1, 2 / 3 - u * u + u**3 / 2, (2 - u) ** 3 / 6)
    knots = coefficients.shape[0]
    places = jnp.arange(knots)[:, None] - neighbours
    return coefficients[jnp.mod(places, knots)] @ weights


def vary_plan(
    plan: Plan, corridor: Corridor, used: UsedFractions, variation: PlanVariation
) -> Plan:
    """Move the line of a plan and compute its speeds anew.

    Args:
        plan: for one circuit (T = 1) on M nodes.
        corridor: where the line may lie, on M nodes.
        used: parts of the limits that `plan` counts on.
        variation: coefficients.
    """
    nodes = plan.speed.shape[-1]
    moved = variation.offset + broaden(variation.broad_offset)
    offset = plan.path.offset[0] + spline(moved, nodes)
    path = paths.build(jnp.clip(offset, corridor.low, corridor.high), corridor)

    grip_fraction, brake_fraction = (
        jnp.clip(base + spline(added, nodes), MIN_FRACTION, MAX_FRACTION)
        for base, added in (
            (used.grip, variation.grip_fraction),
            (used.brake, variation.brake_fraction),
        )
    )
    speed = profile.speeds(path, corridor.step, plan.ggv, grip_fraction, brake_fraction)
    acceleration = profile.accelerations(speed, path, corridor.step)
    time = profile.lap_time(speed, path, corridor.step)

    return plan.replace(
        path=jax.tree.map(lambda leaf: leaf[None], path),
        speed=speed[None],
        acceleration=acceleration[None],
        lap_time=time[None],
    )
