"""The racing line: the path of least squared curvature inside the corridor, found by an
interior-point method.

Minimise  E(n) = 1/2 sum_i r_i²,  r = curvature * sqrt(stretch) (so that E approximates half the integral of the
squared curvature along the path), subject to low <= n <= high. Each iteration linearises r about the present n
(Gauss-Newton) and takes one primal-dual step towards the central path (Nocedal & Wright 2006, ch. 19). With
J = dr/dn tridiagonal and the barrier weight W = z_low/(n - low) + z_high/(high - n), the step d solves

    [ W  J^T ] [ d ]   [ mu/(n - low) - mu/(high - n) ]
    [ J  -I  ] [ m ] = [ -r                           ]

where m = r + J d is the new residual. Keeping m as an unknown, and not squaring J, keeps float32
accurate enough: the condition number is that of J. Two unknowns per node make it periodic
block-tridiagonal: see `cyclic.solve`.
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.drivers import cyclic, path
from kart_jax.drivers.path import Corridor

ITERATIONS = 60
CENTRING = 0.6  # factor on the barrier parameter from one iteration to the next
START = 1e-2  # barrier parameter at the start; the end is START * CENTRING**ITERATIONS, far below what moves the line
FLOOR = 1e-7  # smallest barrier parameter, where float32 ends


def _residual(
    n: chex.Array, slope: chex.Array, bend: chex.Array, k: chex.Array, k_slope: chex.Array
) -> chex.Array:
    """Curvature weighted by the square root of the stretch, at one node."""
    curvature, stretch = path.curvature_of(n, slope, bend, k, k_slope)
    return curvature * jnp.sqrt(stretch)


def _newton_step(n: chex.Array, lane: Corridor, weight: chex.Array, pull: chex.Array) -> chex.Array:
    """Solve the system of the module docstring for the step d (M,)."""
    slope, bend = path.first_difference(n, lane.step), path.second_difference(n, lane.step)
    arguments = (n, slope, bend, lane.curvature, path.first_difference(lane.curvature, lane.step))
    residual = _residual(*arguments)
    by_n, by_slope, by_bend = jax.vmap(jax.grad(_residual, argnums=(0, 1, 2)))(*arguments)
    curve, lean = by_bend / lane.step**2, by_slope / (2 * lane.step)
    before, here, after = curve - lean, by_n - 2 * curve, curve + lean
    zero = jnp.zeros_like(n)

    def blocks(a: chex.Array, b: chex.Array, c: chex.Array, d: chex.Array) -> chex.Array:
        return jnp.stack([jnp.stack([a, b], -1), jnp.stack([c, d], -1)], -2)

    solution = cyclic.solve(
        blocks(zero, jnp.roll(after, 1), before, zero),
        blocks(weight, here, here, zero - 1.0),
        blocks(zero, jnp.roll(before, -1), after, zero),
        jnp.stack([pull, -residual], -1),
    )
    return solution[:, 0]


def _reach(value: chex.Array, change: chex.Array) -> chex.Array:
    """Largest step <= 1 that keeps 5 % of every positive (M,) value when it moves by `change`."""
    return jnp.minimum(
        1.0, jnp.min(jnp.where(change < 0, -0.95 * value / jnp.minimum(change, -1e-12), 1.0))
    )


def minimise(lane: Corridor) -> chex.Array:
    """Offsets (M,) m of the minimum-curvature line in a corridor; M is a power of two."""

    def iterate(carry: tuple, _: None) -> tuple[tuple, None]:
        n, z_low, z_high, mu = carry
        above, below = n - lane.low, lane.high - n
        step = _newton_step(n, lane, z_low / above + z_high / below, mu / above - mu / below)
        change_low = (mu - z_low * step) / above - z_low
        change_high = (mu + z_high * step) / below - z_high
        size = jnp.minimum(_reach(above, step), _reach(below, -step))
        dual = jnp.minimum(_reach(z_low, change_low), _reach(z_high, change_high))
        mu = jnp.maximum(mu * CENTRING, FLOOR)
        return (n + size * step, z_low + dual * change_low, z_high + dual * change_high, mu), None

    n = (lane.low + lane.high) / 2
    half = (lane.high - lane.low) / 2
    start = (n, START / half, START / half, jnp.asarray(START, n.dtype))
    (n, _, _, _), _ = jax.lax.scan(iterate, start, None, length=ITERATIONS)
    return n
