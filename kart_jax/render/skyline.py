"""The trees behind the circuit: a fixed outline, so that heading shows on the horizon."""

import chex
import jax.numpy as jnp
import numpy as np

from kart_jax.xla.arithmetic import look_up, nearest, reciprocal
from kart_jax.xla.bounds import within

DIRECTIONS = 4096  # in which the outline is known
MEAN_HEIGHT = 0.040  # height over distance
MIN_HEIGHT = 0.004
WAVES = (  # waves per turn, phase in rad, height over distance
    (3.0, 0.4, 0.012),
    (7.0, 2.0, 0.010),
    (19.0, 1.1, 0.006),
    (53.0, 0.2, 0.004),
    (131.0, 0.9, 0.002),
)


def elevation(east: chex.Array, north: chex.Array) -> chex.Array:
    """Return the height over distance (...) of the trees in the direction (east, north) (...).

    One look-up by u = north / (|east| + |north|), which needs no arc tangent.
    """
    u = north * reciprocal(jnp.abs(east) + jnp.abs(north))
    p = jnp.where(east > 0, u, 2.0 - u)
    index = nearest(within((p + 1.0) * (0.25 * DIRECTIONS) - 0.5, 0.0, DIRECTIONS - 1.0))
    return look_up(jnp.asarray(_table()), index)


def _table() -> np.ndarray:
    """Return the heights over distance (DIRECTIONS,) float32 in the order of p in `elevation`."""
    p = (np.arange(DIRECTIONS) + 0.5) * (4.0 / DIRECTIONS) - 1.0
    west = p > 1.0
    u = np.where(west, 2.0 - p, p)
    angle = np.arctan2(u, np.where(west, -1.0, 1.0) * (1.0 - np.abs(u)))

    height = MEAN_HEIGHT + sum(size * np.sin(count * angle + phase) for count, phase, size in WAVES)
    return np.maximum(height, MIN_HEIGHT).astype(np.float32)
