"""The most that the brakes give, in closed form: where measuring ramps begin to press the pedal."""

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics import load, tyre
from kart_jax.physics.params import GRAVITY, AirParams, KartParams, TyreParams


def _resistance(speed: chex.Array, params: KartParams, air: AirParams) -> chex.Array:
    """Return air drag and rolling resistance (N)."""
    drag = 0.5 * air.density * params.drag_area * speed * speed
    return drag + params.rolling_resistance * params.mass * GRAVITY


def _max_braking(wheel_load: chex.Array, tyre_params: TyreParams) -> chex.Array:
    """Return the peak longitudinal force (N) of a tyre under that load (N) on dry asphalt."""
    peak = tyre.friction(wheel_load, jnp.ones_like(wheel_load), tyre_params)
    return wheel_load * tyre_params.friction_ratio * peak


def brake_limit(speed: chex.Array, params: KartParams, air: AirParams) -> chex.Array:
    """Return the best straight-line deceleration (m/s², positive) at a speed (m/s), drag helping.

    Each braked axle is at peak friction, or gives its full torque where that is less than its grip.
    The load transfer, which depends on the result, is found by fixed-point iteration.
    """
    front_tyre, rear_tyre = params.front_tyre, params.rear_tyre
    max_front = params.front_brake / front_tyre.radius
    max_rear = params.rear_brake / rear_tyre.radius

    def refine(_: int, decel: chex.Array) -> chex.Array:
        front_load, rear_load = load.axle_loads(-decel, params)
        front = 2.0 * jnp.minimum(_max_braking(0.5 * front_load, front_tyre), max_front)
        rear = jnp.minimum(2.0 * _max_braking(0.5 * rear_load, rear_tyre), max_rear)
        return (front + rear + _resistance(speed, params, air)) / params.mass

    return jax.lax.fori_loop(0, 8, refine, jnp.zeros_like(speed))
