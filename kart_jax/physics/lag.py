"""First-order lag, for the driver's limbs and for the load transfer."""

import chex
import jax.numpy as jnp


def first_order_lag(
    value: chex.Array, target: chex.Array, lag: chex.Array, dt: float
) -> chex.Array:
    """Return value + (target - value)(1 - exp(-dt / lag)), which is exact for a constant target.

    Args:
        value: () now.
        target: () that it tends to.
        lag: () s, time constant.
        dt: s.
    """
    return value + (target - value) * -jnp.expm1(-dt / lag)
