"""The racing line: the path of least squared curvature inside the corridor, by an interior point.

Minimise  E(n) = 1/2 sum_i r_i²,  r = curvature * sqrt(stretch)  (so that E approximates half the
integral of the squared curvature along the path), subject to low <= n <= high. Each iteration
linearises r about the present n (Gauss-Newton) and takes one primal-dual step towards the central
path (Nocedal & Wright 2006, ch. 19). With J = dr/dn tridiagonal and the barrier weight
W = z_low/(n - low) + z_high/(high - n), the step d solves

    [ W  J^T ] [ d ]   [ mu/(n - low) - mu/(high - n) ]
    [ J  -I  ] [ m ] = [ -r                           ]

where m = r + J d is the new residual. Keeping m as an unknown, and not squaring J, keeps float32
accurate enough: the condition number is that of J. Two unknowns per node make it periodic
block-tridiagonal: see `cyclic.solve`.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers import cyclic, path
from kart_jax.drivers.path import Corridor

ITERATIONS = 60
CENTRING = 0.6  # factor on the barrier parameter from one iteration to the next
START_BARRIER = 1e-2  # barrier parameter mu at the start; its end is far below what moves the line
MIN_BARRIER = 1e-7  # smallest barrier parameter, where float32 ends


class InteriorPoint(struct.PyTreeNode):
    """Where the iteration stands."""

    n: chex.Array  # (M,) m, offsets, strictly inside the corridor
    z_low: chex.Array  # (M,) multipliers of n >= low, positive
    z_high: chex.Array  # (M,) multipliers of n <= high, positive
    mu: chex.Array  # () barrier parameter


def minimise(corridor: Corridor) -> chex.Array:
    """Return the offsets (M,) m of the minimum-curvature line; M is a power of two."""

    def iterate(point: InteriorPoint, _: None) -> tuple[InteriorPoint, None]:
        return _primal_dual_step(point, corridor), None

    half_width = (corridor.high - corridor.low) / 2
    start = InteriorPoint(
        n=(corridor.low + corridor.high) / 2,
        z_low=START_BARRIER / half_width,
        z_high=START_BARRIER / half_width,
        mu=jnp.asarray(START_BARRIER, half_width.dtype),
    )
    point, _ = jax.lax.scan(iterate, start, None, length=ITERATIONS)
    return point.n


def _primal_dual_step(point: InteriorPoint, corridor: Corridor) -> InteriorPoint:
    """Take one step towards the central path, as far as the bounds allow."""
    n, z_low, z_high, mu = point.n, point.z_low, point.z_high, point.mu
    above = n - corridor.low
    below = corridor.high - n
    step = _newton_step(n, corridor, z_low / above + z_high / below, mu / above - mu / below)

    change_low = (mu - z_low * step) / above - z_low
    change_high = (mu + z_high * step) / below - z_high
    primal = jnp.minimum(_step_to_bound(above, step), _step_to_bound(below, -step))
    dual = jnp.minimum(_step_to_bound(z_low, change_low), _step_to_bound(z_high, change_high))

    return InteriorPoint(
        n=n + primal * step,
        z_low=z_low + dual * change_low,
        z_high=z_high + dual * change_high,
        mu=jnp.maximum(mu * CENTRING, MIN_BARRIER),
    )


def _newton_step(
    n: chex.Array, corridor: Corridor, weight: chex.Array, pull: chex.Array
) -> chex.Array:
    """Solve the system of the module docstring for the step d (M,)."""
    step = corridor.step
    dn = path.first_difference(n, step)
    d2n = path.second_difference(n, step)
    dk = path.first_difference(corridor.curvature, step)
    arguments = (n, dn, d2n, corridor.curvature, dk)
    residual = _residual(*arguments)

    # The three diagonals of J: a node moves n, n' and n'' of itself and of its neighbours.
    by_n, by_dn, by_d2n = jax.vmap(jax.grad(_residual, argnums=(0, 1, 2)))(*arguments)
    second = by_d2n / step**2
    first = by_dn / (2 * step)
    before = second - first
    here = by_n - 2 * second
    after = second + first

    zero = jnp.zeros_like(n)
    solution = cyclic.solve(
        _blocks(zero, jnp.roll(after, 1), before, zero),
        _blocks(weight, here, here, zero - 1.0),
        _blocks(zero, jnp.roll(before, -1), after, zero),
        jnp.stack([pull, -residual], -1),
    )
    return solution[:, 0]


def _residual(
    n: chex.Array, dn: chex.Array, d2n: chex.Array, k: chex.Array, dk: chex.Array
) -> chex.Array:
    """Return the curvature times the square root of the stretch, at one node."""
    curvature, stretch = path.curvature_and_stretch(n, dn, d2n, k, dk)
    return curvature * jnp.sqrt(stretch)


def _blocks(a: chex.Array, b: chex.Array, c: chex.Array, d: chex.Array) -> chex.Array:
    """Stack entries (M,) to blocks [[a, b], [c, d]] (M, 2, 2)."""
    return jnp.stack([jnp.stack([a, b], -1), jnp.stack([c, d], -1)], -2)


def _step_to_bound(value: chex.Array, change: chex.Array) -> chex.Array:
    """Return the largest step () <= 1 that keeps 5 % of every positive value (M,)."""
    share = jnp.where(change < 0, -0.95 * value / jnp.minimum(change, -1e-12), 1.0)
    return jnp.minimum(1.0, jnp.min(share))
