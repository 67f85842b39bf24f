"""Stripes along the lap: square waves that are smoothed over the pixel's footprint."""

import chex
import jax.numpy as jnp

from kart_jax.xla.bounds import within


def whole_frequency(length: chex.Array, period: float) -> chex.Array:
    """Return the frequency () in 1/m, near 1 / `period`, that fits a lap a whole number of times.

    Args:
        length: () m, of the lap.
        period: m, as wanted.
    """
    return jnp.maximum(jnp.round(length / period), 1.0) / length


def triangle_wave(x: chex.Array, frequency: chex.Array | float) -> chex.Array:
    """Return the distance of x from the nearest change of a square wave, in periods.

    It is -1/4..1/4, and positive in the first half of each period.
    """
    phase = x * frequency + 0.25
    return 0.25 - jnp.abs(phase - jnp.floor(phase) - 0.5)


def square_wave(x: chex.Array, frequency: chex.Array, sharp: chex.Array) -> chex.Array:
    """Return +1 in the first half of each period and -1 in the second, smoothed over a footprint.

    With d the distance to the nearest change, positive in the first half, the value is clip(2 d
    sharp, -1, 1): the share that a footprint covers while it is shorter than half a period, and
    fading as it grows beyond.

    Args:
        x: m along the wave.
        frequency: () periods per m.
        sharp: 1/m, one over the footprint's length along x.
    """
    return within(triangle_wave(x, frequency) * (2.0 / frequency) * sharp, -1.0, 1.0)
