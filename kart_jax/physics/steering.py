"""From the driver's hands and feet to road-wheel angles and pedals."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState
from kart_jax.xla.sines import cos_sin_small


def follow(value: chex.Array, target: chex.Array, lag: chex.Array, dt: float) -> chex.Array:
    """First-order lag, exact over dt: value + (target - value)(1 - exp(-dt / lag))."""
    return value + (target - value) * -jnp.expm1(-dt / lag)


def move(
    state: KartState, controls: Controls, params: KartParams, dt: float
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Steering angle (rad), throttle and brake (0..1) after one step of the limbs' lag and the
    steering-rate limit."""
    wanted = jnp.clip(controls.steering, -1.0, 1.0) * params.max_steer
    change = follow(state.steer, wanted, params.steer_lag, dt) - state.steer
    most = params.steer_rate * dt
    steer = state.steer + jnp.clip(change, -most, most)
    throttle = follow(
        state.throttle, jnp.clip(controls.throttle, 0.0, 1.0), params.throttle_lag, dt
    )
    brake = follow(state.brake, jnp.clip(controls.brake, 0.0, 1.0), params.brake_lag, dt)
    return steer, throttle, brake


def wheel_angles(steer: chex.Array, params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Left and right road-wheel angles (rad) from their mean: delta ± (p2 delta² + p6 delta⁶).

    The inside wheel takes more lock than pure Ackermann asks. Fitted to the measured linkage of the
    ETH gokart, delta = 0.939 s ± 0.303 s² - 0.624 s³ over |s| <= 0.6 (s = column), within 0.4°.
    """
    square = steer * steer
    split = square * (params.ackermann_2 + params.ackermann_6 * square * square)
    return steer + split, steer - split


def wheel_directions(
    left: chex.Array, right: chex.Array
) -> tuple[tuple[chex.Array, ...], tuple[chex.Array, ...]]:
    """Cosines and sines of the four wheels' angles, from those (rad) of the front ones; the rear
    ones point ahead."""
    one, zero = jnp.ones_like(left), jnp.zeros_like(left)
    (cos_left, sin_left), (cos_right, sin_right) = cos_sin_small(left), cos_sin_small(right)
    return (cos_left, cos_right, one, one), (sin_left, sin_right, zero, zero)
