"""The most that the brakes give, in closed form: where the driver's measuring ramps begin to press
the pedal."""

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics import load, tyre
from kart_jax.physics.params import KartParams


def _resistance(speed: chex.Array, params: KartParams) -> chex.Array:
    """Air drag and rolling resistance (N)."""
    air = 0.5 * params.air_density * params.drag_area * speed * speed
    return air + params.rolling_asphalt * params.mass * params.gravity


def brake_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Best straight-line deceleration (m/s², positive): braked axles at peak friction, drag
    helping.

    An axle with less brake torque than grip gives its torque.
    """

    def slow(_: int, decel: chex.Array) -> chex.Array:
        front_load, rear_load = (0.5 * axle for axle in load.axle_loads(-decel, params))
        one = jnp.ones_like(speed)
        front = (
            front_load
            * params.front_tyre.friction_ratio
            * tyre.friction(front_load, one, params.front_tyre)
        )
        rear = (
            rear_load
            * params.rear_tyre.friction_ratio
            * tyre.friction(rear_load, one, params.rear_tyre)
        )
        front = 2.0 * jnp.minimum(front, params.front_brake / params.front_tyre.radius)
        rear = jnp.minimum(2.0 * rear, params.rear_brake / params.rear_tyre.radius)
        return (front + rear + _resistance(speed, params)) / params.mass

    return jax.lax.fori_loop(0, 8, slow, jnp.zeros_like(speed))
